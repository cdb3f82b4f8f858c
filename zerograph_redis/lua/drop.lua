-- Shared by the scripts that remove checkpoints.

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
