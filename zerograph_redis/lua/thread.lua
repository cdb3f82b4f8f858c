-- What the scripts of a thread share: the clock, the facts, the deadline.
--
-- A checkpoint's record begins with 70 bytes in plain, see read_header. Then its segments up to the first US,
-- [+-]<offset>:<length stored>… with commas between; with a sign it counts from where the appended bytes begin.
-- A manifest names the writes of a checkpoint: 1:<count>:<bytes> US <identity 1> US <identity 2> US; the n-th write
-- stands in the field <ns> US <id> US <n>. If they are encrypted, :<version> follows <bytes>, another for every batch.
-- Nothing that is stored decides how much a script does: counts and lengths are held against what is there before any loop.
-- The thread hash holds the facts (see read_facts), the lease, and in <ns> US the note of a namespace (see read_note).
-- A part of a script that is seldom gone through makes the functions that it needs itself: `-- with <name>, …` stands for
-- them, and for what they use in turn. A server makes each function whenever the script comes to it.

local US = '\31'
local OWN_KEYS = 6
-- Orders are less than 2^52, in µs the year 2112: a larger one would leave no room for the next.
local ORDER = '^000[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]$'

-- The key of a log by its slot; nothing for what is no slot.
local function log_of(slot)
  if slot == '0' then return KEYS.log_0 end
  if slot == '1' then return KEYS.log_1 end
end

local function microseconds()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end

-- Numbers of more than 14 digits must not take Lua's own way to a string.
local function integer(number)
  return string.format('%d', number)
end

-- All members of a namespace, as bounds of a lexicographic range: US is 0x1F, and 0x20 comes next.
local function range_of(namespace)
  return '[' .. namespace .. US, '(' .. namespace .. ' '
end

-- For what is found deep within a script; scripts that change something look at all that they need before they do.
local function stop_at_damage(what)
  error('DAMAGED ' .. what)
end

-- A thread lives in several keys. One of them missing while another is there means that something removed it.
local function damaged(what)
  return redis.error_reply('DAMAGED ' .. what)
end

local function parse_member(member)
  local namespace, order, id = member:match('^([^\31]*)\31([^\31]*)\31([^\31]*)$')
  if not namespace or not order:match(ORDER) then stop_at_damage('its index has an entry that is none') end
  return namespace, order, id
end

-- The header of a record: format version (1), order (16 hex digits), generation of the log (16 hex), its slot (1: 0, 1,
-- or - for none), and the proof of where its bytes are (36). Version and order stand there in every version.
local HEADER = 70
local function read_header(record)
  return record:sub(2, 17), record:sub(18, 33), record:sub(34, 34), record:sub(35, HEADER)
end

-- The proof: where the bytes that the put appended begin (10 hex), how many they are (10 hex), its random name (16 hex).
local function parse_proof(proof)
  return tonumber(proof:sub(1, 10), 16), tonumber(proof:sub(11, 20), 16), proof:sub(21)
end

-- Count, bytes and identities of a manifest; nothing if it claims more writes than it names.
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

-- The facts of a thread, one field of its hash, as they stand there; `lease` is what stands beside them.
-- created, updated: µs; '0' while nothing is stored. ttl: ms, '' for none. deadline: of its keys, ms, 0 for none. order: the
-- last that was given out. checkpoints, namespaces: how many. bytes: of records and writes. written: checkpoints with
-- writes. slot, generation, length: of the current log. dropped: how much of it was appended by checkpoints that are gone.
-- ['0'], ['1']: how many checkpoints need the log in that slot. gone: how many records were ever dropped or replaced, which
-- tells a copy that it missed some. They are text, since most scripts use few of them as numbers: add 0 before you compare.
local function parse_facts(packed, lease)
  packed = packed or '1 0  0 0 0 0 0 - 0000000000000000 0 0000000000000000 0 0 0 0 0'
  local written, ttl, deadline, created, namespaces, dropped, gone, slot, generation, updated, order, count, bytes, length,
    live_0, live_1
  if #packed <= 300 then
    written, ttl, deadline, created, namespaces, dropped, gone, slot, generation, updated, order, count, bytes, length,
      live_0, live_1 = packed:match(
        '^1 (%d+) (%d*) (%d+) (%d+) (%d+) (%d+) (%d+) ([01-]) (%x+) (%d+) (000%x+) (%d+) (%d+) (%d+) (%d+) (%d+)$')
  end
  -- Numbers of so many digits are exact in Lua, and become text again digit by digit.
  if not created or #created > 16 or #updated > 16 or #ttl > 16 or #order ~= 16 or #generation ~= 16 or #deadline > 14
    or #count > 14 or #namespaces > 14 or #bytes > 14 or #written > 14 or #length > 12 or #dropped > 14 or #live_0 > 14
    or #live_1 > 14 or #gone > 14 or (slot ~= '-' and generation == '0000000000000000') then
    -- with stop_at_damage
    stop_at_damage('its facts are not what a saver stores')
  end
  local facts = {
    written = written, ttl = ttl, deadline = deadline, created = created, namespaces = namespaces, dropped = dropped,
    gone = gone, slot = slot, generation = generation, updated = updated, order = order, checkpoints = count,
    bytes = bytes, length = length, ['0'] = live_0, ['1'] = live_1,
  }
  if lease then facts.lease = lease end
  return facts
