-- Take a thread that is gone out of its shard of the list, unless a worker is just about to write it.
-- KEYS  1 shard (zset: last write, µs)
-- ARGV  1 thread   2 how long ago its last write must be, µs
-- Reply nothing

local time = redis.call('TIME')
local ranked = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or 0)
if ranked < time[1] * 1000000 + time[2] - ARGV[2] then redis.call('ZREM', KEYS[1], ARGV[1]) end
return false
