-- Read one checkpoint with its pending writes: the named one, or the newest of the namespace.
-- KEYS  of the thread, see thread.lua
-- ARGV  begin: namespace US   checkpoint_id: or '' for the newest   base: the proof of the record that the reader knows,
--       or ''   known: ranges of the log that the reader has   renew: the id of the thread, to renew its TTL, or ''
-- Reply {id, record, order by the note or nil, {generation, start, bytes of the log …}}, and with pending writes also
--       manifest and {record of each write}; nil if there is no such checkpoint. A missing record is nil. No bytes of the
--       log are sent if the record is the one that the reader knows: the reader compares the rest

local note, packed = unpack(redis.call('HMGET', KEYS.thread, begin, 'facts'))
local order, named = false, checkpoint_id ~= ''
if note and not named then order, checkpoint_id = note:sub(1, 16), note:sub(NOTED_ID) end
local field = begin .. checkpoint_id
local record = checkpoint_id ~= '' and redis.call('HGET', KEYS.checkpoints, field)
if not record and (named or not note) then
  -- with check_thread, check_empty
  local failure, facts = check_thread()
  -- A namespace without a note must be empty.
  if not failure and not named then check_empty(facts, begin:sub(1, -2)) end
  return failure
end
local manifest = redis.call('HGET', KEYS.writes, field)
local with_writes, ttl, deadline = (packed or ''):match(FEW_FACTS)
-- Without a manifest, the key of all writes may be missing.
if not with_writes or not record or (not manifest and with_writes ~= '0' and redis.call('EXISTS', KEYS.writes) == 0) then
  -- with read_facts, missing_keys, read_note
  local failure = missing_keys((read_facts(KEYS.thread)))
  if failure then return failure end
  if order then read_note(note) end
end
if renew ~= '' and ttl and ttl ~= '' then
  -- with refresh_if_due
  refresh_if_due(renew, ttl, deadline)
end
local found = {}
if record and (base == '' or record:sub(35, HEADER) ~= base) then
  -- with want, parse_known, fetch
  local wanted = {}
  want(wanted, parse_known(known), record)
  found = fetch(wanted)
end
if not manifest then return { checkpoint_id, record, order, found } end
-- with read_writes
return { checkpoint_id, record, order, found, manifest, read_writes(field, manifest) }
