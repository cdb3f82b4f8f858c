-- Note in a shard of the list of threads that a thread is written now.
-- KEYS  shard (zset: last write, µs)
-- ARGV  id: the thread
-- Reply nothing

local time = redis.call('TIME')
redis.call('ZADD', KEYS.shard, string.format('%.0f', time[1] * 1000000 + time[2]), id)
return false
