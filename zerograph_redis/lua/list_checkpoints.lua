-- Read checkpoints of a namespace with their pending writes, newest first.
-- ARGV  1 thread   2 namespace   3 before this checkpoint id, or ''   4 before this order, or ''   5 how many
--       6 '1' to refresh the deadline   7 what the reader has of the log   8 the longest segment to read, or ''
-- Reply {list of {id, record, manifest, {record of each write}, order by the index}, {generation, start, bytes of the log …}}; a record that
--       is gone is nil

local id, namespace, before, order = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local facts, failure = load_facts()
if failure then return failure end
if redis.call('ZCARD', index) ~= facts.checkpoints then return damaged('its index has not all checkpoints') end
if ARGV[6] == '1' then refresh(id) end

local first, last = range_of(namespace)
if before ~= '' then
  local record = redis.call('HGET', checkpoints, namespace .. US .. before)
  if not record then return { {}, {} } end
  order = record:sub(2, 17)
  if not redis.call('ZSCORE', index, namespace .. US .. order .. US .. before) then
    return damaged('the order of a checkpoint does not match its index')
  end
end
if order ~= '' then last = '(' .. namespace .. US .. order end
local found = redis.call('ZREVRANGEBYLEX', index, last, first, 'LIMIT', 0, ARGV[5])
local wanted, spans, longest = {}, parse_spans(ARGV[7]), tonumber(ARGV[8])
for place, member in ipairs(found) do
  local _, its_order, checkpoint_id = parse_member(member)
  found[place] = read_checkpoint(namespace, checkpoint_id, its_order, wanted, spans, longest)
end
return { found, fetch(wanted) }
