-- Store checkpoints and pending writes of a thread in the order in which they come: all of them, or none.
-- KEYS  of the thread, see thread.lua
-- ARGV  id: the thread   ttl: ms or ''   token: of the lease, or ''   keep_last   max_age; then for each: how many
--       pending writes it has, or '' for a checkpoint, and its arguments as in put_checkpoint or put_writes, without
--       conditions: begin checkpoint_id version name record appended needed base, or field how and the writes
-- All that the checkpoints append is appended at once, one after the other: so the segments of one may refer to what
-- those before it append. A base checkpoint that is in the batch itself is not named.
-- Reply {generation, where the appended bytes begin, order of each checkpoint}, or nil, as in put_checkpoint

local now = microseconds()
local facts = read_facts(KEYS.thread)
local failure = missing_keys(facts) or refused(facts.lease, token, now)
if failure then return failure end

-- All that may make a step fail is checked before anything is changed.
local steps, puts, appended, needed, users, notes = {}, {}, {}, 0, 0, {}
local last
local argument = FIRST
while argument <= #ARGV do
  local count, first = ARGV[argument], argument + 1
  if count == '' then
    local following, begin, checkpoint_id, _, name, _, its_bytes, its_needed, base = put_at(first)
    argument = following
    local put = { name = name, size = #its_bytes, begin = begin, base = base, needed = its_needed + 0 }
    puts[#puts + 1], appended[#appended + 1] = put, its_bytes
    if notes[begin] == nil then
      notes[begin] = redis.call('HGET', KEYS.thread, begin)
      if not notes[begin] then check_empty(facts, begin:sub(1, -2)) end
    end
    put.earlier = redis.call('HGET', KEYS.checkpoints, begin .. checkpoint_id)
    if put.earlier and not read_header(put.earlier):match(ORDER) then return damaged('a record has no order') end
    if put.needed > 0 then
      needed, users = math.max(needed, put.needed), users + 1
      last = put
    elseif users == 0 then
      last = put
    end
    steps[#steps + 1] = { put = put, first = first }
  else
    local following, field, how = writes_at(first)
    argument = following + 2 * count
    local manifest = redis.call('HGET', KEYS.writes, field)
    if manifest and read_manifest(manifest) >= redis.call('HLEN', KEYS.writes) then
      stop_at_damage('pending writes of a checkpoint are missing')
    end
    steps[#steps + 1] = { field = field, how = how, first = following, last = argument - 1 }
  end
end

local blob, reply = table.concat(appended), {}
if last and last.earlier then
  local _, generation, _, proof = read_header(last.earlier)
  if proof:sub(11) == last.name then
    -- This batch was stored already; it is a retry, since its reply was lost. The last put that uses the log appended the
    -- end of the batch's bytes.
    reply = { generation, parse_proof(proof) + last.size - #blob }
    for _, put in ipairs(puts) do
      reply[#reply + 1] = put.earlier and put.earlier:sub(2, 17) or '0000000000000000'
    end
    return reply
  end
end

local NO_GENERATION = '0000000000000000'
local log, generation, start = '-', NO_GENERATION, 0
if last then
  local begins_log, free, full = next_log(facts, needed, #blob)
  for _, put in ipairs(puts) do
    if put.base ~= '' and not is_proven(facts, put.begin, put.base, notes[put.begin], begins_log) then return false end
  end
  if full then return full end
  -- The log counts all of its checkpoints from here on, so that dropping others below does not remove it.
  if users > 0 then
    local name = begins_log and log_name(last.name:sub(11), string.format('%016x', now))
    log, generation, start = append_to_log(facts, blob, users, name, free)
  end
end
reply = { generation, start }
for _, step in ipairs(steps) do
  local put = step.put
  if put then
    local _, begin, checkpoint_id, version, name, record = put_at(step.first)
    local earlier, note = redis.call('HGET', KEYS.checkpoints, begin .. checkpoint_id), notes[begin]
    local its_log, its_generation, its_start = log, generation, start
    if put.needed == 0 then its_log, its_generation, its_start = '-', NO_GENERATION, 0 end
    reply[#reply + 1], note = store_checkpoint(facts, begin, checkpoint_id, next_order(facts, now), its_log,
      its_generation, its_start, name, version, record, earlier, note)
    start = start + put.size
    if note then
      notes[begin] = note
      redis.call('HSET', KEYS.thread, begin, note)
    end
    if keep_last ~= '' or max_age ~= '' then retain(facts, begin:sub(1, -2), keep_last, max_age, now) end
  else
    store_writes(facts, step.field, step.how, step.first, step.last)
  end
end
save_facts(id, facts, ttl, now)
return reply
