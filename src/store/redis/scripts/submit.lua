#!lua
-- Record, listing, queue and doorbell of a new job, or nothing when the id is known: a repeated call is harmless.
-- (No allow-oom: a full store refuses new work.)
-- KEYS  1-8 shared   9 job   and for a submit that may be repeated under a key: 10 what was stored under it
-- ARGV  1 id   2 what was submitted, JSON   3 priority   and with KEYS[10]: 4 digest   5 ms to remember it   6 prefix of records
-- Result: the record's fields, flat: of the job that was first stored under the key, where it is still there; or
-- 'mismatch' when that one had another digest.
-- include shared.lua
local id, job, prio, once = ARGV[1], KEYS[9], ARGV[3], KEYS[10]
if once then
  -- `<digest> <id>`
  local digest, first = string.match(redis.call('GET', once) or '', '^(%S+) (%S+)$')
  if first and redis.call('EXISTS', ARGV[6] .. first) == 1 then
    return digest == ARGV[4] and redis.call('HGETALL', ARGV[6] .. first) or 'mismatch'
  end
end
if redis.call('EXISTS', job) == 0 then
  local time = redis.call('TIME')
  redis.call('HSET', job, 'job', ARGV[2], 'prio', prio, 'state', 'queued', 'created', int(now_ms()),
    'epoch', 0, 'epochs', '', 'seq', 0, 'crashes', 0, 'bytes', 0, 'dropped', 0)
  -- Microseconds: a listing needs an order within a millisecond. 16 digits, exact in a double until the year 2255.
  redis.call('ZADD', ALL, time[1] .. string.format('%06d', tonumber(time[2])), id)
  redis.call('LPUSH', QUEUES[prio], id)
  ring()
end
if once then
  redis.call('SET', once, ARGV[4] .. ' ' .. id, 'PX', ARGV[5])
  redis.call('HSET', job, 'once', once)
end
return redis.call('HGETALL', job)
