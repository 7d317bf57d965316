#!lua flags=allow-oom
-- The end of a run, by the claim that ran it.
-- KEYS  1-8 shared   9 job   10 log
-- ARGV  1 id   2 owner   3 epoch   4 lease ms   5 status   6 outcome JSON   7 end note JSON   8 bytes   9 dropped bytes
--       10 seq of the last entry that the claim has appended   11 '1' when a gap entry is to tell of the dropped bytes
--       12 ms of CPU time to count for the job's API key   13 ms of the window to count it in
-- Result: -1 fenced; -2 finished, now or by an earlier call of this claim; else the seq of the last entry, when the store
-- has lost what came after it: an end entry now would close a log with its tail missing.
-- include shared.lua
local id, job, log, now = ARGV[1], KEYS[9], KEYS[10], now_ms()
-- Only a finish leaves its claim here: a sweep that ended the same claim as `lost` was first, and stays.
if redis.call('HGET', job, 'finished_by') == ARGV[3] .. ' ' .. ARGV[2] then return -2 end
local claim = { epoch = ARGV[3], owner = ARGV[2], lease = tonumber(ARGV[4]) }
if not holds(id, job, log, claim, now) then return -1 end
local last = tonumber(redis.call('HGET', job, 'seq'))
if last < tonumber(ARGV[10]) then return last end
redis.call('HSET', job, 'bytes', ARGV[8], 'dropped', ARGV[9], 'finished_by', ARGV[3] .. ' ' .. ARGV[2])
if ARGV[11] == '1' then
  redis.call('XADD', log, claim.epoch .. '-' .. int(last + 1), 'gap', ARGV[9])
  redis.call('HSET', job, 'seq', int(last + 1))
end
end_job(id, job, log, { status = ARGV[5], outcome = ARGV[6], note = ARGV[7] }, now)
local key_id = redis.call('HGET', job, 'key')
if key_id and ARGV[12] ~= '0' then count_use(of_key('cpu-ms', key_id), ARGV[12], ARGV[13]) end
return -2
