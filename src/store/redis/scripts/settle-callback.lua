#!lua flags=allow-oom
-- What became of a try to tell a client of its job's end; nothing where another try has begun since.
-- KEYS  1 callbacks   2 job
-- ARGV  1 id   2 which try   3 ms to the next one, or '' where there is none
if redis.call('HGET', KEYS[2], 'callback_tries') ~= ARGV[2] then return end
if ARGV[3] == '' then
  redis.call('ZREM', KEYS[1], ARGV[1])
else
  local time = redis.call('TIME')
  local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
  redis.call('ZADD', KEYS[1], 'XX', string.format('%.0f', now + tonumber(ARGV[3])), ARGV[1])
end
