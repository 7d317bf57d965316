#!lua flags=no-writes
-- The workers that announced themselves lately; when there are none, the last one that did.
-- KEYS  1 workers: owner -> JSON   2 owner -> when it was last heard of
-- ARGV  1 ms after which a worker counts as silent
-- Result: their JSON, the latest first.
-- include clock.lua
local owners = redis.call('ZRANGE', KEYS[2], '+inf', int(now_ms() - tonumber(ARGV[1])), 'BYSCORE', 'REV')
if #owners == 0 then owners = redis.call('ZRANGE', KEYS[2], 0, 0, 'REV') end
local infos = {}
for _, owner in ipairs(owners) do
  local info = redis.call('HGET', KEYS[1], owner)
  if info then infos[#infos + 1] = info end
end
return infos
