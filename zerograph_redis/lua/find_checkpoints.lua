-- Look for checkpoints whose ids begin alike, in all namespaces of a thread, a bounded number at a time.
-- ARGV  1 what the ids begin with   2 where to begin: '-', or the cursor of the last reply
-- Reply {list of {namespace, order, id}, cursor or nil}

local AT_ONCE = 400
local failure = check_whole()
if failure then return failure end
local prefix = ARGV[1]
local members = redis.call('ZRANGEBYLEX', index, ARGV[2], '+', 'LIMIT', 0, AT_ONCE)
local found = {}
for _, member in ipairs(members) do
  -- Between the namespace and the id are the order, 16 digits, and a separator on either side.
  local start = member:find(US, 1, true) + 18
  if member:sub(start, start + #prefix - 1) == prefix then found[#found + 1] = { parse_member(member) } end
end
return { found, #members == AT_ONCE and '(' .. members[AT_ONCE] }
