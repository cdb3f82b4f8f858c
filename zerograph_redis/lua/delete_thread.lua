-- Remove all that belongs to a thread, but for a lease that is held. Its memory is freed in the background.
-- ARGV  1 thread   2 token of the lease, or ''   3 when its last write must have been, µs, or ''
-- Reply 1, or 0 if it was written at another time, and stays

-- A lease that cannot be read is nobody's: it must not keep what is damaged from being deleted.
local lease = redis.call('HGET', thread, 'lease')
if lease and not pcall(parse_lease, lease) then lease = false end
local failure = refused(lease, ARGV[2])
if failure then return failure end
if ARGV[3] ~= '' then
  local updated = redis.call('HGET', thread, 'updated')
  if updated and updated ~= ARGV[3] then return 0 end
end
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
return 1
