-- Take a thread that is gone out of its shard of the list, unless a worker is just about to write it.
-- KEYS  shard (zset: last write, µs)
-- ARGV  id: the thread   age: how long ago its last write must be, µs
-- Reply nothing

local time = redis.call('TIME')
local ranked = tonumber(redis.call('ZSCORE', KEYS.shard, id) or 0)
if ranked < time[1] * 1000000 + time[2] - age then redis.call('ZREM', KEYS.shard, id) end
return false
