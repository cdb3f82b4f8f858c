-- Shared by the scripts that store pending writes.

-- Store pending writes of a checkpoint: identity and record of each are ARGV from `first` to `last`. `field`, `how` and
-- the result: see put_writes. The facts are changed, but not yet written.
local function store_writes(facts, field, how, first, last)
  local manifest = redis.call('HGET', KEYS.writes, field)
  local count, size, identities, version, given = 0, 0, US, '-', ''
  local number_of, place_of = {}, {}
  if manifest then
    -- with read_manifest, stop_at_damage
    count, size, identities, version = read_manifest(manifest)
    if count >= redis.call('HLEN', KEYS.writes) then stop_at_damage('pending writes of a checkpoint are missing') end
    local number = 0
    for identity in identities:gmatch('[^\31]+') do
      number = number + 1
      number_of[identity] = number
    end
  end
  if #how > 4 then
    -- with read_writes
    local extends
    how, given, extends = how:match('^(%a*):(%x+):(.*)$')
    if extends ~= version then
      -- This batch was stored already; it is a retry, since its reply was lost.
      if version == given then return { 1, version } end
      return { 0, version, manifest, manifest and read_writes(field, manifest) or {} }
    end
  end
  if manifest then
    facts.bytes = math.max(facts.bytes - size, 0)
  else
    if facts.with_writes == '0' then facts.made_key = true end
    facts.with_writes = facts.with_writes + 1
  end
  local fields, added = { field, '' }, {}
  for argument = first, last, 2 do
    local identity, record = ARGV[argument], ARGV[argument + 1]
    local number, place = number_of[identity], place_of[identity]
    if how ~= 'keep' or not (number or place) then
      if place then
        size = size - #fields[place]
      else
        if number then
          size = size - redis.call('HSTRLEN', KEYS.writes, field .. US .. number)
        else
          count = count + 1
          number, added[#added + 1] = count, identity .. US
        end
        place = #fields + 2
        fields[place - 1], place_of[identity] = field .. US .. number, place
      end
      fields[place] = record
      size = size + #record
    end
  end
  fields[2] = string.format('1:%d:%d', count, size) .. (given ~= '' and ':' .. given or '') .. identities
    .. table.concat(added)
  -- In slices, since unpack has a limit.
  for start = 1, #fields, 1000 do
    redis.call('HSET', KEYS.writes, unpack(fields, start, math.min(start + 999, #fields)))
  end
  facts.bytes = facts.bytes + size
  return given ~= '' and { 1, given } or 1
end
