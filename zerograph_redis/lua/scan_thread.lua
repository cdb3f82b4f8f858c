-- Read a page of a thread's content: all writes first, then the checkpoints, then the logs.
-- KEYS  of the thread, see thread.lua
-- ARGV  kind: 'writes', 'checkpoints', 'log:0' or 'log:1'   cursor: of the last page, '0' for the first
-- Reply {what the rows are; what to read next, '' for nothing, and its cursor; the current log, which logs exist and how
--       many records were removed: pages belong together only while these stay the same; rows}. A row is
--       {namespace US id, manifest, {record of each write}} or {namespace US id, record} or {start, bytes of the log}

local failure, facts = check_thread()
if failure then return failure end
local generations = facts.log .. facts.generation .. ' ' .. (facts['0'] ~= '0' and '0' or '')
  .. (facts['1'] ~= '0' and '1' or '') .. ' ' .. facts.removed

local KINDS = { 'writes', 'checkpoints', 'log:0', 'log:1' }
local following = {}
for place = #KINDS - 1, 1, -1 do
  local other = KINDS[place + 1]
  local log = other:match('^log:(.)$')
  following[KINDS[place]] = (not log or facts[log] ~= '0') and other or following[other]
end

local function read(kind, cursor)
  local rows = {}
  local log = kind:match('^log:(.)$')
  if log then
    local PAGE = 256 * 1024
    local bytes = redis.call('GETRANGE', log_key(log), cursor, cursor + PAGE - 1)
    if #bytes > 0 then rows[1] = { cursor, bytes } end
    return #bytes == PAGE and integer(cursor + PAGE) or '0', rows
  end
  local scanned = redis.call('HSCAN', kind == 'writes' and KEYS.writes or KEYS.checkpoints, cursor, 'COUNT', 50)
  for place = 1, #scanned[2], 2 do
    local field = scanned[2][place]
    if kind == 'checkpoints' then
      rows[#rows + 1] = { field, scanned[2][place + 1] }
    elseif field:match('^[^\31]*\31[^\31]*$') then
      local manifest = scanned[2][place + 1]
      rows[#rows + 1] = { field, manifest, read_writes(field, manifest) }
    end
  end
  return scanned[1], rows
end

local rows = {}
cursor, rows = read(kind, cursor)
while #rows == 0 and cursor == '0' and following[kind] do
  kind = following[kind]
  cursor, rows = read(kind, cursor)
end
return { kind, cursor ~= '0' and kind or following[kind] or '', cursor, generations, rows }
