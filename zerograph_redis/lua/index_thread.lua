-- Enter a thread in its shard of the thread index, as written now.
-- KEYS  shard (zset: last write, µs)
-- ARGV  id: the thread
-- Reply nil

local time = redis.call('TIME')
redis.call('ZADD', KEYS.shard, string.format('%.0f', time[1] * 1000000 + time[2]), id)
return false
