-- What the scripts of a thread share: the clock, the facts, the deadline.
--
-- A checkpoint's record begins with 70 bytes in plain, see read_header. Then its segments up to the first US,
-- [+-]<offset>:<length stored>… with commas between; with a sign it counts from where the appended bytes begin.
-- A manifest names the writes of a checkpoint: 1:<count>:<bytes> US <identity 1> US <identity 2> US; the n-th write
-- stands in the field <ns> US <id> US <n>. If they are encrypted, :<version> follows <bytes>, another for every batch.
-- Nothing that is stored decides how much a script does: counts and lengths are held against what is there before any loop.
-- The thread hash holds the facts (see read_facts), the lease, and in n:<ns> what is known of a namespace (see space_of).

local US = '\31'
local logs = { ['0'] = log_0, ['1'] = log_1 }
local OWN_KEYS = 6
-- Orders are less than 2^52, in µs the year 2112: a larger one would leave no room for the next.
local ORDER = '^000[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]$'

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

-- The facts of a thread, from one field of its hash; and all that was read: the lease, that field, and further ones.
-- created, updated: µs, as text; '0' while nothing is stored. ttl: ms, as text, '' for none. deadline: of its keys, ms, 0
-- for none. order: the last that was given out. checkpoints, namespaces: how many. bytes: of records and writes.
-- written: checkpoints with writes. slot, generation, length: of the current log. dropped: how much of it was appended by
-- checkpoints that are gone. live: checkpoints in each slot. gone: how many records were ever dropped or replaced, which
-- tells a copy that it missed some. lease: as stored. spaces: see space_of.
local function read_facts(key, ...)
  local found = redis.call('HMGET', key, 'lease', 'facts', ...)
  local packed = found[2] or '1 0 0  0 0000000000000000 0 0 0 0 - 0000000000000000 0 0 0 0 0'
  local created, updated, ttl, deadline, order, checkpoint_count, namespaces, bytes, written, slot, generation, length,
    dropped, live_0, live_1, gone
  if #packed <= 300 then
    created, updated, ttl, deadline, order, checkpoint_count, namespaces, bytes, written, slot, generation, length, dropped,
      live_0, live_1, gone = packed:match(
        '^1 (%d+) (%d+) (%d*) (%d+) (000%x+) (%d+) (%d+) (%d+) (%d+) ([01-]) (%x+) (%d+) (%d+) (%d+) (%d+) (%d+)$')
  end
  if not created then stop_at_damage('its facts are not what a saver stores') end
  -- Adding 0 makes a number of digits.
  local facts = {
    created = created, updated = updated, ttl = ttl, deadline = deadline + 0, order = order,
    checkpoints = checkpoint_count + 0, namespaces = namespaces + 0, bytes = bytes + 0, written = written + 0,
    slot = slot, generation = generation, length = length + 0, dropped = dropped + 0,
    live = { ['0'] = live_0 + 0, ['1'] = live_1 + 0 }, gone = gone + 0, lease = found[1], spaces = {},
  }
  -- What a double can count to, and what a log can hold.
  local most = 2 ^ 53
  if #created > 16 or #updated > 16 or #ttl > 16 or #order ~= 16 or #generation ~= 16
    or facts.deadline >= most or facts.checkpoints >= most or facts.namespaces >= most or facts.bytes >= most
    or facts.written >= most or facts.length >= 2 ^ 40 or facts.dropped >= most or facts.live['0'] >= most
    or facts.live['1'] >= most or facts.gone >= most or (slot ~= '-' and generation == '0000000000000000') then
    stop_at_damage('its facts are not what a saver stores')
  end
  return facts, found
end

