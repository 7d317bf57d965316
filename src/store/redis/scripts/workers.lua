#!lua flags=no-writes
-- The workers that announced themselves lately; when there are none, the last one that did.
-- KEYS  1 workers: owner -> JSON   2 owner -> when it was last heard of
-- ARGV  1 ms after which a worker counts as silent
-- Result: their JSON, the latest first.
local time = redis.call('TIME')
local since = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000) - tonumber(ARGV[1])
local owners = redis.call('ZRANGE', KEYS[2], '+inf', string.format('%.0f', since), 'BYSCORE', 'REV')
if #owners == 0 then owners = redis.call('ZRANGE', KEYS[2], 0, 0, 'REV') end
local infos = {}
for _, owner in ipairs(owners) do
  local info = redis.call('HGET', KEYS[1], owner)
  if info then infos[#infos + 1] = info end
end
return infos
