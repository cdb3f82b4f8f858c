-- Read one checkpoint with its pending writes: the named one, or the newest of the namespace.
-- ARGV  1 thread   2 namespace   3 checkpoint id, or '' for the newest   4 '1' to refresh the deadline
--       5 what the reader has of the log
-- Reply {{id, record, manifest, {record of each write}, order by the index or nil}, {generation, start, bytes of the log …}}, or nothing; a record
--       that is gone is nil

local id, namespace, checkpoint_id = ARGV[1], ARGV[2], ARGV[3]
local order = false
if checkpoint_id == '' then
  local first, last = range_of(namespace)
  local newest = redis.call('ZREVRANGEBYLEX', index, last, first, 'LIMIT', 0, 1)[1]
  if newest then
    local _
    _, order, checkpoint_id = parse_member(newest)
  end
end
local wanted = {}
local found = checkpoint_id ~= '' and read_checkpoint(namespace, checkpoint_id, order, wanted, parse_spans(ARGV[5]))
if not found or (not found[2] and ARGV[3] ~= '') then
  return check_whole()
elseif not found[3] then
  local _, failure = load_facts()
  if failure then return failure end
end
if ARGV[4] == '1' then refresh(id) end
return { found, fetch(wanted) }
