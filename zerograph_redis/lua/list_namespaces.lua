-- Tell which namespaces a thread has, a bounded number at a time.
-- ARGV  1 where to begin: '-', or the cursor of the last reply
-- Reply {list of {namespace, how many checkpoints, order of the newest}, cursor or nil}

local failure = check_whole()
if failure then return failure end
local cursor = ARGV[1]
local found = {}
for _ = 1, 200 do
  local member = redis.call('ZRANGEBYLEX', index, cursor, '+', 'LIMIT', 0, 1)[1]
  if not member then return { found, false } end
  local namespace = parse_member(member)
  local first, last = range_of(namespace)
  local _, order = parse_member(redis.call('ZREVRANGEBYLEX', index, last, first, 'LIMIT', 0, 1)[1])
  found[#found + 1] = { namespace, redis.call('HGET', thread, 'n:' .. namespace) or '0', order }
  cursor = '(' .. namespace .. ' '
end
return { found, cursor }
