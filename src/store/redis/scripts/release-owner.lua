#!lua flags=allow-oom
-- Treats leases of a process that is known to be dead as run out.
-- KEYS  1-8 shared   then per job: job, log
-- ARGV  1 owner   2 crashes that make a job lost   3 reason of the next attempt
--       4, 5 outcome and end note JSON of a lost job   6, 7 of a cancelled one   then per job: id
-- Result: {requeued ids, lost ids, cancelled ids}
-- include shared.lua
local now = now_ms()
local rules = {
  max_crashes = tonumber(ARGV[2]),
  reason = ARGV[3],
  lost = { status = 'lost', outcome = ARGV[4], note = ARGV[5] },
  cancelled = { status = 'cancelled', outcome = ARGV[6], note = ARGV[7] },
}
local became = { requeued = {}, lost = {}, cancelled = {} }
for index = 1, #ARGV - 7 do
  local id, job, log = ARGV[7 + index], KEYS[7 + 2 * index], KEYS[8 + 2 * index]
  local record = redis.call('HMGET', job, 'state', 'owner')
  if record[1] == 'running' and record[2] == ARGV[1] then
    local list = became[after_crash(id, job, log, rules, now)]
    list[#list + 1] = id
  end
end
return { became.requeued, became.lost, became.cancelled }
