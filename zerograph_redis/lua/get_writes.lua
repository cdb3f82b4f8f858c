-- Read the pending writes of a checkpoint.
-- ARGV  id: the thread   namespace   checkpoint_id   renew: '1' to renew the deadline
-- Reply {manifest or nil, {record of each write}}

local manifest, records = read_writes(namespace .. US .. checkpoint_id)
local written, due = glance(redis.call('HGET', thread, 'facts'), renew)
if not written or not manifest or due then
  local facts = read_facts(thread)
  local failure = (not written or not manifest) and lost_keys(facts)
  if failure then return failure end
  if due then refresh(id, facts) end
end
return { manifest, records }
