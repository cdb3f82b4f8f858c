-- Read the pending writes of a checkpoint.
-- KEYS  of the thread, see thread.lua
-- ARGV  field: namespace US checkpoint id   renew: the id of the thread, to renew its TTL, or ''
-- Reply {manifest or nil, {record of each write}}

local manifest = redis.call('HGET', KEYS.writes, field)
local with_writes, ttl, deadline = (redis.call('HGET', KEYS.thread, 'facts') or ''):match(FEW_FACTS)
if not with_writes or not manifest then
  -- with read_facts, missing_keys
  local failure = missing_keys((read_facts(KEYS.thread)))
  if failure then return failure end
end
if renew ~= '' and ttl and ttl ~= '' then
  -- with refresh_if_due
  refresh_if_due(renew, ttl, deadline)
end
return { manifest, manifest and read_writes(field, manifest) or {} }
