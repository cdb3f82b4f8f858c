-- Remove all that belongs to a thread, but for a lease that is held. Its memory is freed in the background.
-- ARGV  id: the thread   token: of the lease, or ''   last_write: when it must have been, µs, or ''
-- Reply 1, or 0 if it was written at another time, and stays

-- A lease that cannot be read is nobody's: it must not keep what is damaged from being deleted.
local lease = redis.call('HGET', KEYS.thread, 'lease')
if lease and not pcall(parse_lease, lease) then lease = false end
local failure = refused(lease, token, microseconds())
if failure then return failure end
if last_write ~= '' then
  local readable, facts = pcall(read_facts, KEYS.thread)
  if not readable or (facts.created ~= '0' and facts.updated ~= last_write) then return 0 end
end
redis.call('UNLINK', unpack(KEYS, 1, OWN_KEYS))
if lease then
  local _, deadline = parse_lease(lease)
  redis.call('HSET', KEYS.thread, 'lease', lease)
  redis.call('PEXPIREAT', KEYS.thread, integer(math.ceil(deadline / 1000)))
end
if KEYS.threads then
  redis.call('ZREM', KEYS.threads, id)
  redis.call('ZREM', KEYS.deadlines, id)
end
return 1
