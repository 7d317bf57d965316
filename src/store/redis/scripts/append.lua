#!lua
-- Adds one log entry of a live claim, with the attempt's totals. (No allow-oom: at maxmemory output waits in the worker.)
-- KEYS  1-8 shared   9 job   10 log
-- ARGV  1 id   2 owner   3 epoch   4 lease ms   5 seq   6 bytes   7 dropped bytes   8... the entry's fields
-- Result: -1 fenced; -2 stored, now or by an earlier call; else the seq of the last entry, when the store has lost
-- what came after it: taking this entry would leave a hole that a reader skips without noticing.
-- include shared.lua
local job, log, seq = KEYS[9], KEYS[10], tonumber(ARGV[5])
local claim = { epoch = ARGV[3], owner = ARGV[2], lease = tonumber(ARGV[4]) }
if not holds(ARGV[1], job, log, claim, now_ms()) then return -1 end
local last = tonumber(redis.call('HGET', job, 'seq'))
if seq <= last then return -2 end
if seq > last + 1 then return last end
-- NOMKSTREAM: a log that is gone is not begun anew in its middle.
if not redis.call('XADD', log, 'NOMKSTREAM', claim.epoch .. '-' .. ARGV[5], unpack(ARGV, 8)) then return -1 end
redis.call('HSET', job, 'seq', ARGV[5], 'bytes', ARGV[6], 'dropped', ARGV[7])
return -2
