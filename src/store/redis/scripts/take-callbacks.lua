#!lua flags=allow-oom
-- Takes callbacks that are due out of sight for a while.
-- KEYS  1 callbacks
-- ARGV  1 how many at most   2 ms out of sight   3 prefix of records
-- Result: for each `<try, from 1> <id>`
-- Which jobs those are is not known before, so their keys are made here, from a prefix with the shared hash tag.
-- include clock.lua
local now = now_ms()
local taken = {}
for _, id in ipairs(redis.call('ZRANGE', KEYS[1], '-inf', int(now), 'BYSCORE', 'LIMIT', 0, ARGV[1])) do
  local job = ARGV[3] .. id
  if redis.call('EXISTS', job) == 1 then
    taken[#taken + 1] = redis.call('HINCRBY', job, 'callback_tries', 1) .. ' ' .. id
    redis.call('ZADD', KEYS[1], int(now + tonumber(ARGV[2])), id)
  else
    redis.call('ZREM', KEYS[1], id)
  end
end
return taken
