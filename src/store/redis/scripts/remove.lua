#!lua flags=allow-oom
-- Removes an ended job completely. allow-oom, since this is what makes room.
-- KEYS  1-8 shared   9 job   10 log
-- ARGV  1 id
-- Result: 1 removed; 0 when it is active or unknown.
-- include shared.lua
local id, job = ARGV[1], KEYS[9]
local record = redis.call('HMGET', job, 'state', 'once', 'key', 'callback')
local state, once, key_id, callbacks = record[1], record[2], record[3], record[4]
if state == 'queued' or state == 'running' then return 0 end
-- What is remembered of its submit (submit.lua), which has the shared hash tag too; by now it may be of another job.
if once and string.match(redis.call('GET', once) or '', ' (%S+)$') == id then redis.call('UNLINK', once) end
redis.call('UNLINK', job, KEYS[10])
redis.call('ZREM', ALL, id)
redis.call('ZREM', ENDED, id)
if callbacks then redis.call('ZREM', callbacks, id) end
if key_id then redis.call('ZREM', of_key('jobs', key_id), id) end
return state and 1 or 0
