-- What every script of a thread shares: its keys, the clock, the facts, the deadline. Stands before each of them.
-- KEYS  1 thread (hash)   2 index (zset)   3 checkpoints (hash)   4 writes (hash)   5 log:0   6 log:1 (strings)
--       7 threads (zset: last write, µs)   8 deadlines (zset: ms)      both absent on a cluster
--
-- A checkpoint's record begins with 70 bytes in plain: format version (1), order (16 hex digits), generation of the log
-- (16 hex), its slot (1: 0, 1, or - for none), where the bytes that this put appended begin (10 hex), how many they are
-- (10 hex), the random name of the put (16 hex); the last three prove where its bytes are. Then its segments up to the first US, [+]<offset>:<length stored>… with commas between; + counts from where
-- the appended bytes begin. Version and order stand there in every version.
-- A manifest names the writes of a checkpoint: 1:<count>:<bytes> US <identity 1> US <identity 2> US; the n-th write
-- stands in the field <ns> US <id> US <n>. If they are encrypted, :<version> follows <bytes>, another for every batch.
-- Nothing that is stored decides how much a script does: counts and lengths are held against what is there before any loop.
-- The thread hash holds the facts (see load_facts), the lease, in n:<ns> how many checkpoints a namespace has, and in
-- gone how many records were ever dropped or replaced, which tells a copy that it has missed some.

local US = '\31'
local thread, index, checkpoints, writes = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local logs = { ['0'] = KEYS[5], ['1'] = KEYS[6] }
local threads, deadlines = KEYS[7], KEYS[8]
local OWN_KEYS = 6

local function microseconds()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end

-- Numbers of more than 14 digits must not take Lua's own way to a string.
local function integer(number)
  return string.format('%.0f', number)
end

-- All members of a namespace, as bounds of a lexicographic range: US is 0x1F, and 0x20 comes next.
local function range_of(namespace)
  return '[' .. namespace .. US, '(' .. namespace .. ' '
end

-- For what is found deep within a script; scripts that change something look at all that they need before they do.
local function stop_at_damage(what)
  error('DAMAGED ' .. what)
end

-- Order 2^52, in µs, is in the year 2112: a larger one is a lie, and would leave no room for the next.
local ORDER = '^000' .. string.rep('[0-9a-f]', 13) .. '$'
local MEMBER = '^([^\31]*)\31(' .. string.rep('[0-9a-f]', 16) .. ')\31([^\31]*)$'

local function parse_member(member)
  local namespace, order, id = member:match(MEMBER)
  if not namespace or not order:match(ORDER) then stop_at_damage('its index has an entry that is none') end
  return namespace, order, id
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

-- A thread lives in several keys. One of them missing while another is there means that something removed it.
local function damaged(what)
  return redis.error_reply('DAMAGED ' .. what)
end

-- A fact that is a number; 0 for one that was never stored.
local function number_of(fact)
  if not fact then return 0 end
  if #fact > 16 or not fact:match('^%d+$') then stop_at_damage('its facts are not what a saver stores') end
  return tonumber(fact)
end

local GENERATION = '^' .. string.rep('[0-9a-f]', 16) .. '$'

-- The facts of a thread, and one more field of its hash if asked for; or nil and an error if the thread is not whole.
-- order: of the last checkpoint. written: checkpoints with writes. bytes: of records and writes. ttl: ms or ''.
-- slot, generation, length: of the current log. dropped: how much of it was appended by checkpoints that are gone.
-- live: checkpoints in each slot.
local function load_facts(field)
  local found = redis.call('HMGET', thread, 'created', 'order', 'ttl', 'checkpoints', 'namespaces', 'bytes', 'written',
    'slot', 'generation', 'length', 'dropped', 'live:0', 'live:1', 'lease', field or 'lease')
  local facts = {
    created = found[1], order = tonumber(found[2] or '0', 16), ttl = found[3] or '', checkpoints = number_of(found[4]),
    namespaces = number_of(found[5]), bytes = number_of(found[6]), written = number_of(found[7]),
    slot = found[8] or '-', generation = found[9] or '', length = number_of(found[10]), dropped = number_of(found[11]),
    live = { ['0'] = number_of(found[12]), ['1'] = number_of(found[13]) }, lease = found[14],
  }
  number_of(found[1])
  if facts.ttl ~= '' then number_of(facts.ttl) end
  if (found[2] and not found[2]:match(ORDER)) or (facts.slot ~= '-' and not logs[facts.slot])
    or (facts.generation ~= '' and not facts.generation:match(GENERATION))
    or (facts.slot ~= '-' and facts.generation == '') or facts.length >= 2 ^ 40 then
    stop_at_damage('its facts are not what a saver stores')
  end
  if not facts.created then
    if redis.call('EXISTS', unpack(KEYS, 2, OWN_KEYS)) > 0 then return nil, damaged('the key of its facts is gone') end
    return facts, false, found[15]
  end
  local needed = {}
  if facts.checkpoints > 0 then needed = { index, checkpoints } end
  if facts.written > 0 then needed[#needed + 1] = writes end
  if facts.live['0'] > 0 then needed[#needed + 1] = logs['0'] end
  if facts.live['1'] > 0 then needed[#needed + 1] = logs['1'] end
  if #needed > 0 and redis.call('EXISTS', unpack(needed)) < #needed then
    local gone = {}
    for _, key in ipairs(needed) do
      if redis.call('EXISTS', key) == 0 then gone[#gone + 1] = key:match('}:(.*)$') end
    end
    return nil, damaged('keys of it are gone: ' .. table.concat(gone, ', '))
  end
  return facts, false, found[15]
end

-- A lease is <token> <deadline, µs> <attempt> <owner>. It is held until its deadline; its token is never used again.
local function parse_lease(lease)
  local token, deadline, attempt, owner = (lease or '0 0 - '):match('^(%d+) (%d+) (%S+) (.*)$')
  if not token or #token > 16 or #deadline > 16 then stop_at_damage('its lease cannot be read') end
  return token, tonumber(deadline), attempt, owner
end

-- One deadline on every key of the thread: `ttl` ms from now, or none (''). A thread outlives its lease.
local function set_deadline(id, ttl, now, lease)
  if ttl == '' then
    for key = 1, OWN_KEYS do redis.call('PERSIST', KEYS[key]) end
    if deadlines then redis.call('ZREM', deadlines, id) end
  else
    local deadline = math.floor(now / 1000) + ttl
    if lease then
      local _, held_until = parse_lease(lease)
      deadline = math.max(deadline, math.ceil(held_until / 1000))
    end
    deadline = integer(deadline)
    for key = 1, OWN_KEYS do redis.call('PEXPIREAT', KEYS[key], deadline) end
    if deadlines then redis.call('ZADD', deadlines, deadline, id) end
  end
end
