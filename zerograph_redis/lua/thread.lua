-- What the scripts of a thread share: the clock, the facts, the deadline.
--
-- KEYS of most scripts: thread (hash), index (zset), checkpoints, writes (hashes), log_0, log_1 (strings), all of one
-- thread; then, on a single server, threads (zset: last write, µs) and deadlines (zset: ms), the thread index. The scripts
-- of a staged copy get the first six, under the names of the copy.
-- The thread hash holds the facts (see parse_facts), the lease, and in <namespace> US the note of a namespace (see
-- note_of).
-- A checkpoint's record begins with 70 plain bytes, see read_header. Then come its segments up to the first US,
-- [+-]<offset>:<stored length>… with commas between; with a sign, an offset counts from where the appended bytes begin.
-- A manifest names the pending writes of a checkpoint: 1:<count>:<bytes> US <identity 1> US <identity 2> US; the n-th
-- write is in the field <namespace> US <id> US <n>. With encryption, :<version> follows <bytes>, a new one for every
-- batch.
-- No stored byte decides how much a script does: counts and lengths are compared with what exists before any loop.
-- A server creates each function whenever the script reaches it. So rare parts of a script create what they need
-- themselves: `-- with <name>, …` stands for these functions, and for what they use in turn.

local US = '\31'
local OWN_KEYS = 6
-- Orders are less than 2^52, in µs the year 2112: a larger order would leave no room for the next.
local ORDER = '^000[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]$'

-- The key of a log by its number; nil for any other value.
local function log_key(log)
  if log == '0' then return KEYS.log_0 end
  if log == '1' then return KEYS.log_1 end
end

local function microseconds()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end

-- Lua's own conversion to a string is not exact for more than 14 digits.
local function integer(number)
  return string.format('%d', number)
end

-- All members of a namespace, as bounds of a lexicographic range: US is 0x1F, and 0x20 comes next.
local function range_of(namespace)
  return '[' .. namespace .. US, '(' .. namespace .. ' '
end

-- For damage that is found deep within a script; a script checks all that it needs before it changes anything.
local function stop_at_damage(what)
  error('DAMAGED ' .. what)
end

-- For damage that a script returns: above all, a missing key of a thread that has others.
local function damaged(what)
  return redis.error_reply('DAMAGED ' .. what)
end

local function parse_member(member)
  local namespace, order, id = member:match('^([^\31]*)\31([^\31]*)\31([^\31]*)$')
  if not namespace or not order:match(ORDER) then stop_at_damage('its index has an entry that is not valid') end
  return namespace, order, id
end

-- The header of a record: format version (1 byte), order (16 hex digits), generation of the log (16 hex), number of the
-- log (1: 0, 1, or - for none), and the proof of where its bytes are (36). Every version begins with version and order.
local HEADER = 70
local function read_header(record)
  return record:sub(2, 17), record:sub(18, 33), record:sub(34, 34), record:sub(35, HEADER)
end

-- A proof: where the bytes that the put appended begin (10 hex), how many they are (10 hex), the put's random name (16
-- hex).
local function parse_proof(proof)
  return tonumber(proof:sub(1, 10), 16), tonumber(proof:sub(11, 20), 16), proof:sub(21)
end

-- Count, bytes, identities and version of a manifest; nil if it claims more writes than it names.
local function parse_manifest(manifest)
  local count, size, version, identities = manifest:match('^1:(%d+):(%d+):?(%x*)(\31.*)$')
  if not count or #count > 9 or #size > 14 then return nil end
  count = tonumber(count)
  if count >= #identities or identities:find('\31\31', 1, true) or select(2, identities:gsub('\31', '\31')) ~= count + 1 then
    return nil
  end
  return count, tonumber(size), identities, version
end

local function read_manifest(manifest)
  local count, size, identities, version = parse_manifest(manifest)
  if not count then stop_at_damage('the list of the pending writes of a checkpoint cannot be read') end
  return count, size, identities, version
end

