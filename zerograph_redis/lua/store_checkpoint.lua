-- Shared by the scripts that store checkpoints.

-- The name of the log that a put begins. Neither another put, nor the same put later, begins a log of that name.
local function log_name(attempt, order)
  local high = tonumber(attempt:sub(1, 8), 16) + tonumber(order:sub(1, 8), 16)
  local low = tonumber(attempt:sub(9), 16) + tonumber(order:sub(9), 16)
  return string.format('%08x%08x', high % 2 ^ 31, low % 2 ^ 32)
end

-- Whether a new log must begin for `size` more bytes, the number that is free for a log, and the error if there is no
-- room. Garbage in the log is what removed checkpoints appended. Much of it may still be in use, but not all if it is
-- more than twice what the newest state needs. And a short log is quick to append to and to free.
local function next_log(facts, needed, size)
  local length, garbage = facts.length + size, facts.garbage + 0
  local free = facts['0'] + 0 == 0 and '0' or facts['1'] + 0 == 0 and '1'
  local begins_log = facts.log == '-' or (free and ((garbage > 4096 and garbage > 2 * needed) or length > 32 * 1024 * 1024))
  return begins_log, free, not begins_log and length > 500 * 1024 * 1024
    and redis.error_reply('FULL the states of the thread differ by more than its two logs can hold: prune it')
end

-- Whether the bytes that the segments of a put refer to exist. `base` names the checkpoint that they were taken from;
-- `note` is the note of the namespace, with the same proof if that is the newest. A log keeps its bytes while a
-- checkpoint uses it, so the record itself proves the bytes that it names.
local function is_proven(facts, begin, base, note, begins_log)
  if begins_log or base:sub(1, 16) ~= facts.generation then return false end
  -- Both have the same length, so the base can only be at that place.
  if note and #note == NOTED_BASE - 1 + #base and note:find(base, NOTED_BASE, true) then return true end
  -- with read_header
  local record = redis.call('HGET', KEYS.checkpoints, begin .. base:sub(55))
  if not record then return false end
  local _, generation, _, proof = read_header(record)
  return generation == facts.generation and proof == base:sub(18, 53)
end

-- Append to the current log for `users` checkpoints; with a `name`, to a new log of that name and the number `free`.
-- Returns log, generation, and where the bytes begin.
local function append_to_log(facts, appended, users, name, free)
  if name then facts.log, facts.generation, facts.length, facts.garbage = free, name, 0, 0 end
  local log, start = facts.log, facts.length
  if appended ~= '' then
    facts.length = redis.call('APPEND', log == '0' and KEYS.log_0 or KEYS.log_1, appended)
    start = facts.length - #appended
  end
  local held = facts[log] + 0
  if held == 0 then facts.made_key = true end
  facts[log] = held + users
  return log, facts.generation, start
end

-- The order after all that were assigned.
local function next_order(facts, now)
  local order = string.format('%016x', now)
  if order <= facts.order then order = string.format('%016x', tonumber(facts.order, 16) + 1) end
  facts.order = order
  return order
end

-- Drop the checkpoints of a namespace that the saver no longer keeps, a bounded number at a time.
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

-- Store a checkpoint under `order`, or, if its id is known, in place of the earlier one. `start`: where its appended
-- bytes begin in the log. `name`, `version`, `record`: see put_checkpoint. The facts are changed, but not yet written.
-- Returns its order, and the note of the namespace if it is the newest.
local function store_checkpoint(facts, begin, id, order, log, generation, start, name, version, record, earlier, note)
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
  record = version .. order .. generation .. log .. start .. name .. record
  redis.call('HSET', KEYS.checkpoints, field, record)
  facts.bytes = facts.bytes + #record
  if earlier then
    -- with release
    facts.bytes = math.max(facts.bytes - #earlier, 0)
    facts.removed = facts.removed + 1
    release(facts, earlier)
  end
  return order, newest and order .. ' ' .. log .. ' ' .. generation .. ' ' .. start .. name .. ' ' .. id
end
