#!lua flags=allow-oom
-- Remembers what a worker offers, and forgets workers that fell silent: this one is the latest now.
-- KEYS  1 workers: owner -> JSON   2 owner -> when it was last heard of
-- ARGV  1 owner   2 JSON   3 ms after which a worker counts as silent
-- Result: none.
-- include clock.lua
local now = now_ms()
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], int(now), ARGV[1])
local silent = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', '(' .. int(now - tonumber(ARGV[3])))
for _, owner in ipairs(silent) do
  redis.call('HDEL', KEYS[1], owner)
  redis.call('ZREM', KEYS[2], owner)
end