-- Parse the facts of a thread, which are one field of its hash; `lease` is another field.
-- created, updated: µs; '0' while nothing is stored. ttl: ms, '' for none. deadline: of its keys, ms, 0 for none. order:
-- the last one assigned. checkpoints, namespaces: how many. bytes: of records and writes. with_writes: how many
-- checkpoints have pending writes. log, generation, length: of the current log. garbage: how many of its bytes were
-- appended by checkpoints that were removed. ['0'], ['1']: how many checkpoints use that log. removed: how many records
-- were ever dropped or replaced, so that a copy finds out that it missed some.
-- All are text, since most scripts use few of them as numbers: add 0 before you compare.
local function parse_facts(packed, lease)
  packed = packed or '1 0  0 0 0 0 0 - 0000000000000000 0 0000000000000000 0 0 0 0 0'
  local with_writes, ttl, deadline, created, namespaces, garbage, removed, log, generation, updated, order, count, bytes,
    length, live_0, live_1
  if #packed <= 300 then
    with_writes, ttl, deadline, created, namespaces, garbage, removed, log, generation, updated, order, count, bytes, length,
      live_0, live_1 = packed:match(
        '^1 (%d+) (%d*) (%d+) (%d+) (%d+) (%d+) (%d+) ([01-]) (%x+) (%d+) (000%x+) (%d+) (%d+) (%d+) (%d+) (%d+)$')
  end
  -- Numbers of so many digits are exact in Lua, and become text again digit by digit.
  if not created or #created > 16 or #updated > 16 or #ttl > 16 or #order ~= 16 or #generation ~= 16 or #deadline > 14
    or #count > 14 or #namespaces > 14 or #bytes > 14 or #with_writes > 14 or #length > 12 or #garbage > 14 or #live_0 > 14
    or #live_1 > 14 or #removed > 14 or (log ~= '-' and generation == '0000000000000000') then
    -- with stop_at_damage
    stop_at_damage('its facts are not as a saver stores them')
  end
  local facts = {
    with_writes = with_writes, ttl = ttl, deadline = deadline, created = created, namespaces = namespaces, garbage = garbage,
    removed = removed, log = log, generation = generation, updated = updated, order = order, checkpoints = count,
    bytes = bytes, length = length, ['0'] = live_0, ['1'] = live_1,
  }
  if lease then facts.lease = lease end
  return facts
end

-- The facts, and the fields that were read: the lease, the facts, and further ones.
local function read_facts(key, ...)
  local found = redis.call('HMGET', key, 'lease', 'facts', ...)
  return parse_facts(found[2], found[1]), found
end

