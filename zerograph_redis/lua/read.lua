-- Shared by the scripts that read checkpoints: records, their writes, and the bytes of the log that the reader lacks.

-- Of the packed facts what a read looks at, which is seldom more: how many checkpoints have writes, and ttl and deadline.
-- Nothing if nothing is stored, or if the facts cannot be read.
local GLANCE = '^1 (%d+) (%d*) (%d+) [1-9]'

-- A read that keeps the thread alive gives it the ttl that its last write asked for.
local function refresh(id, facts)
  -- What is left of a thread that was pruned to nothing goes in its own time.
  if facts.created ~= '0' and facts.ttl ~= '' and choose_deadline(facts, facts.ttl, microseconds()) then
    write_facts(facts)
    give_deadline(id, facts)
  end
end

-- The same for a read that has only glanced at the facts: most deadlines need not move.
local function refresh_if_due(id, ttl, deadline)
  -- with is_due, microseconds
  if is_due(ttl, deadline, math.floor(microseconds() / 1000) + ttl) then
    -- with read_facts, refresh
    refresh(id, (read_facts(KEYS.thread)))
  end
end

-- An error if the thread is not whole, else false: for those who found nothing, or are about to read everything. And the
-- facts.
local function check_whole()
  local facts = read_facts(KEYS.thread)
  local failure, count = lost_keys(facts), facts.checkpoints + 0
  if not failure and (redis.call('HLEN', KEYS.checkpoints) ~= count or redis.call('ZCARD', KEYS.index) ~= count) then
    failure = damaged('some of the checkpoints that it counts are gone')
  end
  return failure or false, facts
end

-- An error if a namespace that the index has is not noted with its newest checkpoint; and the order and the id of that, and
-- the note.
local function check_namespace(facts, namespace)
  local first, last = range_of(namespace)
  local _, order, id = parse_member(redis.call('ZREVRANGEBYLEX', KEYS.index, last, first, 'LIMIT', 0, 1)[1])
  local note = redis.call('HGET', KEYS.thread, namespace .. US)
  local failure = misnoted(facts, namespace, order, id, note)
  return failure, order, id, note
end

-- An error if one of the first namespaces is noted wrongly, or otherwise than its record says, or if more or fewer are noted
-- than there are.
local function check_namespaces()
  local facts, found = read_facts(KEYS.thread, 'copy', 'pruned')
  local others = (found[1] and 1 or 0) + (found[2] and 1 or 0) + (found[3] and 1 or 0) + (found[4] and 1 or 0)
  if redis.call('HLEN', KEYS.thread) - others ~= facts.namespaces + 0 then
    return damaged('what it notes of its namespaces is not what they are')
  end
  local cursor = '-'
  for _ = 1, 100 do
    local member = redis.call('ZRANGEBYLEX', KEYS.index, cursor, '+', 'LIMIT', 0, 1)[1]
    if not member then return nil end
    local namespace = parse_member(member)
    local failure, _, id, note = check_namespace(facts, namespace)
    if failure then return failure end
    local record = redis.call('HGET', KEYS.checkpoints, namespace .. US .. id)
    if record and note_of(record, id) ~= note then
      return damaged('what it notes of the newest checkpoint of a namespace is not what the record says')
    end
    cursor = '(' .. namespace .. ' '
  end
end

