-- Take, renew, release, break or read the lease of a thread. The tokens of a thread only ever grow.
-- KEYS  of the thread, see thread.lua
-- ARGV  id: the thread   action: 'take', 'renew', 'release', 'break' or 'read'   token: of the lease, or ''
--       attempt: the name of the attempt to take or break it, or '-'   owner   lifetime: of the lease, ms
-- A release may name the attempt alone: it undoes a take whose reply was lost.
-- Reply {token, attempt, owner, for how many ms the lease is held now}

local now = microseconds()
local stored = redis.call('HGET', KEYS.thread, 'lease')
if stored and action == 'break' and not pcall(parse_lease, stored) then
  -- No worker can hold a lease that cannot be read. Tokens still grow, as the clock does.
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
  -- The owner keeps the current token, which is no longer held: its next write is refused.
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
  -- The thread has nothing but the lease, whose token stays for a while, although tokens grow with the clock too.
  redis.call('PEXPIRE', KEYS.thread, left + 60000)
elseif readable and left > 0 then
  -- A worker that holds a thread uses it.
  facts.lease = lease
  refresh(id, facts)
end
return { current, holder, held_by, left }
