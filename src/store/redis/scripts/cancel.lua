#!lua flags=allow-oom
-- Ends a queued job, or flags a running one for the worker that holds it.
-- KEYS  1-8 shared   9 job   10 log
-- ARGV  1 id   2 outcome JSON   3 end note JSON
-- Result: 'cancelled', 'signalled', 'ended' or 'unknown'.
-- include shared.lua
local id, job = ARGV[1], KEYS[9]
local record = redis.call('HMGET', job, 'state', 'prio')
local state = record[1]
if not state then return 'unknown' end
if state == 'running' then
  redis.call('HSET', job, 'cancel', 1)
  return 'signalled'
end
if state ~= 'queued' then return 'ended' end
-- Linear in the queue's length (some 10 million ids a second), but rare; it keeps queue positions exact. claim would
-- skip the id as well.
redis.call('LREM', QUEUES[record[2]], 1, id)
redis.call('HSET', job, 'cancel', 1)
end_job(id, job, KEYS[10], { status = 'cancelled', outcome = ARGV[2], note = ARGV[3] }, now_ms())
return 'cancelled'
