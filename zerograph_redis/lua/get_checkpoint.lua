-- Read one checkpoint with its pending writes: the named one, or the newest of the namespace.
-- ARGV  id: the thread   namespace   checkpoint_id: or '' for the newest   renew: '1' to renew the deadline
--       known: what the reader has of the log
-- Reply {{id, record, manifest, {record of each write}, order by the index or nil}, {generation, start, bytes of the log
--       …}}, or nothing; a record that is gone is nil

local facts, found = read_facts(thread, 'n:' .. namespace)
local order, named = false, checkpoint_id ~= ''
if not named then
  local newest = space_of(facts, namespace, found[3])
  checkpoint_id, order = newest.id, newest.order
end
local wanted = {}
local row = checkpoint_id ~= '' and read_checkpoint(namespace, checkpoint_id, order, wanted, parse_spans(known))
if not row or (not row[2] and named) then return (check_whole()) end
-- The list of writes may be missing since all of them are.
if facts.created == '0' or not row[2] or (not row[3] and facts.written > 0) then
  local failure = lost_keys(facts)
  if failure then return failure end
end
if renew == '1' then refresh(id, facts) end
return { row, fetch(wanted) }
