-- Shared by the scripts that store checkpoints.

-- The name of a log that a put begins: neither another put, nor the same one done again, begins one of that name.
local function log_name(attempt, order)
  local high = tonumber(attempt:sub(1, 8), 16) + tonumber(order:sub(1, 8), 16)
  local low = tonumber(attempt:sub(9), 16) + tonumber(order:sub(9), 16)
  return string.format('%08x%08x', high % 2 ^ 31, low % 2 ^ 32)
end

-- Whether a new log must begin for so many more bytes, the slot that is free for one, and the error if there is no room.
-- Rubbish in the log is what gone checkpoints appended. Most of it may still be in use, but not all if it is more than
-- twice what the newest state needs. And a short log is quickly appended to and freed.
local function next_log(facts, needed, size)
  local length, dropped = facts.length + size, facts.dropped + 0
  local free = facts['0'] + 0 == 0 and '0' or facts['1'] + 0 == 0 and '1'
  local begins_log = facts.slot == '-' or (free and ((dropped > 4096 and dropped > 2 * needed) or length > 32 * 1024 * 1024))
  return begins_log, free, not begins_log and length > 500 * 1024 * 1024
    and redis.error_reply('FULL the states of the thread differ by more than its two logs can hold: prune it')
end

-- Whether the segments of a put refer to what is there: `base` names the checkpoint that they were taken from, `note` says
-- of the newest one of the namespace what the record of that says, too.
-- A log keeps its bytes for as long as it has a checkpoint, so the very record being there proves those that it names.
local function is_proven(facts, begin, base, note, begins_log)
  if begins_log or base:sub(1, 16) ~= facts.generation then return false end
  -- Both are as long, so it stands there if anywhere.
  if note and #note == NOTED_BASE - 1 + #base and note:find(base, NOTED_BASE, true) then return true end
  -- with read_header
  local record = redis.call('HGET', KEYS.checkpoints, begin .. base:sub(55))
  if not record then return false end
  local _, generation, _, proof = read_header(record)
  return generation == facts.generation and proof == base:sub(18, 53)
end

-- Append to the log for so many checkpoints; or to a new one of this name in the slot `free`, if there is a name.
-- Returns slot, generation, and where the bytes begin.
local function append_to_log(facts, appended, users, name, free)
  if name then facts.slot, facts.generation, facts.length, facts.dropped = free, name, 0, 0 end
  local slot, start = facts.slot, facts.length
  if appended ~= '' then
    facts.length = redis.call('APPEND', slot == '0' and KEYS.log_0 or KEYS.log_1, appended)
    start = facts.length - #appended
  end
  local held = facts[slot] + 0
  if held == 0 then facts.made_key = true end
  facts[slot] = held + users
  return slot, facts.generation, start
end

-- The order after all that were given out.
local function next_order(facts, now)
  local order = string.format('%016x', now)
  if order <= facts.order then order = string.format('%016x', tonumber(facts.order, 16) + 1) end
  facts.order = order
  return order
end

-- Let go of what the saver no longer keeps in a namespace, a bounded number at a time.
local function retain(facts, namespace, keep_last, max_age, now)
  local first, last = range_of(namespace)
  local count = redis.call('ZLEXCOUNT', KEYS.index, first, last)
  local function drop_oldest(upper, most)
    if most <= 0 then return end
    local oldest = redis.call('ZRANGEBYLEX', KEYS.index, first, upper, 'LIMIT', 0, math.min(most, 16))
    for _, member in ipairs(oldest) do drop(facts, member) end
    count = count - #oldest
  end
  if keep_last ~= '' then drop_oldest(last, count - keep_last) end
  if max_age ~= '' then
    local oldest_kept = string.format('%016x', math.max(now - max_age, 0))
    drop_oldest('(' .. namespace .. US .. oldest_kept, count - 1)
  end
end

-- Store a checkpoint under `order`, or, if the id is known, in the place of the earlier one. `start`: where what it appended
-- begins in the log. `name`, `version`, `record`: see put_checkpoint. The facts are changed, and not yet written.
-- Returns its order, and the note of the namespace if it is the newest.
local function store_checkpoint(facts, begin, id, order, slot, generation, start, name, version, record, earlier, note)
  local field, newest = begin .. id, true
  if earlier then
    order = earlier:sub(2, 17)
    newest = note and note:sub(NOTED_ID) == id
  else
    redis.call('ZADD', KEYS.index, 0, begin .. order .. US .. id)
    if facts.checkpoints == '0' then facts.made_key = true end
    if not note then facts.namespaces = facts.namespaces + 1 end
    facts.checkpoints = facts.checkpoints + 1
  end
  start = string.format('%010x', start)
  record = version .. order .. generation .. slot .. start .. name .. record
  redis.call('HSET', KEYS.checkpoints, field, record)
  facts.bytes = facts.bytes + #record
  if earlier then
    -- with release
    facts.bytes = math.max(facts.bytes - #earlier, 0)
    facts.gone = facts.gone + 1
    release(facts, earlier)
  end
  return order, newest and order .. ' ' .. slot .. ' ' .. generation .. ' ' .. start .. name .. ' ' .. id
end