-- An error if a key that the facts count on is missing, or keys exist without facts. The facts must be as they were read.
local function missing_keys(facts)
  local existing, needed = redis.call('EXISTS', KEYS.index, KEYS.checkpoints, KEYS.writes, KEYS.log_0, KEYS.log_1), 0
  if facts.created ~= '0' then
    if facts.checkpoints ~= '0' then needed = 2 end
    if facts.with_writes ~= '0' then needed = needed + 1 end
    if facts['0'] ~= '0' then needed = needed + 1 end
    if facts['1'] ~= '0' then needed = needed + 1 end
  end
  if existing == needed then return nil end
  -- with damaged
  if facts.created == '0' then return damaged('the key with its facts is missing') end
  -- A key may exist that nothing needs, as one that damaged writes left.
  local missing = {}
  local function check(count, key)
    if count ~= '0' and redis.call('EXISTS', key) == 0 then missing[#missing + 1] = key:match('}:(.*)$') end
  end
  check(facts.checkpoints, KEYS.index)
  check(facts.checkpoints, KEYS.checkpoints)
  check(facts.with_writes, KEYS.writes)
  check(facts['0'], KEYS.log_0)
  check(facts['1'], KEYS.log_1)
  return #missing > 0 and damaged('keys are missing: ' .. table.concat(missing, ', ')) or nil
end

-- The note of a namespace names its newest checkpoint: <order> <log> <generation> <proof> <id>, from the header of the
-- record. So a read need not search the index for it, and a put that builds on it need not read the record.
local NOTED_BASE = 20
local NOTED_ID = 74
local function note_of(record, id)
  local order, generation, log, proof = read_header(record)
  return table.concat({ order, log, generation, proof, id }, ' ')
end

-- Order and id of the newest checkpoint by the note of its namespace.
local function read_note(note)
  local order, generation, proof, id = note:match('^(000%x+) [01-] (%x+) (%x+) ([^\31]+)$')
  if not order or #order ~= 16 or #generation ~= 16 or #proof ~= 36 then
    stop_at_damage('the note of a namespace cannot be read')
  end
  return order, id
end

-- For a namespace without a note: damage if it has checkpoints.
local function check_empty(facts, namespace)
  local first, last = range_of(namespace)
  if facts.checkpoints + 0 > 0 and redis.call('ZRANGEBYLEX', KEYS.index, first, last, 'LIMIT', 0, 1)[1] then
    stop_at_damage('the note of a namespace is missing')
  end
end

-- An error unless the note of a namespace names this newest checkpoint, the last of the namespace in the index.
local function wrong_note(facts, namespace, order, id, note)
  if not note then return check_empty(facts, namespace) end
  local noted_order, noted_id = read_note(note)
  if noted_order > facts.order then stop_at_damage('the note of a namespace has a later order than its thread') end
  if noted_order ~= order or noted_id ~= id then
    return damaged('the note of a namespace names another newest checkpoint than the index')
  end
end

-- Write the facts, and perhaps the note of a namespace. What most writes change comes last.
local function write_facts(facts, field, note)
  local packed = '1 ' .. facts.with_writes .. ' ' .. facts.ttl .. ' ' .. facts.deadline .. ' ' .. facts.created .. ' '
    .. facts.namespaces .. ' ' .. facts.garbage .. ' ' .. facts.removed .. ' ' .. facts.log .. ' ' .. facts.generation .. ' '
    .. facts.updated .. ' ' .. facts.order
    .. string.format(' %d %d %d %d %d', facts.checkpoints, facts.bytes, facts.length, facts['0'], facts['1'])
  if field then
    redis.call('HSET', KEYS.thread, 'facts', packed, field, note)
  else
    redis.call('HSET', KEYS.thread, 'facts', packed)
  end
end

-- A lease is <token> <deadline, µs> <attempt> <owner>. It is held until its deadline; its token is never used again.
local function parse_lease(lease)
  local token, deadline, attempt, owner = (lease or '0 0 - '):match('^(%d+) (%d+) (%S+) (.*)$')
  if not token or #token > 16 or #deadline > 16 then stop_at_damage('its lease cannot be read') end
  return token, tonumber(deadline), attempt, owner
end

-- Whether a deadline, ms, must be moved: the next one is earlier, or later by a hundredth of the ttl or more.
local function is_due(ttl, deadline, next_deadline)
  local later = next_deadline - deadline
  return later < 0 or later * 100 >= ttl + 0
end

-- Set the deadline of the facts: `ttl` ms from now, or none (''), but not before the lease ends. A deadline that would
-- move by less than a hundredth of the ttl stays as it is, unless a key was just created (`key_made`).
-- Returns whether the facts changed: then they must be written, and their deadline given to the keys.
local function choose_deadline(facts, ttl, now, key_made)
  local deadline = 0
  if ttl ~= '' then
    deadline = math.floor(now / 1000) + ttl
    if facts.lease then
      -- with parse_lease
      local _, held_until = parse_lease(facts.lease)
      deadline = math.max(deadline, math.ceil(held_until / 1000))
    end
    if not key_made and ttl == facts.ttl and not is_due(ttl, facts.deadline, deadline) then return false end
  elseif facts.deadline + 0 == 0 and not key_made then
    return false
  end
  facts.deadline = deadline
  return true
end

-- Give the deadline of the facts to every key of the thread.
local function give_deadline(id, facts)
  if facts.deadline == 0 then
    for key = 1, OWN_KEYS do redis.call('PERSIST', KEYS[key]) end
    if KEYS.deadlines then redis.call('ZREM', KEYS.deadlines, id) end
  else
    local deadline = integer(facts.deadline)
    for key = 1, OWN_KEYS do redis.call('PEXPIREAT', KEYS[key], deadline) end
    if KEYS.deadlines then redis.call('ZADD', KEYS.deadlines, deadline, id) end
  end
end

-- The longest that any key of the thread has left, ms; -1 if none has a deadline.
local function time_left()
  local longest = -1
  for key = 1, OWN_KEYS do longest = math.max(longest, redis.call('PTTL', KEYS[key])) end
  return longest
end
