-- Store checkpoints and pending writes of a thread in the order in which they come: all of them, or none.
-- ARGV  id: the thread   ttl: ms or ''   token: of the lease, or ''; then, of each, how many pending writes it has, or ''
--       for a checkpoint, and what put_checkpoint or put_writes is told of it, without any condition:
--       namespace checkpoint_id keep_last max_age version record appended needed generation base_id base_proof expected
--       attempt parent_order parent_id, or namespace checkpoint_id again extends version
-- What the checkpoints append lands at once, and the segments of all of them count from where that begins: so a state may
-- use what one before it appends. A base checkpoint of the batch itself is not named.
-- Reply {generation, where the appended bytes begin, order of each checkpoint}, or nothing, as put_checkpoint does

local now = microseconds()
local facts = read_facts(thread)
local failure = lost_keys(facts) or refused(facts.lease, token, now)
if failure then return failure end

-- All that a step may stop at is looked at before anything is changed.
local steps, puts, appended, needed, users = {}, {}, {}, 0, 0
local argument = FIRST
while argument <= #ARGV do
  local count, step = ARGV[argument]
  if count == '' then
    step, argument = put_at(argument + 1)
    puts[#puts + 1], appended[#appended + 1] = step, step.appended
    needed = math.max(needed, step.needed + 0)
    if step.needed + 0 > 0 then users = users + 1 end
    space_of(facts, step.namespace)
    local earlier = redis.call('HGET', checkpoints, step.namespace .. US .. step.checkpoint_id)
    if earlier then
      local order, generation, _, proof = read_header(earlier)
      if not order:match(ORDER) then return damaged('a record has no order') end
      step.earlier = { order, generation, parse_proof(proof) }
    end
  else
    step, argument = batch_at(argument + 1)
    step.first = argument
    argument = argument + 2 * count
    local manifest = redis.call('HGET', writes, step.namespace .. US .. step.checkpoint_id)
    if manifest and read_manifest(manifest) >= redis.call('HLEN', writes) then
      stop_at_damage('pending writes of a checkpoint are gone')
    end
  end
  step.last = argument - 1
  steps[#steps + 1] = step
end

local last = puts[#puts]
local done = last and last.earlier
if done and done[5] == last.attempt then
  -- This very batch was done already: it is tried again, since its reply was lost.
  local reply = { done[2], done[3] }
  for _, put in ipairs(puts) do reply[#reply + 1] = put.earlier and put.earlier[1] or '0000000000000000' end
  return reply
end

local batch, blob = { '-', '0000000000000000', 0 }, table.concat(appended)
if last then
  local anew, free, full = next_log(facts, needed, #blob)
  for _, put in ipairs(puts) do
    local base = put.generation ~= '' and redis.call('HGET', checkpoints, put.namespace .. US .. put.base_id)
    if not is_proven(facts, put, base, anew) then return false end
  end
  if full then return full end
  -- The log has all of its checkpoints from now on, so none that is dropped below takes it along.
  if users > 0 then batch = { append_to_log(facts, blob, users, anew and free, last.attempt, now) } end
end
local reply = { batch[2], batch[3] }
for _, step in ipairs(steps) do
  if step.attempt then
    reply[#reply + 1] = store_checkpoint(facts, step, now, batch)[1]
  else
    store_writes(facts, step, step.first, step.last)
  end
end
save_facts(id, facts, ttl, now)
return reply
