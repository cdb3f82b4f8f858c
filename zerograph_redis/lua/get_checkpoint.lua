-- Read one checkpoint with its pending writes: the named one, or the newest of the namespace.
-- ARGV  id: the thread   namespace   checkpoint_id: or '' for the newest   renew: '1' to renew the deadline
--       known: what the reader has of the log
-- Reply {{id, record, manifest, {record of each write}, order by the index or nil}, {generation, start, bytes of the log
--       …}}, or nothing; a record that is gone is nil

local order, named = false, checkpoint_id ~= ''
local noted, packed = unpack(redis.call('HMGET', thread, 'n:' .. namespace, 'facts'))
if noted and not named then
  local _
  _, order, checkpoint_id = parse_space(noted)
end
local field = namespace .. US .. checkpoint_id
local record = checkpoint_id ~= '' and redis.call('HGET', checkpoints, field)
if not record and (named or not noted) then
  local failure, facts = check_whole()
  -- Nothing is noted, so nothing may be there.
  if not failure and not named then space_of(facts, namespace, noted) end
  return failure
end
local manifest, records = read_writes(field)
local written, due = glance(packed, renew)
-- The list of writes may be missing since all of them are.
local doubtful = not written or not record or (not manifest and written ~= '0')
if doubtful or due then
  local facts = read_facts(thread)
  local failure = doubtful and lost_keys(facts)
  if failure then return failure end
  if due then refresh(id, facts) end
end
local wanted = {}
if record then want(wanted, parse_spans(known), record) end
return { { checkpoint_id, record, manifest, records, order }, fetch(wanted) }
