-- Read the sizes of the checkpoints of a thread, by namespace and order, a page at a time.
-- KEYS  of the thread, see thread.lua
-- ARGV  cursor: where to begin: '-', or the cursor of the last reply
-- Reply {cursor or '', length of log:0, length of log:1, now in µs, rows}. A row is {member of the index, length of its
--       record, the record up to its first US, how many writes it has, their bytes}; -1 and '' for a missing record

local failure = check_thread()
if failure then return failure end
local rows = {}
local MEMBERS, BYTES = 30, 512 * 1024
local members = redis.call('ZRANGEBYLEX', KEYS.index, cursor, '+', 'LIMIT', 0, MEMBERS)
cursor = ''
local read = 0
for place, member in ipairs(members) do
  local namespace, _, checkpoint_id = parse_member(member)
  local field = namespace .. US .. checkpoint_id
  local record = redis.call('HGET', KEYS.checkpoints, field)
  local manifest = redis.call('HGET', KEYS.writes, field)
  local count, size = parse_manifest(manifest or '')
  rows[place] = {
    member, record and #record or -1, record and record:sub(1, (record:find(US, 1, true) or 0) - 1) or '',
    integer(count or 0), integer(size or 0),
  }
  read = read + (record and #record or 0) + (manifest and #manifest or 0)
  if read > BYTES or place == MEMBERS then
    cursor = '(' .. member
    break
  end
end
return { cursor, redis.call('STRLEN', KEYS.log_0), redis.call('STRLEN', KEYS.log_1), integer(microseconds()), rows }
