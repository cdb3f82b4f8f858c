-- Drop all but the newest checkpoints of every namespace, with their writes, a bounded number at a time.
-- ARGV  1 thread   2 how many to keep   3 the name of this slice   4 where to begin: '-', or the cursor of the last reply
--       5 token of the lease, or ''   6 how old the others must be to go, µs, or ''
-- Reply {how many were dropped, cursor or nil}; the same again for a slice that was answered already

local id, keep, slice, cursor = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]
local facts, failure, answered = load_facts('pruned')
failure = failure or refused(facts.lease, ARGV[5])
if failure then return failure end
if answered then
  local name, dropped, following = answered:match('^(%S+) (%d+) (.*)$')
  if name == slice then return { tonumber(dropped), following ~= '' and following } end
end

local before = ARGV[6] ~= '' and string.format('%016x', math.max(microseconds() - ARGV[6], 0))
local dropped, budget = 0, 200
while budget > 0 do
  local member = redis.call('ZRANGEBYLEX', index, cursor, '+', 'LIMIT', 0, 1)[1]
  if not member then
    cursor = ''
    break
  end
  local namespace = parse_member(member)
  local first, last = range_of(namespace)
  local count = redis.call('ZLEXCOUNT', index, first, last)
  local done = count <= keep
  if not done then
    local most = math.min(count - keep, budget)
    local upper = before and '(' .. namespace .. US .. before or last
    local oldest = redis.call('ZRANGEBYLEX', index, first, upper, 'LIMIT', 0, most)
    local left = #oldest
    for _, each in ipairs(oldest) do
      budget = budget - drop(each, facts)
      dropped = dropped + 1
      left = left - 1
      if budget <= 0 then break end
    end
    count = count - (#oldest - left)
    done = count <= keep or (left == 0 and #oldest < most)
    if count > 0 then
      redis.call('HSET', thread, 'n:' .. namespace, count)
    else
      redis.call('HDEL', thread, 'n:' .. namespace)
      facts.namespaces = facts.namespaces - 1
    end
  end
  if done then cursor = '(' .. namespace .. ' ' end
  budget = budget - 1
end

if dropped > 0 then
  redis.call('HSET', thread, 'checkpoints', facts.checkpoints, 'namespaces', facts.namespaces, 'bytes', facts.bytes,
    'written', facts.written, 'slot', facts.slot, 'length', facts.length, 'dropped', facts.dropped,
    'live:0', facts.live['0'], 'live:1', facts.live['1'], 'pruned', slice .. ' ' .. dropped .. ' ' .. cursor)
  if facts.checkpoints == 0 and facts.written == 0 then
    -- Nothing is left but the answer to this slice, which a retry may still ask for, and a lease.
    local KEPT = 60000
    local _, deadline = parse_lease(facts.lease)
    redis.call('HDEL', thread, 'created')
    redis.call('HSET', thread, 'ttl', KEPT)
    redis.call('PEXPIRE', thread, math.max(KEPT, math.ceil((deadline - microseconds()) / 1000)))
    if threads then
      redis.call('ZREM', threads, id)
      redis.call('ZREM', deadlines, id)
    end
  end
end
return { dropped, cursor ~= '' and cursor }
