#!lua flags=no-writes
-- How much waits and runs, and for how long.
-- KEYS  1-3 queues high, normal, low   4 running   5 workers: owner -> JSON   6 owner -> when it announced itself
-- ARGV  1 prefix of records   2 stale ids to look past at most, per queue   3 ms after which a worker counts as silent
-- Result: {length of each queue, leases, workers, their slots, ms since the oldest queued job was submitted or -1}
-- Which jobs wait is not known before, so the keys of their records are made here, with the shared hash tag.
-- include clock.lua
local now = now_ms()

-- The next to be claimed is at the tail, and was submitted before all others; anything but a queued job is stale there.
local function submitted_first(queue)
  local ids = redis.call('LRANGE', queue, -tonumber(ARGV[2]), -1)
  for index = #ids, 1, -1 do
    local record = redis.call('HMGET', ARGV[1] .. ids[index], 'state', 'created')
    if record[1] == 'queued' then return tonumber(record[2]) end
  end
end

local oldest
for index = 1, 3 do
  local submitted = submitted_first(KEYS[index])
  if submitted and (not oldest or submitted < oldest) then oldest = submitted end
end

local slots = 0
local owners = redis.call('ZRANGE', KEYS[6], int(now - tonumber(ARGV[3])), '+inf', 'BYSCORE')
for _, owner in ipairs(owners) do
  local info = redis.call('HGET', KEYS[5], owner)
  if info then slots = slots + cjson.decode(info).slots end
end

return {
  redis.call('LLEN', KEYS[1]), redis.call('LLEN', KEYS[2]), redis.call('LLEN', KEYS[3]),
  redis.call('ZCARD', KEYS[4]), #owners, slots,
  -- Not below 0 although the clock went back.
  oldest and math.max(0, now - oldest) or -1,
}
