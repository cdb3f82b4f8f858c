-- Read a page of what a thread holds: all writes first, then the checkpoints, then the log.
-- ARGV  1 'writes', 'checkpoints', 'log:0' or 'log:1'   2 cursor of the last page, '0' for the first
-- Reply {cursor, '0' behind the last page; the generations of the log and how many records are gone, by which
--       pages belong together; rows}. A row is
--       {ns US id, manifest, {record of each write}} or {ns US id, record} or {start, bytes of the log}

local failure = check_whole()
if failure then return failure end
local facts, _, gone = load_facts('gone')
local generations = facts.slot .. facts.generation .. ' ' .. (facts.live['0'] > 0 and '0' or '')
  .. (facts.live['1'] > 0 and '1' or '') .. ' ' .. (gone or '0')
local kind, cursor = ARGV[1], ARGV[2]
local rows = {}
local slot = kind:match('^log:(.)$')
if slot then
  local PAGE = 256 * 1024
  local bytes = redis.call('GETRANGE', logs[slot], cursor, cursor + PAGE - 1)
  if #bytes > 0 then rows[1] = { cursor, bytes } end
  return { #bytes == PAGE and integer(cursor + PAGE) or '0', generations, rows }
end
local scanned = redis.call('HSCAN', kind == 'writes' and writes or checkpoints, cursor, 'COUNT', 50)
for place = 1, #scanned[2], 2 do
  local field = scanned[2][place]
  if kind == 'checkpoints' then
    rows[#rows + 1] = { field, scanned[2][place + 1] }
  elseif field:match('^[^\31]*\31[^\31]*$') then
    rows[#rows + 1] = { field, read_writes(field) }
  end
end
return { scanned[1], generations, rows }
