-- Read checkpoints of a namespace with their pending writes, newest first.
-- KEYS  of the thread, see thread.lua
-- ARGV  id: the thread   namespace   before: begin before this checkpoint id, or ''   order: begin before this order, or
--       ''   limit: how many   renew: '1' to renew the TTL   known: ranges of the log that the reader has
-- Reply {list of {id, record, manifest, {record of each write}, order by the index}, {generation, start, bytes of the log
--       …}}; a missing record is nil

local facts, stored = read_facts(KEYS.thread, namespace .. US)
local failure = missing_keys(facts)
if failure then return failure end
if redis.call('ZCARD', KEYS.index) ~= facts.checkpoints + 0 then
  return damaged('its index does not have all checkpoints')
end
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
  failure = wrong_note(facts, namespace, rows[1][5], rows[1][1], stored[3])
  if failure then return failure end
end
local wanted, known_ranges = {}, parse_known(known)
local records, manifests, lists = read_fields(KEYS.checkpoints, fields), read_all_writes(fields)
for place, row in ipairs(rows) do
  local record = records[place]
  if record then want(wanted, known_ranges, record) end
  row[2], row[3], row[4] = record, manifests[place], lists[place]
end
return { rows, fetch(wanted) }
