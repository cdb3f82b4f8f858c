-- Store checkpoints and pending writes of a thread in the order in which they come: all of them, or none.
-- ARGV  id: the thread   ttl: ms or ''   token: of the lease, or ''; then, of each, how many pending writes it has, or ''
--       for a checkpoint, and what put_checkpoint or put_writes is told of it, without any condition:
--       namespace checkpoint_id keep_last max_age version record appended needed generation base_id base_proof expected
--       attempt parent_order parent_id, or namespace checkpoint_id again extends version
-- What the checkpoints append lands at once, one behind the other: so the segments of one may go back to what those before it
-- append. A base checkpoint of the batch itself is not named.
-- Reply {generation, where the appended bytes begin, order of each checkpoint}, or nothing, as put_checkpoint does

local now = microseconds()
local facts = read_facts(thread)
local failure = lost_keys(facts) or refused(facts.lease, token, now)
if failure then return failure end

-- All that a step may stop at is looked at before anything is changed.
local steps, puts, appended, needed, users = {}, {}, {}, 0, 0
local last
local argument = FIRST
while argument <= #ARGV do
  local count, step = ARGV[argument]
  if count == '' then
    step, argument = put_at(argument + 1)
    puts[#puts + 1], appended[#appended + 1] = step, step.appended
    space_of(facts, step.namespace)
    step.earlier = redis.call('HGET', checkpoints, step.namespace .. US .. step.checkpoint_id)
    if step.earlier and not read_header(step.earlier):match(ORDER) then return damaged('a record has no order') end
    if step.needed + 0 > 0 then
      needed, users = math.max(needed, step.needed + 0), users + 1
      last = step
    elseif users == 0 then
      last = step
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

local blob, reply = table.concat(appended), {}
if last and last.earlier then
  local _, generation, _, proof = read_header(last.earlier)
  local start, _, name = parse_proof(proof)
  if name == last.attempt then
    -- This very batch was done already: it is tried again, since its reply was lost. The last put that has a part in the log
    -- appended the end of what the batch did.
    reply = { generation, start + #last.appended - #blob }
    for _, put in ipairs(puts) do
      local order = put.earlier and read_header(put.earlier)
      reply[#reply + 1] = order or '0000000000000000'
    end
    return reply
  end
end

local slot, generation, start = '-', '0000000000000000', 0
if last then
  local anew, free, full = next_log(facts, needed, #blob)
  for _, put in ipairs(puts) do
    local base = put.generation ~= '' and redis.call('HGET', checkpoints, put.namespace .. US .. put.base_id)
    if not is_proven(facts, put, base, anew) then return false end
  end
  if full then return full end
  -- The log has all of its checkpoints from now on, so none that is dropped below takes it along.
  if users > 0 then
    local name = anew and log_name(last.attempt, string.format('%016x', now))
    slot, generation, start = append_to_log(facts, blob, users, name, free)
  end
end
reply = { generation, start }
for _, step in ipairs(steps) do
  if step.attempt then
    reply[#reply + 1] = store_checkpoint(facts, step, now, { slot, generation, start })[1]
    start = start + #step.appended
  else
    store_writes(facts, step, step.first, step.last)
  end
end
save_facts(id, facts, ttl, now)
return reply
