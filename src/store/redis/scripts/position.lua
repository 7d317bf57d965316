#!lua flags=no-writes
-- How many queued jobs come before one.
-- KEYS  1-8 shared   9 job
-- ARGV  1 id   2 ms of head start that a priority has over the next lower one
-- Result: the number, or nothing when the job is not queued.
-- include shared.lua
local id, head_start_ms = ARGV[1], ARGV[2]
local record = redis.call('HMGET', KEYS[9], 'state', 'prio')
if record[1] ~= 'queued' then return false end

-- How many of a queue are due before a time: the next to be claimed is at the tail, and they are in the order of submission.
local function due_before(queue, priority, due)
  local low, high = 0, redis.call('LLEN', queue)
  while low < high do
    local middle = math.floor((low + high) / 2)
    if due_at_us(redis.call('LINDEX', queue, -1 - middle), priority, head_start_ms) < due then
      low = middle + 1
    else
      high = middle
    end
  end
  return low
end

local own
for index, prio in ipairs({ 'high', 'normal', 'low' }) do
  if record[2] == prio then own = index end
end
-- RANK -1 looks from the tail.
local place = redis.call('LPOS', KEYS[own], id, 'RANK', -1)
if not place then return false end
local before = redis.call('LLEN', KEYS[own]) - 1 - place
local due = due_at_us(id, own, head_start_ms)
for index = 1, 3 do
  if index ~= own then before = before + due_before(KEYS[index], index, due) end
end
return before
