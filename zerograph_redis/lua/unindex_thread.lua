-- Remove a deleted or expired thread from its shard of the thread index, unless a worker may be about to write it.
-- KEYS  shard (zset: last write, µs)
-- ARGV  id: the thread   age: how old its entry must be at least, µs
-- Reply nil

local entered = tonumber(redis.call('ZSCORE', KEYS.shard, id) or 0)
if entered < microseconds() - age then redis.call('ZREM', KEYS.shard, id) end
return false