end

-- The facts, and all that was read with them: the lease, the field, and further ones.
local function read_facts(key, ...)
  local found = redis.call('HMGET', key, 'lease', 'facts', ...)
  return parse_facts(found[2], found[1]), found
end

-- An error if the thread lost a key that its facts name, or has others and no facts. They are as they were read.
local function lost_keys(facts)
  local there, needed = redis.call('EXISTS', KEYS.index, KEYS.checkpoints, KEYS.writes, KEYS.log_0, KEYS.log_1), 0
  if facts.created ~= '0' then
    if facts.checkpoints ~= '0' then needed = 2 end
    if facts.written ~= '0' then needed = needed + 1 end
    if facts['0'] ~= '0' then needed = needed + 1 end
    if facts['1'] ~= '0' then needed = needed + 1 end
  end
  if there == needed then return nil end
  -- with damaged
  if facts.created == '0' then return damaged('the key of its facts is gone') end
  -- One may be there that nothing needs, as what damaged writes leave.
  local gone = {}
  local function look(count, key)
    if count ~= '0' and redis.call('EXISTS', key) == 0 then gone[#gone + 1] = key:match('}:(.*)$') end
  end
  look(facts.checkpoints, KEYS.index)
  look(facts.checkpoints, KEYS.checkpoints)
  look(facts.written, KEYS.writes)
  look(facts['0'], KEYS.log_0)
  look(facts['1'], KEYS.log_1)
  return #gone > 0 and damaged('keys of it are gone: ' .. table.concat(gone, ', ')) or nil
end

-- The note of a namespace says of its newest checkpoint <order> <slot> <generation> <proof> <id>: what the header of its
-- record says, so that nobody looks in the index for it, and no put that builds on it reads the record.
local NOTED_BASE = 20
local NOTED_ID = 74
local function note_of(record, id)
  local order, generation, slot, proof = read_header(record)
  return table.concat({ order, slot, generation, proof, id }, ' ')
end

-- Order and id of the newest checkpoint by the note of its namespace.
local function read_note(note)
  local order, generation, proof, id = note:match('^(000%x+) [01-] (%x+) (%x+) ([^\31]+)$')
  if not order or #order ~= 16 or #generation ~= 16 or #proof ~= 36 then
    stop_at_damage('what it notes of a namespace cannot be read')
  end
  return order, id
end

-- For a namespace without a note: stops if it has checkpoints.
local function check_empty(facts, namespace)
  local first, last = range_of(namespace)
  if facts.checkpoints + 0 > 0 and redis.call('ZRANGEBYLEX', KEYS.index, first, last, 'LIMIT', 0, 1)[1] then
    stop_at_damage('what it notes of a namespace is gone')
  end
end

-- An error unless a namespace has the note of this newest checkpoint, which its index ends with.
local function misnoted(facts, namespace, order, id, note)
  if not note then return check_empty(facts, namespace) end
  local noted_order, noted_id = read_note(note)
  if noted_order > facts.order then stop_at_damage('what it notes of a namespace cannot be') end
  if noted_order ~= order or noted_id ~= id then
    return damaged('its index and what it notes of the newest checkpoint of a namespace differ')
  end
end

-- Write the facts, and perhaps the note of a namespace. What most writes change stands at the end.
local function write_facts(facts, field, note)
  local packed = '1 ' .. facts.written .. ' ' .. facts.ttl .. ' ' .. facts.deadline .. ' ' .. facts.created .. ' '
    .. facts.namespaces .. ' ' .. facts.dropped .. ' ' .. facts.gone .. ' ' .. facts.slot .. ' ' .. facts.generation .. ' '
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

-- Whether a deadline, ms, is to be moved: it would come earlier, or later by a hundredth of the ttl or more.
local function is_due(ttl, deadline, next_deadline)
  local later = next_deadline - deadline
  return later < 0 or later * 100 >= ttl + 0
end

-- Note the deadline that a thread has from now on: `ttl` ms from now, or none (''). A thread outlives its lease. One that
-- would come later by less than a hundredth of the ttl stays as it is, unless `key_made` says that a key was made just now.
-- Returns whether the keys must be given the deadline of the facts, which then are to be written.
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

-- Put the deadline of the facts on every key of the thread.
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
