#!lua flags=allow-oom
-- Removes an ended job completely. allow-oom, since this is what makes room.
-- KEYS  1 job   2 log   3 all   4 ended
-- ARGV  1 id
-- Result: 1 removed; 0 when it is active or unknown.
local state = redis.call('HGET', KEYS[1], 'state')
if state == 'queued' or state == 'running' then return 0 end
-- What is remembered of its submit (submit.lua), which has the shared hash tag too; by now it may be of another job.
local once = redis.call('HGET', KEYS[1], 'once')
if once and string.match(redis.call('GET', once) or '', ' (%S+)$') == ARGV[1] then redis.call('UNLINK', once) end
redis.call('UNLINK', KEYS[1], KEYS[2])
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('ZREM', KEYS[4], ARGV[1])
return state and 1 or 0
