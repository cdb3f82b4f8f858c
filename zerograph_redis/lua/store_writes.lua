-- Shared by the scripts that store pending writes.

-- Store pending writes beside a checkpoint, which may come later: those of ARGV, from `first` to `last`, identity and
-- record of each. `batch` is what put_writes is told. The facts are changed, and not yet written.
-- Returns 1; if a version was asked for {1, the version now}, or, if the list has another and nothing was stored,
-- {0, the version now, manifest or nil, {record of each write}}.
local function store_writes(facts, batch, first, last)
  local field = batch.namespace .. US .. batch.checkpoint_id
  local manifest = redis.call('HGET', writes, field)
  local count, size, identities, version = 0, 0, US, '-'
  if manifest then
    count, size, identities, version = read_manifest(manifest)
    if count >= redis.call('HLEN', writes) then stop_at_damage('pending writes of a checkpoint are gone') end
  end
  if batch.extends ~= '' and batch.extends ~= '=' .. version then
    -- This very batch was stored already: it is tried again, since its reply was lost.
    if version == batch.version then return { 1, version } end
    return { 0, version, read_writes(field) }
  end
  if facts.written == 0 then facts.made_key = true end
  if not manifest then facts.written = facts.written + 1 end
  facts.bytes = math.max(facts.bytes - size, 0)
  local number_of, added, changed = {}, {}, {}
  local number = 0
  for identity in identities:gmatch('[^\31]+') do
    number = number + 1
    number_of[identity] = number
  end
  for argument = first, last, 2 do
    local identity, record = ARGV[argument], ARGV[argument + 1]
    number = number_of[identity]
    if not number or batch.again == 'replace' then
      if not number then
        count = count + 1
        number = count
        number_of[identity] = number
        added[#added + 1] = identity .. US
      else
        size = size - (changed[number] and #changed[number] or redis.call('HSTRLEN', writes, field .. US .. number))
      end
      size = size + #record
      changed[number] = record
    end
  end
  version = batch.version ~= '' and ':' .. batch.version or ''
  local fields = { field, '1:' .. count .. ':' .. integer(size) .. version .. identities .. table.concat(added) }
  for each, record in pairs(changed) do
    fields[#fields + 1] = field .. US .. each
    fields[#fields + 1] = record
  end
  -- In slices, since unpack has a limit.
  for start = 1, #fields, 1000 do
    redis.call('HSET', writes, unpack(fields, start, math.min(start + 999, #fields)))
  end
  facts.bytes = facts.bytes + size
  return batch.extends ~= '' and { 1, batch.version } or 1
end
