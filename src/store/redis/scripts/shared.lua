-- What several scripts do in the same way; scripts.ts puts it where a script says `-- include shared.lua`.
-- Such a script is called with these keys first:
-- KEYS  1-3 queues high, normal, low   4 running   5 wake   6 meta   7 all   8 ended
-- A job's record and log share the hash tag of these keys, so they live in the same slot of a Cluster.
-- Epochs are compared as strings where only equality counts.
-- include clock.lua

local QUEUES = { high = KEYS[1], normal = KEYS[2], low = KEYS[3] }
local RUNNING, WAKE, META, ALL, ENDED = KEYS[4], KEYS[5], KEYS[6], KEYS[7], KEYS[8]

-- A name that an API key's jobs or use stand under (keys.ts). Whose a job is stands in its record, so that these names are
-- made here, from that of another key: `{jr}:all`.
local function of_key(what, key_id)
  return string.sub(ALL, 1, -4) .. what .. '-of:' .. key_id
end

-- Counts into a window that begins with the first use after the last one's end: the counter expires with it.
local function count_use(counter, amount, window_ms)
  redis.call('INCRBY', counter, amount)
  if redis.call('PTTL', counter) < 0 then redis.call('PEXPIRE', counter, window_ms) end
end

-- One member however often it rings: a doorbell says that there may be work, not how much.
local function ring()
  redis.call('ZADD', WAKE, 0, 'bell')
end

-- The job becomes `running` under this claim. `<epoch>-0` makes Redis itself refuse whatever an older epoch still
-- sends: a stream takes no id that is equal to or smaller than its last one.
local function start_attempt(id, job, log, claim, now)
  local old = redis.call('HMGET', job, 'epochs', 'retry')
  local epochs, reason = old[1], old[2] or ''
  epochs = epochs == '' and claim.epoch or (epochs .. ',' .. claim.epoch)
  local _, commas = string.gsub(epochs, ',', '')
  redis.call('HSET', job, 'state', 'running', 'epoch', claim.epoch, 'epochs', epochs, 'owner', claim.owner,
    'started', int(now), 'seq', 0, 'bytes', 0, 'dropped', 0)
  redis.call('ZADD', RUNNING, int(now + claim.lease), id)
  redis.call('XADD', log, claim.epoch .. '-0', 'attempt', commas + 1, 'reason', reason)
end

-- Whether the claim holds the job now. A Redis that came back without its last second may have forgotten the claim
-- itself, so that the job waits again: its greater epoch can only come from that claim, and no later one can be in the
-- way (its epoch would be greater still), so the claim is entered again instead of running the job twice.
local function holds(id, job, log, claim, now)
  local record = redis.call('HMGET', job, 'state', 'epoch', 'owner', 'prio')
  if record[1] == 'running' then return record[2] == claim.epoch and record[3] == claim.owner end
  if record[1] ~= 'queued' or tonumber(claim.epoch) <= tonumber(record[2]) then return false end
  redis.call('LREM', QUEUES[record[4]], 1, id)
  start_attempt(id, job, log, claim, now)
  return true
end

-- The one way into a terminal state. The end entry follows the log's last one; a job that never ran has no epoch, so
-- its only entry gets a fresh one (and seq 1, since 0 is an attempt's).
local function end_job(id, job, log, ending, now)
  local last = redis.call('HMGET', job, 'epoch', 'seq', 'key', 'callback')
  local epoch, seq = last[1], tonumber(last[2]) + 1
  if epoch == '0' then epoch = int(now) end
  redis.call('XADD', log, epoch .. '-' .. int(seq), 'end', ending.note)
  redis.call('HSET', job, 'state', ending.status, 'outcome', ending.outcome, 'finished', int(now), 'seq', int(seq))
  redis.call('ZREM', RUNNING, id)
  redis.call('ZADD', ENDED, int(now), id)
  if last[3] then redis.call('SREM', of_key('active', last[3]), id) end
  -- The key of the callbacks, which has the shared hash tag.
  if last[4] then redis.call('ZADD', last[4], int(now), id) end
end

-- When a job was submitted; 0 for an id that is gone, of which a queue may hold some (claim skips them).
local function submitted_at(id)
  return tonumber(redis.call('ZSCORE', ALL, id) or '0')
end

-- The order in which jobs of all queues are claimed: the time of submission less the head start of the priority, 1 high to
-- 3 low, over the lowest (timing.ts). Microseconds.
local function due_at_us(id, priority, head_start_ms)
  return submitted_at(id) - (3 - priority) * tonumber(head_start_ms) * 1000
end

-- Back to its place in the queue, with the reason of the next attempt. Jobs wait in the order of their submission, so the
-- only ones before it are older ones that were handed back as well: few, since they all ran a moment ago.
local function requeue(id, job, reason)
  redis.call('HSET', job, 'state', 'queued', 'retry', reason)
  redis.call('ZREM', RUNNING, id)
  local queue, submitted, older = QUEUES[redis.call('HGET', job, 'prio')], submitted_at(id), {}
  local first = redis.call('LINDEX', queue, -1)
  while first and submitted_at(first) < submitted do
    older[#older + 1] = redis.call('RPOP', queue)
    first = redis.call('LINDEX', queue, -1)
  end
  redis.call('RPUSH', queue, id)
  for index = #older, 1, -1 do redis.call('RPUSH', queue, older[index]) end
  ring()
end

-- What jobs/retry.ts afterCrash decides; the contract suite runs one table of cases through both.
local function after_crash(id, job, log, rules, now)
  local crashes = redis.call('HINCRBY', job, 'crashes', 1)
  if redis.call('HGET', job, 'cancel') == '1' then
    end_job(id, job, log, rules.cancelled, now)
    return 'cancelled'
  end
  if crashes >= rules.max_crashes then
    end_job(id, job, log, rules.lost, now)
    return 'lost'
  end
  requeue(id, job, rules.reason)
  return 'requeued'
end

-- Leases are only judged by a clock that ran while beats could arrive. Called by every beat and sweep, before it
-- renews or expires anything.
--   Silence of more than three sweep intervals: the store was stopped, or everyone cut off from it. Each lease gets one
-- full length from now, once: one that was not renewed since its last grace still ends with or below `graced_until`.
-- (One millisecond less than a beat of this same moment writes, so that the two can be told apart.)
--   A clock that went back: deadlines written by the faster clock would hold for too long, and are cut to one length.
local function judge_silence(now, lease, interval)
  local meta = redis.call('HMGET', META, 'last_sweep', 'graced_until')
  local last, graced_until = tonumber(meta[1]), tonumber(meta[2] or '0')
  redis.call('HSET', META, 'last_sweep', int(now))
  if last and now < last then
    local ahead = redis.call('ZRANGEBYSCORE', RUNNING, '(' .. int(now + lease), '+inf')
    for _, id in ipairs(ahead) do redis.call('ZADD', RUNNING, int(now + lease), id) end
    redis.call('HSET', META, 'graced_until', 0)
  elseif not last or now - last > 3 * interval then
    local deadline = now + lease - 1
    local due = redis.call('ZRANGEBYSCORE', RUNNING, '(' .. int(graced_until), int(deadline))
    for _, id in ipairs(due) do redis.call('ZADD', RUNNING, int(deadline), id) end
    redis.call('HSET', META, 'graced_until', int(deadline))
  end
end
