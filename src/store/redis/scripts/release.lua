#!lua flags=allow-oom
-- Hands a running job back to its place in the queue, no crash counted; nothing when the claim is not this one. A job
-- that somebody asked to cancel ends here instead: it is in a queue again, and what is queued ends at once.
-- KEYS  1-8 shared   9 job   10 log
-- ARGV  1 id   2 owner   3 epoch   4 reason of the next attempt   5 outcome JSON of a cancelled job   6 its end note JSON
-- Result: none.
-- include shared.lua
local job = KEYS[9]
local record = redis.call('HMGET', job, 'state', 'epoch', 'owner', 'cancel')
if record[1] ~= 'running' or record[2] ~= ARGV[3] or record[3] ~= ARGV[2] then return end
if record[4] == '1' then
  end_job(ARGV[1], job, KEYS[10], { status = 'cancelled', outcome = ARGV[5], note = ARGV[6] }, now_ms())
else
  requeue(ARGV[1], job, ARGV[4])
end
