#!lua flags=allow-oom
-- Renews the leases that an owner holds, one that has run out included, as long as no sweep has judged it.
-- KEYS  1-8 shared   9 the owner's slots   10 owner -> when it was last heard of   then per job: job, log
-- ARGV  1 owner   2 lease ms   3 sweep interval ms   4 1 for one that names all claims of now   then per job: id, epoch, `held` or `ended`
-- Result: {held claims to cancel, held ones that are not the owner's (any more), ended ones that are not ended here}, each
-- by its position among those given, from 1: an id alone does not tell an owner's old claim of a job from its new one.
-- include shared.lua
local owner, lease, now = ARGV[1], tonumber(ARGV[2]), now_ms()
judge_silence(now, lease, tonumber(ARGV[3]))
local cancelled, fenced, unfinished = {}, {}, {}
for index = 1, (#ARGV - 4) / 3 do
  local id, epoch, what = ARGV[2 + 3 * index], ARGV[3 + 3 * index], ARGV[4 + 3 * index]
  local job, log = KEYS[9 + 2 * index], KEYS[10 + 2 * index]
  if holds(id, job, log, { epoch = epoch, owner = owner, lease = lease }, now) then
    redis.call('ZADD', RUNNING, int(now + lease), id)
    if what == 'ended' then
      unfinished[#unfinished + 1] = index
    elseif redis.call('HGET', job, 'cancel') == '1' then
      cancelled[#cancelled + 1] = index
    end
  elseif what == 'held' then
    fenced[#fenced + 1] = index
  end
end
-- XX: who has not announced itself is no worker. After a restart claims wait for this (restart-grace.ts).
if ARGV[4] == '1' then redis.call('ZADD', KEYS[10], 'XX', int(now), owner) end
redis.call('PEXPIRE', KEYS[9], int(2 * lease + 60000))
return { cancelled, fenced, unfinished }
