-- Read one checkpoint with its pending writes: the named one, or the newest of the namespace.
-- ARGV  begin: namespace US   checkpoint_id: or '' for the newest   base: of what the reader has, the proof of its record, or
--       ''   known: what the reader has of the log   renew: the id of the thread, to renew its deadline, or ''
-- Reply {id, record, order by the note or nil, {generation, start, bytes of the log …}}, and with pending writes behind these
--       manifest and {record of each write}; or nothing. A record that is gone is nil. Nothing of the log is sent if the record is
--       the one that the reader has: it compares the rest

local note, packed = unpack(redis.call('HMGET', KEYS.thread, begin, 'facts'))
local order, named = false, checkpoint_id ~= ''
if note and not named then order, checkpoint_id = note:sub(1, 16), note:sub(NOTED_ID) end
local field = begin .. checkpoint_id
local record = checkpoint_id ~= '' and redis.call('HGET', KEYS.checkpoints, field)
if not record and (named or not note) then
  -- with check_whole, check_empty
  local failure, facts = check_whole()
  -- There is no note, so nothing may be there.
  if not failure and not named then check_empty(facts, begin:sub(1, -2)) end
  return failure
end
local manifest = redis.call('HGET', KEYS.writes, field)
local written, ttl, deadline = nil, nil, nil
if packed then written, ttl, deadline = packed:match(GLANCE) end
-- The list of writes may be missing since all of them are.
if not written or not record or (not manifest and written ~= '0' and redis.call('EXISTS', KEYS.writes) == 0) then
  -- with read_facts, lost_keys, read_note
  local failure = lost_keys((read_facts(KEYS.thread)))
  if failure then return failure end
  if order then read_note(note) end
end
if renew ~= '' and ttl and ttl ~= '' then
  -- with refresh_if_due
  refresh_if_due(renew, ttl, deadline)
end
local found = {}
if record and (base == '' or record:sub(35, HEADER) ~= base) then
  -- with want, parse_spans, fetch
  local wanted = {}
  want(wanted, parse_spans(known), record)
  found = fetch(wanted)
end
if not manifest then return { checkpoint_id, record, order, found } end
-- with read_writes
return { checkpoint_id, record, order, found, manifest, read_writes(field, manifest) }
