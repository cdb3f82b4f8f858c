-- List the namespaces of a thread, a page at a time.
-- KEYS  of the thread, see thread.lua
-- ARGV  cursor: where to begin: '-', or the cursor of the last reply
-- Reply {list of {namespace, how many checkpoints, order of the newest}, cursor or nil}

local failure, facts = check_thread()
if failure then return failure end
local found = {}
for _ = 1, 200 do
  local member = redis.call('ZRANGEBYLEX', KEYS.index, cursor, '+', 'LIMIT', 0, 1)[1]
  if not member then return { found, false } end
  local namespace = parse_member(member)
  local order
  failure, order = check_namespace(facts, namespace)
  if failure then return failure end
  found[#found + 1] = { namespace, integer(redis.call('ZLEXCOUNT', KEYS.index, range_of(namespace))), order }
  cursor = '(' .. namespace .. ' '
end
return { found, cursor }
