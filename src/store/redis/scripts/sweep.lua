#!lua flags=allow-oom
-- Ends or requeues jobs whose lease has run out, a bounded number a call.
-- KEYS  1-8 shared
-- ARGV  1 lease ms   2 sweep interval ms   3 jobs at most   4 prefix of records   5 prefix of logs
--       6 crashes that make a job lost   7 reason of the next attempt
--       8, 9 outcome and end note JSON of a lost job   10, 11 of a cancelled one
-- Result: {requeued ids, lost ids, cancelled ids, 1 when there may be more}
-- Which jobs those are is not known before, so their keys are made here, from prefixes with the shared hash tag.
-- include shared.lua
local now, limit = now_ms(), tonumber(ARGV[3])
judge_silence(now, tonumber(ARGV[1]), tonumber(ARGV[2]))
local rules = {
  max_crashes = tonumber(ARGV[6]),
  reason = ARGV[7],
  lost = { status = 'lost', outcome = ARGV[8], note = ARGV[9] },
  cancelled = { status = 'cancelled', outcome = ARGV[10], note = ARGV[11] },
}
local became = { requeued = {}, lost = {}, cancelled = {} }
-- The latest first: of jobs that are requeued, the younger before the older are the cheaper to put into their places.
local expired = redis.call('ZRANGE', RUNNING, int(now), '-inf', 'BYSCORE', 'REV', 'LIMIT', 0, limit)
for _, id in ipairs(expired) do
  local job, log = ARGV[4] .. id, ARGV[5] .. id
  if redis.call('HGET', job, 'state') == 'running' then
    local list = became[after_crash(id, job, log, rules, now)]
    list[#list + 1] = id
  else
    redis.call('ZREM', RUNNING, id)
  end
end
return { became.requeued, became.lost, became.cancelled, #expired == limit and 1 or 0 }
