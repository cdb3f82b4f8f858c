-- Shared by the scripts that write to a thread: who may, and what is noted of every write.

-- The error for a write that may not be: one without a token ('') while anyone holds the thread, one with a token that is
-- not the current one.
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

-- Threads that expired take no room in the list: every now and then a write takes some of them out.
local function forget_expired(now)
  local expired = redis.call('ZRANGEBYSCORE', KEYS.deadlines, '-inf', string.format('%d', now / 1000), 'LIMIT', 0, 100)
  if #expired > 0 then
    redis.call('ZREM', KEYS.deadlines, unpack(expired))
    redis.call('ZREM', KEYS.threads, unpack(expired))
  end
end

-- Rank a thread as the newest of the list of threads.
local function rank(id, updated, now)
  if not KEYS.threads then return end
  redis.call('ZADD', KEYS.threads, updated, id)
  if now % 8 == 0 then
    -- with forget_expired
    forget_expired(now)
  end
end

-- Write the facts with what every write changes, and perhaps the note of a namespace, and rank the thread as the newest.
-- `left` may say that less of the ttl is left than all of it, `updated` that the last write was earlier than now.
local function save_facts(id, facts, ttl, now, field, note, left, updated)
  updated = updated or string.format('%d', now)
  local moved = false
  if ttl ~= '' or facts.deadline ~= '0' or facts.lease then
    -- with choose_deadline
    -- A new thread may have a key already, with the deadline of its lease.
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
  rank(id, updated, now)
end

-- Count that a record no longer uses the log. A log that no checkpoint uses is removed.
local function release(facts, record)
  local _, _, slot, proof = read_header(record)
  local _, appended = parse_proof(proof)
  -- A record that is damaged holds nothing that could be found; it must not keep a thread from being pruned.
  if not facts[slot] or not appended then return end
  facts[slot] = math.max(facts[slot] - 1, 0)
  if slot == facts.slot then facts.dropped = facts.dropped + appended end
  if facts[slot] == 0 then
    redis.call('UNLINK', log_of(slot))
    if slot == facts.slot then
      facts.slot, facts.length, facts.dropped = '-', 0, 0
    end
  end
end

-- Remove a checkpoint together with its writes, and mend the facts. Returns how many fields that took.
local function drop(facts, member)
  local namespace, _, id = parse_member(member)
  local field = namespace .. US .. id
  local record = redis.call('HGET', KEYS.checkpoints, field)
  redis.call('ZREM', KEYS.index, member)
  facts.gone = facts.gone + 1
  facts.checkpoints = math.max(facts.checkpoints - 1, 0)
  if record then
    facts.bytes = math.max(facts.bytes - #record, 0)
    release(facts, record)
    redis.call('HDEL', KEYS.checkpoints, field)
  end
  local manifest = redis.call('HGET', KEYS.writes, field)
  if not manifest then return 1 end
  -- Of a manifest that is damaged nothing more could be found; it must not keep a thread from being pruned either.
  local count, size = parse_manifest(manifest)
  count, size = math.min(count or 0, redis.call('HLEN', KEYS.writes) - 1), size or 0
  facts.bytes = math.max(facts.bytes - size, 0)
  facts.written = math.max(facts.written - 1, 0)
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
