-- Shared by the scripts that read checkpoints: records, their pending writes, and the bytes of the log that the reader
-- lacks.

-- The facts that most reads need: how many checkpoints have writes, ttl and deadline. It matches nothing if nothing is
-- stored, or if the facts cannot be read.
local FEW_FACTS = '^1 (%d+) (%d*) (%d+) [1-9]'

-- Renew a thread's TTL, the one that its last write asked for.
local function refresh(id, facts)
  -- What is left of a thread without checkpoints has a deadline already.
  if facts.created ~= '0' and facts.ttl ~= '' and choose_deadline(facts, facts.ttl, microseconds()) then
    write_facts(facts)
    give_deadline(id, facts)
  end
end

-- The same, with what FEW_FACTS found: most deadlines need not move.
local function refresh_if_due(id, ttl, deadline)
  -- with is_due, microseconds
  if is_due(ttl, deadline, math.floor(microseconds() / 1000) + ttl) then
    -- with read_facts, refresh
    refresh(id, (read_facts(KEYS.thread)))
  end
end

-- An error if the thread is damaged, else false; and the facts. For scripts that found nothing, or are about to read
-- everything.
local function check_thread()
  local facts = read_facts(KEYS.thread)
  local failure, count = missing_keys(facts), facts.checkpoints + 0
  if not failure and (redis.call('HLEN', KEYS.checkpoints) ~= count or redis.call('ZCARD', KEYS.index) ~= count) then
    failure = damaged('some of its checkpoints are missing')
  end
  return failure or false, facts
end

-- An error if the note of a namespace does not name its newest checkpoint; and the order and the id of that, and the
-- note.
local function check_namespace(facts, namespace)
  local first, last = range_of(namespace)
  local _, order, id = parse_member(redis.call('ZREVRANGEBYLEX', KEYS.index, last, first, 'LIMIT', 0, 1)[1])
  local note = redis.call('HGET', KEYS.thread, namespace .. US)
  local failure = wrong_note(facts, namespace, order, id, note)
  return failure, order, id, note
end

-- An error if there are more or fewer notes than namespaces, or the note of one of the first namespaces is wrong, or
-- differs from the record that it names.
local function check_namespaces()
  local facts, found = read_facts(KEYS.thread, 'copy', 'pruned')
  local others = (found[1] and 1 or 0) + (found[2] and 1 or 0) + (found[3] and 1 or 0) + (found[4] and 1 or 0)
  if redis.call('HLEN', KEYS.thread) - others ~= facts.namespaces + 0 then
    return damaged('it has more or fewer notes than namespaces')
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
      return damaged('the note of a namespace differs from the record of its newest checkpoint')
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

-- The pending writes of the checkpoints in `fields`: the list of their manifests (false for none), and of the records
-- that each manifest names, up to the first missing one, after which the reader needs no more.
local function read_all_writes(fields)
  local manifests, names, counts = read_fields(KEYS.writes, fields), {}, {}
  local total
  for place, manifest in ipairs(manifests) do
    local count = manifest and parse_manifest(manifest) or 0
    if count > 0 then total = total or redis.call('HLEN', KEYS.writes) end
    -- The reader of the manifest reports that it is damaged.
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

-- The ranges of the log that the reader has, <generation>:<start>-<stop> with commas between, by generation.
local function parse_known(text)
  local known_ranges = {}
  for generation, start, stop in text:gmatch('(%x+):(%d+)-(%d+)') do
    known_ranges[generation] = known_ranges[generation] or {}
    table.insert(known_ranges[generation], { tonumber(start), tonumber(stop) })
  end
  return known_ranges
end

-- Add to `wanted` (log -> generation, length of the log, and start -> stop of each range) the bytes that a record needs
-- and the reader lacks, but for segments of more than `longest` bytes, if that is given.
local function want(wanted, known_ranges, record)
  local generation, log, base = record:sub(18, 33), record:sub(34, 34), tonumber(record:sub(35, 44), 16)
  -- A plain search is faster than a pattern.
  local last = record:find(US, HEADER + 1, true)
  -- The reader of the record reports that it is damaged.
  if not log_key(log) or not base or not last then return end
  local ranges = wanted[log]
  if not ranges then
    ranges = { length = redis.call('STRLEN', log_key(log)), stops = {} }
    wanted[log] = ranges
  end
  ranges.generation = generation
  local known, end_of_log, stops = known_ranges[generation] or {}, ranges.length, ranges.stops
  local place = HEADER + 1
  while place < last do
    local sign, offset, length, following = record:match('^([+-]?)(%d+):(%d+)[^,\31]*,?()', place)
    place = following or (record:find(',', place, true) or last) + 1
    local start = offset and (sign == '' and offset + 0 or base + (sign .. offset))
    local stop = offset and start + length
    -- There is nothing beyond the ends of the log; the reader reports it.
    if offset and start >= 0 and stop <= end_of_log then
      for _, range in ipairs(known) do
        if range[1] <= start and start < range[2] then start = math.min(range[2], stop) end
        if range[1] < stop and stop <= range[2] then stop = math.max(range[1], start) end
      end
      if start < stop and stop > (stops[start] or 0) then stops[start] = stop end
    end
  end
end

-- Read what is wanted, each byte once. Returns generation, start, bytes, generation, start, bytes …
local function fetch(wanted)
  local found = {}
  for log, ranges in pairs(wanted) do
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
      found[#found + 1] = redis.call('GETRANGE', log_key(log), start, stop - 1)
      place = place + 1
    end
  end
  return found
end
