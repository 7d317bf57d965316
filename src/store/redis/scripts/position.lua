#!lua flags=no-writes
-- How many queued jobs come before one.
-- KEYS  1-3 queues high, normal, low   4 job
-- ARGV  1 id
-- Result: the number, or nothing when the job is not queued.
local record = redis.call('HMGET', KEYS[4], 'state', 'prio')
if record[1] ~= 'queued' then return false end
local before = 0
for index, prio in ipairs({ 'high', 'normal', 'low' }) do
  local length = redis.call('LLEN', KEYS[index])
  if record[2] == prio then
    -- RANK -1 looks from the tail, where the next job to be claimed is.
    local place = redis.call('LPOS', KEYS[index], ARGV[1], 'RANK', -1)
    return place and before + length - 1 - place
  end
  before = before + length
end
return false
