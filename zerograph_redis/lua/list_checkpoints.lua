-- Read checkpoints of a namespace with their pending writes, newest first.
-- ARGV  id: the thread   namespace   before: this checkpoint id, or ''   order: before this one, or ''
--       limit: how many   renew: '1' to renew the deadline   known: what the reader has of the log
--       longest: the longest segment to read, or ''
-- Reply {list of {id, record, manifest, {record of each write}, order by the index}, {generation, start, bytes of the log
--       …}}; a record that is gone is nil

local facts, stored = read_facts(thread, 'n:' .. namespace)
local failure = lost_keys(facts)
if failure then return failure end
if redis.call('ZCARD', index) ~= facts.checkpoints then return damaged('its index has not all checkpoints') end
if renew == '1' then refresh(id, facts) end

local first, last = range_of(namespace)
local from_the_newest = before == '' and order == ''
if before ~= '' then
  local record = redis.call('HGET', checkpoints, namespace .. US .. before)
  if not record then return { {}, {} } end
  order = read_header(record)
  if not redis.call('ZSCORE', index, namespace .. US .. order .. US .. before) then
    return damaged('the order of a checkpoint does not match its index')
  end
end
if order ~= '' then last = '(' .. namespace .. US .. order end
local found = redis.call('ZREVRANGEBYLEX', index, last, first, 'LIMIT', 0, limit)
local wanted, spans, most = {}, parse_spans(known), tonumber(longest)
for place, member in ipairs(found) do
  local _, its_order, checkpoint_id = parse_member(member)
  if place == 1 and from_the_newest then
    failure = misnoted(facts, namespace, its_order, checkpoint_id, stored[3])
    if failure then return failure end
  end
  found[place] = read_checkpoint(namespace, checkpoint_id, its_order, wanted, spans, most)
end
return { found, fetch(wanted) }
