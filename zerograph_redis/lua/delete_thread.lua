-- Remove all that belongs to a thread, but for a lease that is held. Its memory is freed in the background.
-- ARGV  1 thread   2 token of the lease, or ''
-- Reply nothing

local lease = redis.call('HGET', thread, 'lease')
local failure = refused(lease, ARGV[2])
if failure then return failure end
redis.call('UNLINK', unpack(KEYS, 1, OWN_KEYS))
if lease then
  local _, deadline = parse_lease(lease)
  redis.call('HSET', thread, 'lease', lease)
  redis.call('PEXPIREAT', thread, integer(math.ceil(deadline / 1000)))
end
if threads then
  redis.call('ZREM', threads, ARGV[1])
  redis.call('ZREM', deadlines, ARGV[1])
end
return false
