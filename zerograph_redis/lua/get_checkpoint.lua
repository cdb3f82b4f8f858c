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
local wanted = {}
local row = (named or noted) and read_checkpoint(namespace, checkpoint_id, order, wanted, parse_spans(known))
if not row or (named and not row[2]) then
  local failure, facts = check_whole()
  -- Nothing is noted, so nothing may be there.
  if not failure and not named then space_of(facts, namespace, noted) end
  return failure
end
if not row[2] or not row[3] or renew == '1' then
  local facts = read_facts(thread)
  -- The list of writes may be missing since all of them are.
  local failure = (facts.created == '0' or not row[2] or (not row[3] and facts.written > 0)) and lost_keys(facts)
  if failure then return failure end
  if renew == '1' then refresh(id, facts) end
end
return { row, fetch(wanted) }
