#!lua flags=allow-oom
-- What became of a try to tell a client of its job's end; nothing where another try has begun since.
-- KEYS  1 callbacks   2 job
-- ARGV  1 id   2 which try   3 ms to the next one, or '' where there is none   4 '1' where no try was made after all
-- include clock.lua
if redis.call('HGET', KEYS[2], 'callback_tries') ~= ARGV[2] then return end
if ARGV[3] == '' then
  redis.call('ZREM', KEYS[1], ARGV[1])
else
  if ARGV[4] == '1' then redis.call('HINCRBY', KEYS[2], 'callback_tries', -1) end
  redis.call('ZADD', KEYS[1], 'XX', int(now_ms() + tonumber(ARGV[3])), ARGV[1])
end
