#!lua flags=allow-oom
-- Readies the store for a process that starts. Changes nothing that another process has set, last_sweep least of all: a
-- whole system that comes back after a pause must still see the gap.
-- KEYS  1 meta
-- ARGV  1 schema version that this program speaks
-- Result: the schema version of the data.
local time = redis.call('TIME')
redis.call('HSETNX', KEYS[1], 'last_sweep',
  string.format('%.0f', tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)))
redis.call('HSETNX', KEYS[1], 'schema', ARGV[1])
return redis.call('HGET', KEYS[1], 'schema')
