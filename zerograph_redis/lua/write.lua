-- Shared by the scripts that write to a thread: who may write, what every write changes, and the removal of checkpoints.

-- The error for a write without a token ('') while a worker holds the thread, or with a token that is not the current
-- one.
local function refused(lease, token, now)
  if not lease and token == '' then return nil end
  local current, deadline, _, owner = parse_lease(lease)
  local left = deadline - now
  if token == '' then
    return left > 0 and redis.error_reply('HELD ' .. integer(left) .. ' ' .. owner)
  elseif left <= 0 or token ~= current then
    return redis.error_reply('LOST ' .. (left > 0 and owner or ''))
  end
end

-- Remove some expired threads from the thread index, now and then, so that they take no room there.
local function forget_expired(now)
  local expired = redis.call('ZRANGEBYSCORE', KEYS.deadlines, '-inf', string.format('%d', now / 1000), 'LIMIT', 0, 100)
  if #expired > 0 then
    redis.call('ZREM', KEYS.deadlines, unpack(expired))
    redis.call('ZREM', KEYS.threads, unpack(expired))
  end
end

-- Remove a thread from the thread index.
local function unindex(id)
  if not KEYS.threads then return end
  redis.call('ZREM', KEYS.threads, id)
  redis.call('ZREM', KEYS.deadlines, id)
end

-- Enter a thread in the thread index as the one written last.
local function enter(id, updated, now)
  if not KEYS.threads then return end
  redis.call('ZADD', KEYS.threads, updated, id)
  if now % 8 == 0 then
    -- with forget_expired
    forget_expired(now)
  end
end

-- Write the facts with what every write changes, and perhaps the note of a namespace, and enter the thread in the thread
-- index. `left`: the part of the ttl that is left, if not all of it. `updated`: the last write, if not now.
local function save_facts(id, facts, ttl, now, field, note, left, updated)
  updated = updated or string.format('%d', now)
  local moved = false
  if ttl ~= '' or facts.deadline ~= '0' or facts.lease then
    -- with choose_deadline
    -- A new thread may already have a key, with the deadline of its lease.
    local key_made = facts.made_key and (ttl ~= '' or facts.deadline + 0 > 0 or (facts.lease and facts.created == '0'))
    moved = choose_deadline(facts, left or ttl, now, key_made)
  end
  if facts.created == '0' then facts.created = updated end
  facts.updated, facts.ttl = updated, ttl
  write_facts(facts, field, note)
  if moved then
    -- with give_deadline
    give_deadline(id, facts)
  end
  enter(id, updated, now)
end

-- Count that a record no longer uses the log. A log that no checkpoint uses is removed.
local function release(facts, record)
  local _, _, log, proof = read_header(record)
  local _, appended = parse_proof(proof)
  -- A damaged record uses no log that could be found, and must not keep a thread from being pruned.
  if not facts[log] or not appended then return end
  facts[log] = math.max(facts[log] - 1, 0)
  if log == facts.log then facts.garbage = facts.garbage + appended end
  if facts[log] == 0 then
    redis.call('UNLINK', log_key(log))
    if log == facts.log then
      facts.log, facts.length, facts.garbage = '-', 0, 0
    end
  end
end

-- Remove a checkpoint with its writes, and adapt the facts. Returns how many fields that took.
local function drop(facts, member)
  local namespace, _, id = parse_member(member)
  local field = namespace .. US .. id
  local record = redis.call('HGET', KEYS.checkpoints, field)
  redis.call('ZREM', KEYS.index, member)
  facts.removed = facts.removed + 1
  facts.checkpoints = math.max(facts.checkpoints - 1, 0)
  if record then
    facts.bytes = math.max(facts.bytes - #record, 0)
    release(facts, record)
    redis.call('HDEL', KEYS.checkpoints, field)
  end
  local manifest = redis.call('HGET', KEYS.writes, field)
  if not manifest then return 1 end
  -- A damaged manifest names no writes that could be found, and must not keep a thread from being pruned either.
  local count, size = parse_manifest(manifest)
  count, size = math.min(count or 0, redis.call('HLEN', KEYS.writes) - 1), size or 0
  facts.bytes = math.max(facts.bytes - size, 0)
  facts.with_writes = math.max(facts.with_writes - 1, 0)
  local fields = { field }
  for number = 1, count do
    fields[#fields + 1] = field .. US .. number
    if #fields == 1000 then
      redis.call('HDEL', KEYS.writes, unpack(fields))
      fields = {}
    end
  end
  if #fields > 0 then redis.call('HDEL', KEYS.writes, unpack(fields)) end
  return 1 + count
end
