#!lua
-- Record, listing, queue and doorbell of a new job, or nothing when the id is known: a repeated call is harmless.
-- (No allow-oom: a full store refuses new work.)
-- KEYS  1-8 shared   9 job
-- ARGV  1 id   2 what was submitted, JSON   3 priority
-- Result: the record's fields, flat.
-- include shared.lua
local id, job, prio = ARGV[1], KEYS[9], ARGV[3]
if redis.call('EXISTS', job) == 0 then
  local time = redis.call('TIME')
  redis.call('HSET', job, 'job', ARGV[2], 'prio', prio, 'state', 'queued', 'created', int(now_ms()),
    'epoch', 0, 'epochs', '', 'seq', 0, 'crashes', 0, 'bytes', 0, 'dropped', 0)
  -- Microseconds: a listing needs an order within a millisecond. 16 digits, exact in a double until the year 2255.
  redis.call('ZADD', ALL, time[1] .. string.format('%06d', tonumber(time[2])), id)
  redis.call('LPUSH', QUEUES[prio], id)
  ring()
end
return redis.call('HGETALL', job)
