-- Read one checkpoint with its pending writes: the named one, or the newest of the namespace.
-- ARGV  id: the thread   namespace   checkpoint_id: or '' for the newest   renew: '1' to renew the deadline
--       known: what the reader has of the log
-- Reply {{id, record, manifest, {record of each write}, order by the index or nil}, {generation, start, bytes of the log
--       …}}, or nothing; a record that is gone is nil

local order, named = false, checkpoint_id ~= ''
local noted = not named and redis.call('HGET', thread, 'n:' .. namespace)
if noted then
  local _
  _, order, checkpoint_id = parse_space(noted)
end
local field = namespace .. US .. checkpoint_id
local record = (named or noted) and redis.call('HGET', checkpoints, field)
if not record and not noted then
  local failure, facts = check_whole()
  -- Nothing is noted, so nothing may be there.
  if not failure and not named then space_of(facts, namespace, false) end
  return failure
end
local manifest, records = read_writes(field)
if not record or not manifest or renew == '1' then
  local facts = read_facts(thread)
  -- The list of writes may be missing since all of them are.
  local failure = (facts.created == '0' or not record or (not manifest and facts.written > 0)) and lost_keys(facts)
  if failure then return failure end
  if renew == '1' then refresh(id, facts) end
end
local wanted = {}
if record then want(wanted, parse_spans(known), record) end
return { { checkpoint_id, record, manifest, records, order }, fetch(wanted) }
