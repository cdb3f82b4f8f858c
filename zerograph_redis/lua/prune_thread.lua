-- Drop all but the newest checkpoints of every namespace, with their writes, a bounded number at a time.
-- KEYS  of the thread, see thread.lua
-- ARGV  id: the thread   keep: how many to keep   slice: the name of this call   cursor: where to begin: '-', or the
--       cursor of the last reply   token: of the lease, or ''   max_age: drop only what is older, µs, or ''
-- Reply {how many were dropped, cursor or nil}; a slice that was answered already gets the same reply again

local now = microseconds()
local facts, found = read_facts(KEYS.thread, 'pruned')
local failure = missing_keys(facts) or refused(facts.lease, token, now)
if failure then return failure end
if found[3] then
  local name, dropped, following = found[3]:match('^(%S+) (%d+) (.*)$')
  if name == slice then return { tonumber(dropped), following ~= '' and following } end
end

keep = tonumber(keep)
local before = max_age ~= '' and string.format('%016x', math.max(now - max_age, 0))
local dropped, budget = 0, 200
while budget > 0 do
  local member = redis.call('ZRANGEBYLEX', KEYS.index, cursor, '+', 'LIMIT', 0, 1)[1]
  if not member then
    cursor = ''
    break
  end
  local namespace = parse_member(member)
  local first, last = range_of(namespace)
  local count = redis.call('ZLEXCOUNT', KEYS.index, first, last)
  local done = count <= keep
  if not done then
    local most = math.min(count - keep, budget)
    local upper = before and '(' .. namespace .. US .. before or last
    local oldest = redis.call('ZRANGEBYLEX', KEYS.index, first, upper, 'LIMIT', 0, most)
    local removed = 0
    while budget > 0 and removed < #oldest do
      removed = removed + 1
      budget = budget - drop(facts, oldest[removed])
    end
    dropped, count = dropped + removed, count - removed
    done = count <= keep or (removed == #oldest and #oldest < most)
    if count > 0 then
      local _, _, newest = parse_member(redis.call('ZREVRANGEBYLEX', KEYS.index, last, first, 'LIMIT', 0, 1)[1])
      local record = redis.call('HGET', KEYS.checkpoints, namespace .. US .. newest)
      if record then redis.call('HSET', KEYS.thread, namespace .. US, note_of(record, newest)) end
    else
      redis.call('HDEL', KEYS.thread, namespace .. US)
      facts.namespaces = math.max(facts.namespaces - 1, 0)
    end
  end
  if done then cursor = '(' .. namespace .. ' ' end
  budget = budget - 1
end

if dropped > 0 then
  redis.call('HSET', KEYS.thread, 'pruned', slice .. ' ' .. dropped .. ' ' .. cursor)
  if facts.checkpoints == 0 and facts.with_writes + 0 == 0 then
    -- Only the reply to this slice, for which a retry may ask, and a lease are left.
    local _, held_until = parse_lease(facts.lease)
    local left = math.max(60000, math.ceil((held_until - now) / 1000))
    facts.created, facts.ttl, facts.deadline = '0', '', math.floor(now / 1000) + left
    redis.call('PEXPIREAT', KEYS.thread, integer(facts.deadline))
    unindex(id)
  end
  write_facts(facts)
end
return { dropped, cursor ~= '' and cursor }
