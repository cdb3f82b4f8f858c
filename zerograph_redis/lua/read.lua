-- Shared by the scripts that read checkpoints: records, their writes, and the bytes of the log that the reader lacks.

-- A read that keeps the thread alive gives it the ttl that its last write asked for.
local function refresh(id)
  local found = redis.call('HMGET', thread, 'created', 'ttl', 'lease')
  -- What is left of a thread that was pruned to nothing goes in its own time.
  if found[1] and found[2] ~= '' then set_deadline(id, found[2], microseconds(), found[3]) end
end

-- An error if the thread is not whole, else false: for those who found nothing, or are about to read everything.
local function check_whole()
  local facts, failure = load_facts()
  if failure then return failure end
  if redis.call('HLEN', checkpoints) ~= facts.checkpoints or redis.call('ZCARD', index) ~= facts.checkpoints then
    return damaged('some of the checkpoints that it counts are gone')
  end
  return false
end

-- The pending writes of a checkpoint: its manifest (false if none) and the records that it names.
local function read_writes(field)
  local manifest = redis.call('HGET', writes, field)
  if not manifest then return false, {} end
  local count = parse_manifest(manifest)
  local records = {}
  -- In slices, since unpack has a limit.
  for first = 1, count, 1000 do
    local fields = {}
    for number = first, math.min(first + 999, count) do fields[#fields + 1] = field .. US .. number end
    local page = redis.call('HMGET', writes, unpack(fields))
    for place = 1, #fields do records[#records + 1] = page[place] end
  end
  return manifest, records
end

-- What the reader has of the log, <generation>:<start>-<stop> with commas between.
local function parse_spans(text)
  local spans = {}
  for generation, start, stop in text:gmatch('(%x+):(%d+)-(%d+)') do
    spans[#spans + 1] = { generation, tonumber(start), tonumber(stop) }
  end
  return spans
end

-- Note in `wanted` (slot -> generation, and start -> stop of each range) what a record needs and the reader lacks, but
-- for segments of more than `longest` bytes, if that is given.
local function want(wanted, spans, record, longest)
  local generation, slot = record:sub(18, 33), record:sub(34, 34)
  local base, segments = tonumber(record:sub(35, 44), 16), record:match('^([^\31]*)\31', 71)
  -- Who reads the record finds out that it is damaged, and can say which it is.
  if not logs[slot] or not base or not segments then return end
  local ranges = wanted[slot] or {}
  wanted[slot] = ranges
  ranges.generation = generation
  for fresh, offset, length in segments:gmatch('(%+?)(%d+):(%d+)[^,]*') do
    local start = tonumber(offset) + (fresh == '+' and base or 0)
    local stop = start + length
    for _, span in ipairs(spans) do
      if span[1] == generation then
        if span[2] <= start and start < span[3] then start = math.min(span[3], stop) end
        if span[2] < stop and stop <= span[3] then stop = math.max(span[2], start) end
      end
    end
    if start < stop and (not longest or length + 0 <= longest) and stop > (ranges[start] or 0) then ranges[start] = stop end
  end
end

-- Read what is wanted, each byte once. Returns generation, start, bytes, generation, start, bytes …
local function fetch(wanted)
  local found = {}
  for slot, ranges in pairs(wanted) do
    local starts = {}
    for start in pairs(ranges) do
      if start ~= 'generation' then starts[#starts + 1] = start end
    end
    table.sort(starts)
    local place = 1
    while place <= #starts do
      local start = starts[place]
      local stop = ranges[start]
      while starts[place + 1] and starts[place + 1] <= stop do
        place = place + 1
        stop = math.max(stop, ranges[starts[place]])
      end
      found[#found + 1] = ranges.generation
      found[#found + 1] = integer(start)
      found[#found + 1] = redis.call('GETRANGE', logs[slot], start, stop - 1)
      place = place + 1
    end
  end
  return found
end

local function read_checkpoint(namespace, id, order, wanted, spans, longest)
  local field = namespace .. US .. id
  local record = redis.call('HGET', checkpoints, field)
  if record then want(wanted, spans, record, longest) end
  local manifest, records = read_writes(field)
  return { id, record, manifest, records, order }
end
