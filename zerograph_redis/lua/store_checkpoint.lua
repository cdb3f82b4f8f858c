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
  local live, length = facts.live, facts.length + size
  local free = live['0'] == 0 and '0' or live['1'] == 0 and '1'
  local anew = facts.slot == '-' or (free and ((facts.dropped > 4096 and facts.dropped > 2 * needed)
    or length > 32 * 1024 * 1024))
  return anew, free, not anew and length > 500 * 1024 * 1024
    and redis.error_reply('FULL the states of the thread differ by more than its two logs can hold: prune it')
end

-- Whether the segments of a put refer to what is there: `base` is the record of the checkpoint that they were taken from.
-- A log keeps its bytes for as long as it has a checkpoint, so the very record being there proves those that it names.
local function is_proven(facts, put, base, anew)
  if put.generation == '' then return true end
  if anew or put.generation ~= facts.generation or not base then return false end
  local _, generation, _, proof = read_header(base)
  return generation == put.generation and proof == put.base_proof
end

-- Append to the log for so many checkpoints; or to a new one of this name in the slot `free`, if there is a name.
-- Returns slot, generation, and where the bytes begin.
local function append_to_log(facts, appended, users, name, free)
  if name then facts.slot, facts.generation, facts.length, facts.dropped = free, name, 0, 0 end
  local slot, start = facts.slot, facts.length
  if #appended > 0 then
    facts.length = redis.call('APPEND', logs[slot], appended)
    start = facts.length - #appended
  end
  if facts.live[slot] == 0 then facts.made_key = true end
  facts.live[slot] = facts.live[slot] + users
  return slot, facts.generation, start
end

-- Let go of what the saver no longer keeps in the namespace of a put, a bounded number at a time.
local function retain(facts, put, now)
  local drop = dropping(facts)
  local first, last = range_of(put.namespace)
  local space = facts.spaces[put.namespace]
  local function drop_oldest(upper, most)
    if most <= 0 then return end
    local oldest = redis.call('ZRANGEBYLEX', index, first, upper, 'LIMIT', 0, math.min(most, 16))
    for _, member in ipairs(oldest) do drop(member) end
    space.count = math.max(space.count - #oldest, 1)
  end
  if put.keep_last ~= '' then drop_oldest(last, space.count - put.keep_last) end
  if put.max_age ~= '' then
    local oldest_kept = string.format('%016x', math.max(now - put.max_age, 0))
    drop_oldest('(' .. put.namespace .. US .. oldest_kept, space.count - 1)
  end
end

-- Store a checkpoint: under the next order of its thread, or, if the id is known, in the place of the earlier one; then
-- let go of what is no longer kept. `put` is what put_checkpoint is told. The facts are changed, and not yet written.
-- In a batch, all was looked at and appended before, and `log` says where: slot, generation, start.
-- Returns {order, generation, where the appended bytes begin}; or, if nothing was stored, false or an error reply.
local function store_checkpoint(facts, put, now, log)
  local namespace, id, attempt, appended, needed = put.namespace, put.checkpoint_id, put.attempt, put.appended, put.needed + 0
  local space = space_of(facts, namespace)
  local field = namespace .. US .. id
  local earlier, base, parent = unpack(redis.call('HMGET', checkpoints, field, namespace .. US .. put.base_id,
    namespace .. US .. put.parent_id))
  local earlier_order
  if earlier then
    local earlier_generation, proof, _
    earlier_order, earlier_generation, _, proof = read_header(earlier)
    if not earlier_order:match(ORDER) then return damaged('a record has no order') end
    local start, _, name = parse_proof(proof)
    -- This very put was done already: it is tried again, since its reply was lost.
    if name == attempt and not log then return { earlier_order, earlier_generation, start } end
  elseif put.expected ~= '' and put.expected ~= '=' .. space.id then
    return redis.error_reply('CONFLICT ' .. space.id)
  end

  local anew, free, full
  if not log then
    anew, free, full = next_log(facts, needed, #appended)
    if not is_proven(facts, put, base, anew) then return false end
    if put.parent_order ~= '' then
      local parent_order = parent and read_header(parent)
      if parent_order ~= put.parent_order or (earlier and earlier_order <= parent_order) then return false end
    end
    if full then return full end
  end

  local order = string.format('%016x', now)
  if order <= facts.order then order = string.format('%016x', tonumber(facts.order, 16) + 1) end
  facts.order = order
  local slot, generation, start = '-', '0000000000000000', 0
  if needed > 0 then
    if log then
      slot, generation, start = unpack(log)
    else
      slot, generation, start = append_to_log(facts, appended, 1, anew and log_name(attempt, order), free)
    end
  end

  if not earlier then
    redis.call('ZADD', index, 0, namespace .. US .. facts.order .. US .. id)
    if facts.checkpoints == 0 then facts.made_key = true end
    if space.count == 0 then facts.namespaces = facts.namespaces + 1 end
    facts.checkpoints, space.count, space.order, space.id = facts.checkpoints + 1, space.count + 1, facts.order, id
  end
  local place = earlier_order or facts.order
  local record = put.version .. place .. generation .. slot .. string.format('%010x%010x', start, #appended) .. attempt
    .. put.record
  redis.call('HSET', checkpoints, field, record)
  facts.bytes = facts.bytes + #record
  if earlier then
    facts.bytes = math.max(facts.bytes - #earlier, 0)
    facts.gone = facts.gone + 1
    local _, release = dropping(facts)
    release(earlier)
  end
  if put.keep_last ~= '' or put.max_age ~= '' then retain(facts, put, now) end
  return { place, generation, start }
end
