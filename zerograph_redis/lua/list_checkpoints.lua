-- Read checkpoints of a namespace with their pending writes, newest first.
-- ARGV  id: the thread   namespace   before: this checkpoint id, or ''   order: before this one, or ''
--       limit: how many   renew: '1' to renew the deadline   known: what the reader has of the log
--       longest: the longest segment to read, or ''
-- Reply {list of {id, record, manifest, {record of each write}, order by the index}, {generation, start, bytes of the log
--       …}}; a record that is gone is nil

local facts, stored = read_facts(KEYS.thread, namespace .. US)
local failure = lost_keys(facts)
if failure then return failure end
if redis.call('ZCARD', KEYS.index) ~= facts.checkpoints + 0 then return damaged('its index has not all checkpoints') end
if renew == '1' then refresh(id, facts) end

local first, last = range_of(namespace)
local from_the_newest = before == '' and order == ''
if before ~= '' then
  local record = redis.call('HGET', KEYS.checkpoints, namespace .. US .. before)
  if not record then return { {}, {} } end
  order = read_header(record)
  if not redis.call('ZSCORE', KEYS.index, namespace .. US .. order .. US .. before) then
    return damaged('the order of a checkpoint does not match its index')
  end
end
if order ~= '' then last = '(' .. namespace .. US .. order end
local found = redis.call('ZREVRANGEBYLEX', KEYS.index, last, first, 'LIMIT', 0, limit)
local rows, fields = {}, {}
for place, member in ipairs(found) do
  local _, its_order, checkpoint_id = parse_member(member)
  rows[place], fields[place] = { checkpoint_id, false, false, {}, its_order }, namespace .. US .. checkpoint_id
end
if from_the_newest and #rows > 0 then
  failure = misnoted(facts, namespace, rows[1][5], rows[1][1], stored[3])
  if failure then return failure end
end
local wanted, spans, most = {}, parse_spans(known), tonumber(longest)
local records, manifests, lists = read_fields(KEYS.checkpoints, fields), read_all_writes(fields)
for place, row in ipairs(rows) do
  local record = records[place]
  if record then want(wanted, spans, record, most) end
  row[2], row[3], row[4] = record, manifests[place], lists[place]
end
return { rows, fetch(wanted) }
