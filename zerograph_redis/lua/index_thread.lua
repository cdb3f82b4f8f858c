-- Enter a thread in its shard of the thread index, as written now.
-- KEYS  shard (zset: last write, µs)
-- ARGV  id: the thread
-- Reply nil

redis.call('ZADD', KEYS.shard, integer(microseconds()), id)
return false
