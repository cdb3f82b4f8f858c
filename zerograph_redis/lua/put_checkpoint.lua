-- Store a checkpoint under the next order of its thread, or, if its id is known, in place of the earlier one. Then drop
-- the checkpoints of its namespace that the saver no longer keeps.
-- KEYS  of the thread, see thread.lua
-- ARGV  id: the thread   ttl: ms or ''; then a put:
--       begin: namespace US   checkpoint_id   version: of the format   name: of this put, after the number of bytes that
--       it appends, as in its record   record: from its segments on   appended: bytes for the log   needed: how many
--       bytes of the log the state is made of   base: the base checkpoint of its segments, <generation> <proof> <id>, or
--       '';
--       then, if one or more follow: token: of the lease, or ''; then, if any is given, each or '':
--       keep_last: how many to keep   max_age: how old to keep, µs   expected: '=' and the id that the newest checkpoint
--       must have, '=' alone for none   parent_order: of the parent that the record names   parent_id
-- Reply its order, the generation and where the appended bytes begin, concatenated; nil if the segments refer to missing
--       bytes, or a new log begins: then the state must be sent whole; or if the checkpoint does not follow that parent

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local found = redis.call('HMGET', KEYS.thread, 'lease', 'facts', begin)
local lease, packed, note = unpack(found, 1, 3)
local field = begin .. checkpoint_id
local earlier = redis.call('HGET', KEYS.checkpoints, field)

-- The fast path: most puts store a new checkpoint, as the first of a thread or after the newest of its namespace, while
-- the log continues and the deadline stays. Then few of the facts change, and no others are read. The code after this
-- block does the same for every put.
local free = not (lease or token)
if lease and packed and ttl == '' then
  -- with refused
  free = not refused(lease, token or '', now)
end
if free and not (keep_last or earlier) then
  local order, usual = string.format('%016x', now), false
  local updated = #time[2] == 6 and time[1] .. time[2] or string.format('%d', now)
  local head, with_writes, its_ttl, deadline, garbage, log, generation, last, count, bytes, length, live_0, live_1
  local keys = 0
  if packed and note and #packed < 200 then
    head, with_writes, its_ttl, deadline, garbage, log, generation, last, count, bytes, length, live_0, live_1 =
      packed:match('^(1 (%d+) (%d*) (%d+) [1-9]%d* %d+ (%d+) %d+ ([01-]) (%x+)) %d+ (000%x+) (%d+) (%d+) (%d+) (%d+) (%d+)$')
    keys = 2 + (with_writes ~= '0' and 1 or 0) + (live_0 ~= '0' and 1 or 0) + (live_1 ~= '0' and 1 or 0)
    local later = head and ttl ~= '' and math.floor(now / 1000) + ttl - deadline
    local used = log == '0' and live_0 or log == '1' and live_1 or '0'
    usual = head and count ~= '0' and last < order and #last == 16 and #generation == 16 and #count < 10 and #bytes < 14
      and #length < 8 and #garbage < 4 and #live_0 < 10 and #live_1 < 10 and (needed == '0' or used ~= '0')
      and ttl == its_ttl and (ttl == '' and deadline == '0' or later and later >= 0 and later * 100 < ttl + 0)
      and (base == '' or (base:find(generation, 1, true) == 1 and #note == NOTED_BASE - 1 + #base
        and note:find(base, NOTED_BASE, true)))
  elseif not (packed or note) and base == '' and ttl == '' and needed ~= '0' and appended ~= '' then
    -- with log_name
    log, generation, count, bytes, live_0, live_1 = '0', log_name(name:sub(11), order), 0, 0, 0, 0
    head, usual = '1 0  0 ' .. updated .. ' 1 0 0 0 ' .. generation, true
  end
  if usual and #appended < 1000000
    and redis.call('EXISTS', KEYS.index, KEYS.checkpoints, KEYS.writes, KEYS.log_0, KEYS.log_1) == keys then
    local start = '0000000000'
    if needed == '0' then
      log, generation = '-', '0000000000000000'
    else
      if appended ~= '' then
        length = redis.call('APPEND', log == '0' and KEYS.log_0 or KEYS.log_1, appended)
      end
      start = string.format('%010x', length - #appended)
      if log == '0' then live_0 = live_0 + 1 else live_1 = live_1 + 1 end
    end
    redis.call('ZADD', KEYS.index, 0, begin .. order .. US .. checkpoint_id)
    record = version .. order .. generation .. log .. start .. name .. record
    redis.call('HSET', KEYS.checkpoints, field, record)
    redis.call('HSET', KEYS.thread, 'facts', head .. ' ' .. updated .. ' ' .. order
      .. string.format(' %d %d %d %d %d', count + 1, bytes + #record, length, live_0, live_1), begin,
      order .. ' ' .. log .. ' ' .. generation .. ' ' .. start .. name .. ' ' .. checkpoint_id)
    -- with enter
    enter(id, updated, now)
    return order .. generation .. start
  end
end

-- with parse_facts, missing_keys, is_proven, next_order, append_to_log, store_checkpoint, save_facts
local facts = parse_facts(packed, lease)
local failure = missing_keys(facts)
if failure then return failure end
if facts.lease or token then
  -- with refused
  failure = refused(facts.lease, token or '', now)
  if failure then return failure end
end
if not note then
  -- with check_empty
  check_empty(facts, begin:sub(1, -2))
end

if earlier then
  -- with read_header, damaged
  local its_order, its_generation, _, proof = read_header(earlier)
  if not its_order:match(ORDER) then return damaged('a record has no order') end
  -- This put was stored already; it is a retry, since its reply was lost.
  if proof:sub(11) == name then return its_order .. its_generation .. proof:sub(1, 10) end
elseif expected and expected ~= '' then
  -- with read_note
  local newest = ''
  if note then
    local _
    _, newest = read_note(note)
  end
  if expected ~= '=' .. newest then return redis.error_reply('CONFLICT ' .. newest) end
end

local begins_log, free, full = facts.log == '-', '0', nil
-- A new log is not worth it for so few bytes.
if begins_log or #facts.garbage > 3 or #facts.length > 6 or #appended > 999999 then
  -- with next_log
  begins_log, free, full = next_log(facts, needed + 0, #appended)
end
if base ~= '' and not is_proven(facts, begin, base, note, begins_log) then return false end
if parent_order and parent_order ~= '' then
  -- with read_header
  local parent = redis.call('HGET', KEYS.checkpoints, begin .. parent_id)
  local its_order = parent and read_header(parent)
  if its_order ~= parent_order or (earlier and earlier:sub(2, 17) <= parent_order) then return false end
end
if full then return full end

local order = next_order(facts, now)
local log, generation, start = '-', '0000000000000000', 0
if needed ~= '0' then
  local new_log
  if begins_log then
    -- with log_name
    new_log = log_name(name:sub(11), order)
  end
  log, generation, start = append_to_log(facts, appended, 1, new_log, free)
end
order, note = store_checkpoint(facts, begin, checkpoint_id, order, log, generation, start, name, version, record, earlier,
  note)
if keep_last and (keep_last ~= '' or max_age ~= '') then
  -- with retain
  retain(facts, begin:sub(1, -2), keep_last, max_age, now)
end
save_facts(id, facts, ttl, now, note and begin, note)
return order .. generation .. string.format('%010x', start)