-- An error if the thread lost a key that its facts name, or has others and no facts.
local function lost_keys(facts)
  local there, live, needed = redis.call('EXISTS', index, checkpoints, writes, log_0, log_1), facts.live, 0
  if facts.created == '0' then return there > 0 and damaged('the key of its facts is gone') or nil end
  if facts.checkpoints > 0 then needed = 2 end
  if facts.written > 0 then needed = needed + 1 end
  if live['0'] > 0 then needed = needed + 1 end
  if live['1'] > 0 then needed = needed + 1 end
  if there == needed then return nil end
  -- One may be there that nothing needs, as what damaged writes leave.
  local gone = {}
  local function look(count, key)
    if count > 0 and redis.call('EXISTS', key) == 0 then gone[#gone + 1] = key:match('}:(.*)$') end
  end
  look(facts.checkpoints, index)
  look(facts.checkpoints, checkpoints)
  look(facts.written, writes)
  look(live['0'], log_0)
  look(live['1'], log_1)
  return #gone > 0 and damaged('keys of it are gone: ' .. table.concat(gone, ', ')) or nil
end

-- What n:<ns> says of a namespace, <count> <order> <id>: how many checkpoints it has, and the order and the id of the newest.
local function parse_space(stored)
  local count, order, id = stored:match('^(%d+) (000%x+) ([^\31]+)$')
  if not count or #count > 15 or count == '0' or #order ~= 16 then
    stop_at_damage('what it notes of a namespace cannot be read')
  end
  return count + 0, order, id
end

-- What is known of a namespace, so that nobody looks in the index for its newest checkpoint: a table of count, order and
-- id. `stored` is n:<ns>, if it was read.
local function space_of(facts, namespace, stored)
  local space = facts.spaces[namespace]
  if space then return space end
  if stored == nil then stored = redis.call('HGET', thread, 'n:' .. namespace) end
  if stored then
    local count, order, id = parse_space(stored)
    if order > facts.order then stop_at_damage('what it notes of a namespace cannot be') end
    space = { count = count, order = order, id = id }
  else
    local first, last = range_of(namespace)
    if facts.checkpoints > 0 and redis.call('ZRANGEBYLEX', index, first, last, 'LIMIT', 0, 1)[1] then
      stop_at_damage('what it notes of a namespace is gone')
    end
    space = { count = 0, id = '' }
  end
  facts.spaces[namespace] = space
  return space
end

-- An error unless a namespace is noted with this newest checkpoint, which its index ends with.
local function misnoted(facts, namespace, order, id, stored)
  local space = space_of(facts, namespace, stored)
  if space.order ~= order or space.id ~= id then
    return damaged('its index and what it notes of the newest checkpoint of a namespace differ')
  end
end

-- Write the facts, and what is known of the namespaces that were looked at.
local function write_facts(facts)
  local space_field, space_text
  local packed = string.format('1 %s %s %s %d %s %d %d %d %d %s %s %d %d %d %d %d', facts.created, facts.updated,
    facts.ttl, facts.deadline, facts.order, facts.checkpoints, facts.namespaces, facts.bytes, facts.written, facts.slot,
    facts.generation, facts.length, facts.dropped, facts.live['0'], facts.live['1'], facts.gone)
  for namespace, space in pairs(facts.spaces) do
    if space.count > 0 then
      -- The last of them, mostly the only one, is written together with the facts.
      if space_field then redis.call('HSET', thread, space_field, space_text) end
      space_field, space_text = 'n:' .. namespace, space.count .. ' ' .. space.order .. ' ' .. space.id
    end
  end
  if space_field then
    redis.call('HSET', thread, 'facts', packed, space_field, space_text)
  else
    redis.call('HSET', thread, 'facts', packed)
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
-- would come later by less than a hundredth of the ttl stays as it is, unless `anew` says that a key was made just now.
-- Returns whether the keys must be given the deadline of the facts, which then are to be written.
local function choose_deadline(facts, ttl, now, anew)
  local deadline = 0
  if ttl ~= '' then
    deadline = math.floor(now / 1000) + ttl
    if facts.lease then
      local _, held_until = parse_lease(facts.lease)
      deadline = math.max(deadline, math.ceil(held_until / 1000))
    end
    if not anew and ttl == facts.ttl and not is_due(ttl, facts.deadline, deadline) then return false end
  elseif facts.deadline == 0 and not anew then
    return false
  end
  facts.deadline = deadline
  return true
end

-- Put the deadline of the facts on every key of the thread.
local function give_deadline(id, facts)
  if facts.deadline == 0 then
    for key = 1, OWN_KEYS do redis.call('PERSIST', KEYS[key]) end
    if deadlines then redis.call('ZREM', deadlines, id) end
  else
    local deadline = integer(facts.deadline)
    for key = 1, OWN_KEYS do redis.call('PEXPIREAT', KEYS[key], deadline) end
    if deadlines then redis.call('ZADD', deadlines, deadline, id) end
  end
end
