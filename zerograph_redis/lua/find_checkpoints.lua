-- Find checkpoints whose ids begin with a prefix, in all namespaces of a thread, a page at a time.
-- KEYS  of the thread, see thread.lua
-- ARGV  prefix   cursor: where to begin: '-', or the cursor of the last reply
-- Reply {list of {namespace, order, id}, cursor or nil}

local AT_ONCE = 400
local failure = check_thread()
if failure then return failure end
local members = redis.call('ZRANGEBYLEX', KEYS.index, cursor, '+', 'LIMIT', 0, AT_ONCE)
local found = {}
for _, member in ipairs(members) do
  local namespace, order, id = parse_member(member)
  if id:sub(1, #prefix) == prefix then found[#found + 1] = { namespace, order, id } end
end
return { found, #members == AT_ONCE and '(' .. members[AT_ONCE] }