-- Fields of a hash, in slices, since unpack has a limit.
local function read_fields(key, fields)
  if #fields == 0 then return {} end
  if #fields <= 1000 then return redis.call('HMGET', key, unpack(fields)) end
  local found = {}
  for first = 1, #fields, 1000 do
    local last = math.min(first + 999, #fields)
    local page = redis.call('HMGET', key, unpack(fields, first, last))
    for place = first, last do found[place] = page[place - first + 1] end
  end
  return found
end

-- The pending writes of checkpoints, each by its field: lists of their manifests (false for none) and of the records that
-- each names, up to the first that is gone: its reader misses it, and needs no more.
local function read_all_writes(fields)
  local manifests, names, counts = read_fields(KEYS.writes, fields), {}, {}
  local total
  for place, manifest in ipairs(manifests) do
    local count = manifest and parse_manifest(manifest) or 0
    if count > 0 then total = total or redis.call('HLEN', KEYS.writes) end
    -- Who reads the manifest finds out that it is damaged, and can say which it is.
    if count > 0 and count >= total then count = 0 end
    for number = 1, count do names[#names + 1] = fields[place] .. US .. number end
    counts[place] = count
  end
  local found, lists, before = read_fields(KEYS.writes, names), {}, 0
  for place, count in ipairs(counts) do
    local records = {}
    for number = 1, count do
      if not found[before + number] then break end
      records[number] = found[before + number]
    end
    lists[place], before = records, before + count
  end
  return manifests, lists
end

-- The records that the manifest of one checkpoint names, likewise.
local function read_writes(field, manifest)
  local count = parse_manifest(manifest) or 0
  if count == 0 or count >= redis.call('HLEN', KEYS.writes) then return {} end
  local names, records = {}, {}
  for number = 1, count do names[number] = field .. US .. number end
  local found = read_fields(KEYS.writes, names)
  for number = 1, count do
    if not found[number] then break end
    records[number] = found[number]
  end
  return records
end

-- What the reader has of the log, <generation>:<start>-<stop> with commas between, by generation.
local function parse_spans(text)
  local spans = {}
  for generation, start, stop in text:gmatch('(%x+):(%d+)-(%d+)') do
    spans[generation] = spans[generation] or {}
    table.insert(spans[generation], { tonumber(start), tonumber(stop) })
  end
  return spans
end

-- Note in `wanted` (slot -> generation, length of the log, and start -> stop of each range) what a record needs and the
-- reader lacks, but for segments of more than `longest` bytes, if that is given.
local function want(wanted, spans, record, longest)
  local generation, slot, base = record:sub(18, 33), record:sub(34, 34), tonumber(record:sub(35, 44), 16)
  -- A plain search looks at many bytes at once, as a pattern does not.
  local last = record:find(US, HEADER + 1, true)
  -- Who reads the record finds out that it is damaged, and can say which it is.
  if not log_of(slot) or not base or not last then return end
  local ranges = wanted[slot]
  if not ranges then
    ranges = { length = redis.call('STRLEN', log_of(slot)), stops = {} }
    wanted[slot] = ranges
  end
  ranges.generation = generation
  local known, end_of_log, stops = spans[generation] or {}, ranges.length, ranges.stops
  local place = HEADER + 1
  while place < last do
    local sign, offset, length, following = record:match('^([+-]?)(%d+):(%d+)[^,\31]*,?()', place)
    place = following or (record:find(',', place, true) or last) + 1
    local start = offset and (sign == '' and offset + 0 or base + (sign .. offset))
    local stop = offset and start + length
    -- Beyond the ends of the log there is nothing, and the reader finds that out.
    if offset and start >= 0 and stop <= end_of_log and (not longest or length + 0 <= longest) then
      for _, span in ipairs(known) do
        if span[1] <= start and start < span[2] then start = math.min(span[2], stop) end
        if span[1] < stop and stop <= span[2] then stop = math.max(span[1], start) end
      end
      if start < stop and stop > (stops[start] or 0) then stops[start] = stop end
    end
  end
end

-- Read what is wanted, each byte once. Returns generation, start, bytes, generation, start, bytes …
local function fetch(wanted)
  local found = {}
  for slot, ranges in pairs(wanted) do
    local starts, stops = {}, ranges.stops
    for start in pairs(stops) do starts[#starts + 1] = start end
    table.sort(starts)
    local place = 1
    while place <= #starts do
      local start = starts[place]
      local stop = stops[start]
      while starts[place + 1] and starts[place + 1] <= stop do
        place = place + 1
        stop = math.max(stop, stops[starts[place]])
      end
      found[#found + 1] = ranges.generation
      found[#found + 1] = integer(start)
      found[#found + 1] = redis.call('GETRANGE', log_of(slot), start, stop - 1)
      place = place + 1
    end
  end
  return found
end
