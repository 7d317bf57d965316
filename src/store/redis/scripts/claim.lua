#!lua
-- Takes the next job: high before normal before low, each with a head start, oldest first. (No allow-oom: a full store starts no new run.)
-- KEYS  1-8 shared   9 the owner's slots
-- ARGV  1 owner   2 slot   3 token   4 lease ms   5 prefix of records   6 prefix of logs   7 stale ids to skip at most
--       8 ms of head start that a priority has over the next lower one
-- Result: the record's fields, flat; 'none' when nothing waits; 'more' when only stale ids were met so far.
-- Which job it will be is not known before, so its two keys are made here, from prefixes with the shared hash tag.
-- include shared.lua
local owner, slot, token, lease = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local slots = KEYS[9]

-- The answer to the same call may have been lost. `<epoch> <id> <token>`: neither number nor id holds a space.
local epoch, id, taken_by = string.match(redis.call('HGET', slots, slot) or '', '^(%d+) (%S+) (.*)$')
if taken_by == token then
  local record = redis.call('HMGET', ARGV[5] .. id, 'state', 'epoch', 'owner')
  if record[1] == 'running' and record[2] == epoch and record[3] == owner then
    return redis.call('HGETALL', ARGV[5] .. id)
  end
end

-- Of the first jobs of all queues the one that is due. An id that is gone is due before all.
local function due_queue()
  local queue, due
  for index = 1, 3 do
    local id = redis.call('LINDEX', KEYS[index], -1)
    local due_at = id and due_at_us(id, index, ARGV[8])
    if id and (not due or due_at < due) then queue, due = KEYS[index], due_at end
  end
  return queue
end

local function next_queued()
  for _ = 1, tonumber(ARGV[7]) do
    local queue = due_queue()
    if not queue then return 'none' end
    local next_id = redis.call('RPOP', queue)
    -- Anything but a queued job is stale: cancelled, removed, or entered twice by a store that lost its last second.
    if redis.call('HGET', ARGV[5] .. next_id, 'state') == 'queued' then return nil, next_id end
  end
  return 'more'
end

local nothing, next_id = next_queued()
if nothing then return nothing end

local now = now_ms()
local job, log = ARGV[5] .. next_id, ARGV[6] .. next_id
-- Greater than every epoch before, also when the clock went back; unique after a failover to a replica that missed one.
local claim = { epoch = int(math.max(tonumber(redis.call('HGET', job, 'epoch')) + 1, now)), owner = owner, lease = lease }
start_attempt(next_id, job, log, claim, now)
redis.call('HSET', slots, slot, claim.epoch .. ' ' .. next_id .. ' ' .. token)
-- Longer than a lease can live without a beat; each beat starts it anew.
redis.call('PEXPIRE', slots, int(2 * lease + 60000))
if redis.call('LLEN', KEYS[1]) + redis.call('LLEN', KEYS[2]) + redis.call('LLEN', KEYS[3]) > 0 then ring() end
return redis.call('HGETALL', job)
