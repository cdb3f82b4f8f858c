-- Find a checkpoint id in the namespaces of a thread, a page at a time.
-- KEYS  of the thread, see thread.lua
-- ARGV  checkpoint_id   cursor: where to begin: '-', or the cursor of the last reply
-- Reply {namespace or nil, cursor or nil}

local failure = check_thread()
if failure then return failure end
for _ = 1, 500 do
  local member = redis.call('ZRANGEBYLEX', KEYS.index, cursor, '+', 'LIMIT', 0, 1)[1]
  if not member then return { false, false } end
  local namespace = parse_member(member)
  if redis.call('HEXISTS', KEYS.checkpoints, namespace .. US .. checkpoint_id) == 1 then return { namespace, false } end
  cursor = '(' .. namespace .. ' '
end
return { false, cursor }
