#!lua
-- Record, listing, queue and doorbell of a new job, or nothing when the id is known: a repeated call is harmless.
-- (No allow-oom: a full store refuses new work.)
-- KEYS  1-8 shared   9 job   and for a submit that may be repeated under a key: 10 what was stored under it
-- ARGV  1 id   2 what was submitted, JSON   3 priority   4 API key that the job belongs to, or ''
--       5 most jobs that wait   6 most active jobs of that API key   7 most submits and   8 most CPU ms of it in their windows,
--       each '' where there is no limit   9 ms of the window of submits
--       10 key of the callbacks, or '' where nobody is to be told of the job's end
--       and with KEYS[10]: 11 digest   12 ms to remember it   13 prefix of records
-- Result: the record's fields, flat: of the job that was first stored under the key, where it is still there; 'mismatch'
-- when that one had another digest; or 'refused <limit> <ms to wait>', where a limit is reached: nothing has changed then.
-- include shared.lua
local id, job, prio, key_id, once = ARGV[1], KEYS[9], ARGV[3], ARGV[4], KEYS[10]
if once then
  -- `<digest> <id>`
  local digest, first = string.match(redis.call('GET', once) or '', '^(%S+) (%S+)$')
  if first and redis.call('EXISTS', ARGV[13] .. first) == 1 then
    return digest == ARGV[11] and redis.call('HGETALL', ARGV[13] .. first) or 'mismatch'
  end
end

local function is_reached(limit, used)
  return limit ~= '' and used() >= tonumber(limit)
end

-- What jobs/quotas.ts reachedLimit decides; the contract suite runs one table of cases through both.
local function reached_limit()
  if is_reached(ARGV[5], function()
    return redis.call('LLEN', KEYS[1]) + redis.call('LLEN', KEYS[2]) + redis.call('LLEN', KEYS[3])
  end) then return 'maxQueued', 0 end
  if key_id == '' then return end
  if is_reached(ARGV[6], function() return redis.call('SCARD', of_key('active', key_id)) end) then return 'maxActive', 0 end
  for _, window in ipairs({ { 'submitsPerMinute', ARGV[7], 'submits' }, { 'cpuSecPerDay', ARGV[8], 'cpu-ms' } }) do
    local counter = of_key(window[3], key_id)
    if is_reached(window[2], function() return tonumber(redis.call('GET', counter) or '0') end) then
      return window[1], redis.call('PTTL', counter)
    end
  end
end

if redis.call('EXISTS', job) == 0 then
  local limit, wait_ms = reached_limit()
  if limit then return 'refused ' .. limit .. ' ' .. int(math.max(wait_ms, 0)) end
  local time = redis.call('TIME')
  redis.call('HSET', job, 'job', ARGV[2], 'prio', prio, 'state', 'queued', 'created', int(now_ms()),
    'epoch', 0, 'epochs', '', 'seq', 0, 'crashes', 0, 'bytes', 0, 'dropped', 0)
  -- Microseconds: a listing needs an order within a millisecond. 16 digits, exact in a double until the year 2255.
  local created_us = time[1] .. string.format('%06d', tonumber(time[2]))
  redis.call('ZADD', ALL, created_us, id)
  redis.call('LPUSH', QUEUES[prio], id)
  if ARGV[10] ~= '' then redis.call('HSET', job, 'callback', ARGV[10]) end
  if key_id ~= '' then
    redis.call('HSET', job, 'key', key_id)
    redis.call('ZADD', of_key('jobs', key_id), created_us, id)
    redis.call('SADD', of_key('active', key_id), id)
    count_use(of_key('submits', key_id), 1, ARGV[9])
  end
  ring()
end
if once then
  redis.call('SET', once, ARGV[11] .. ' ' .. id, 'PX', ARGV[12])
  redis.call('HSET', job, 'once', once)
end
return redis.call('HGETALL', job)
