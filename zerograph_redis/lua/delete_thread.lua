-- Delete a thread, but for a lease that a worker holds. Its memory is freed in the background.
-- KEYS  of the thread, see thread.lua
-- ARGV  id: the thread   token: of the lease, or ''   last_write: delete only if it was then, µs, or '' for always
-- Reply 1, or 0 if the last write was at another time, so that nothing was deleted

-- No worker can hold a lease that cannot be read, and a damaged thread must be deletable.
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
unindex(id)
return 1
