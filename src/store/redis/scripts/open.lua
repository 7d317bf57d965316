#!lua flags=allow-oom
-- Readies the store for a process that starts. Changes nothing that another process has set, last_sweep least of all: a
-- whole system that comes back after a pause must still see the gap.
-- KEYS  1 meta
-- ARGV  1 schema version that this program speaks
-- Result: the schema version of the data.
-- include clock.lua
redis.call('HSETNX', KEYS[1], 'last_sweep', int(now_ms()))
redis.call('HSETNX', KEYS[1], 'schema', ARGV[1])
return redis.call('HGET', KEYS[1], 'schema')
