-- Store a checkpoint: under the next order of its thread, or, if the id is known, in the place of the earlier one.
-- Then let go of what the saver no longer keeps in this namespace, a bounded number at a time.
-- ARGV  1 thread   2 namespace   3 checkpoint id   4 ttl, ms or ''   5 how many to keep, or ''   6 how old to keep, µs
--       or ''   7 format version   8 record from its segments on   9 bytes to append to the log
--       10 how much of the log the state needs   11 generation that the segments refer to, or ''; then, of the
--       checkpoint that they were taken from,   12 id   13 proof: what its record has behind the slot   14 token of the
--       lease, or ''   15 '' or '=' and the id that the newest checkpoint must have, '=' alone for none   16 random name
--       of this put   17 order of the parent that the record says it follows, or ''   18 id of that parent
-- Reply {order, generation, where the appended bytes begin}, or nothing if the segments refer to what is not there, or
--       a new log begins: then the state must be sent whole; or if the checkpoint does not follow that parent

local id, namespace, checkpoint_id, ttl = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local keep_last, max_age = tonumber(ARGV[5]), tonumber(ARGV[6])
local appended, needed, attempt = ARGV[9], tonumber(ARGV[10]), ARGV[16]
local counter = 'n:' .. namespace
local facts, failure, counted = load_facts(counter)
failure = failure or refused(facts.lease, ARGV[14])
if failure then return failure end
local first, last = range_of(namespace)
local field = namespace .. US .. checkpoint_id
local earlier = redis.call('HGET', checkpoints, field)
if earlier and not earlier:sub(2, 17):match(ORDER) then return damaged('a record has no order') end
if ARGV[15] ~= '' and not earlier then
  local none = US .. string.rep('0', 16) .. US
  local _, _, newest = parse_member(redis.call('ZREVRANGEBYLEX', index, last, first, 'LIMIT', 0, 1)[1] or none)
  if '=' .. newest ~= ARGV[15] then return redis.error_reply('CONFLICT ' .. newest) end
end

-- The name of a log that a put begins: neither another put, nor the same one done again, begins one of that name.
local function log_name(name, order)
  local high = tonumber(name:sub(1, 8), 16) + math.floor(order / 2 ^ 32)
  local low = tonumber(name:sub(9), 16) + order % 2 ^ 32
  return string.format('%08x%08x', high % 2 ^ 31, low % 2 ^ 32)
end

local now = microseconds()
local order = math.max(now, facts.order + 1)
local place = string.format('%016x', order)
local generation, base = string.rep('0', 16), 0
local count = number_of(counted)

if earlier and earlier:sub(55, 70) == attempt then
  -- This very put was done already: it is tried again, since its reply was lost.
  place, generation, base = earlier:sub(2, 17), earlier:sub(18, 33), tonumber(earlier:sub(35, 44), 16)
else
  -- Rubbish in the log is what gone checkpoints appended. Most of it may still be in use, but not all if it is more than
  -- twice what the newest state needs. And a short log is quickly appended to and freed.
  local LONGEST, LIMIT = 32 * 1024 * 1024, 500 * 1024 * 1024
  local slot = facts.slot
  local free = facts.live['0'] == 0 and '0' or facts.live['1'] == 0 and '1'
  local anew = slot == '-' or (free and ((facts.dropped > 4096 and facts.dropped > 2 * needed)
    or facts.length + #appended > LONGEST))
  if ARGV[11] ~= '' then
    if anew or ARGV[11] ~= facts.generation then return false end
    -- A log keeps its bytes for as long as it has a checkpoint, so the very record being there proves those that it names.
    local known = redis.call('HGET', checkpoints, namespace .. US .. ARGV[12])
    if not known or known:sub(18, 33) ~= ARGV[11] or known:sub(35, 70) ~= ARGV[13] then return false end
  end
  if ARGV[17] ~= '' then
    local parent = redis.call('HGET', checkpoints, namespace .. US .. ARGV[18])
    if not parent or parent:sub(2, 17) ~= ARGV[17] or (earlier and earlier:sub(2, 17) <= ARGV[17]) then return false end
  end
  if not anew and facts.length + #appended > LIMIT then
    return redis.error_reply('FULL the states of the thread differ by more than its two logs can hold: prune it')
  end

  if needed == 0 then
    slot = '-'
  else
    if anew then
      slot = free
      facts.slot, facts.generation, facts.length, facts.dropped = slot, log_name(attempt, order), 0, 0
    end
    generation, base = facts.generation, facts.length
    if #appended > 0 then
      facts.length = redis.call('APPEND', logs[slot], appended)
      base = facts.length - #appended
    end
    facts.live[slot] = facts.live[slot] + 1
  end

  if earlier then
    place = earlier:sub(2, 17)
  else
    redis.call('ZADD', index, 0, namespace .. US .. place .. US .. checkpoint_id)
    facts.checkpoints = facts.checkpoints + 1
    if count == 0 then facts.namespaces = facts.namespaces + 1 end
    count = count + 1
  end
  local record = ARGV[7] .. place .. generation .. slot .. string.format('%010x%010x', base, #appended)
    .. attempt .. ARGV[8]
  redis.call('HSET', checkpoints, field, record)
  facts.bytes = facts.bytes + #record
  if earlier then
    facts.bytes = math.max(facts.bytes - #earlier, 0)
    release(earlier, facts)
    redis.call('HINCRBY', thread, 'gone', 1)
  end
end

local AT_ONCE = 16
local function drop_oldest(upper, most)
  if most <= 0 then return end
  local oldest = redis.call('ZRANGEBYLEX', index, first, upper, 'LIMIT', 0, math.min(most, AT_ONCE))
  for _, member in ipairs(oldest) do drop(member, facts) end
  count = count - #oldest
end
if keep_last then drop_oldest(last, count - keep_last) end
if max_age then
  drop_oldest('(' .. namespace .. US .. string.format('%016x', math.max(now - max_age, 0)), count - 1)
end

save_facts(id, facts, ttl, now, 'order', string.format('%016x', order), 'checkpoints', facts.checkpoints,
  'namespaces', facts.namespaces, 'slot', facts.slot, 'generation', facts.generation, 'length', facts.length,
  'dropped', facts.dropped, 'live:0', facts.live['0'], 'live:1', facts.live['1'], counter, count)
return { place, generation, integer(base) }
