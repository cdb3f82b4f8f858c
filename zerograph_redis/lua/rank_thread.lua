-- Note in a shard of the list of threads that a thread is written now.
-- KEYS  1 shard (zset: last write, µs)
-- ARGV  1 thread
-- Reply nothing

local time = redis.call('TIME')
redis.call('ZADD', KEYS[1], string.format('%.0f', time[1] * 1000000 + time[2]), ARGV[1])
return false
