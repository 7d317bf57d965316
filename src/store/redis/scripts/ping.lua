#!lua
-- The smallest write there is, by which a server that takes none says so. (No allow-oom: as for a submit.)
-- KEYS  1 meta
-- Result: none.
redis.call('HSET', KEYS[1], 'pinged', 1)
