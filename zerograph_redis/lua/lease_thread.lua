-- Take, renew, give back, break or look at the lease of a thread. Tokens of a thread only ever grow.
-- ARGV  id: the thread   action: 'take', 'renew', 'release', 'break' or 'look'   token: of the lease, or ''
--       attempt: the name of the attempt to take or break it, or '-'   owner   lifetime: for how long, ms
-- A release may name the attempt alone: it undoes a take whose reply never came.
-- Reply {token, attempt, owner, for how long it is held now, ms}

local now = microseconds()
local stored = redis.call('HGET', KEYS.thread, 'lease')
if stored and action == 'break' and not pcall(parse_lease, stored) then
  -- Nobody can hold one that cannot be read. Tokens still grow, as the clock does.
  stored = '0 ' .. integer(now + 1) .. ' - '
end
local current, deadline, holder, held_by = parse_lease(stored)
local held = deadline > now
local mine = held and (token == current or holder == attempt)

if action == 'take' and not held then
  current, holder, held_by = integer(math.max(now, current + 1)), attempt, owner
  mine = true
end
if mine and (action == 'take' or action == 'renew') then
  deadline = now + lifetime * 1000
elseif action == 'break' and held then
  -- Whoever held it keeps a token that is the current one and is not held: its next write is refused.
  deadline, holder = 0, attempt
elseif mine and action == 'release' then
  deadline = 0
else
  return { current, holder, held_by, held and math.ceil((deadline - now) / 1000) or 0 }
end
local lease = current .. ' ' .. integer(deadline) .. ' ' .. holder .. ' ' .. held_by
local left = deadline > 0 and math.ceil((deadline - now) / 1000) or 0
local readable, facts = pcall(read_facts, KEYS.thread)
redis.call('HSET', KEYS.thread, 'lease', lease)
if readable and facts.created == '0' then
  -- Nothing but the lease is here. Its token outlives it for a while, though tokens grow with the clock too.
  redis.call('PEXPIRE', KEYS.thread, left + 60000)
elseif readable and left > 0 then
  -- Who holds a thread uses it.
  facts.lease = lease
  refresh(id, facts)
end
return { current, holder, held_by, left }
