-- Store pending writes beside a checkpoint, which may come later.
-- ARGV  1 thread   2 namespace   3 checkpoint id   4 ttl, ms or ''   5 'replace' or 'keep' a write that comes again
--       6 token of the lease, or ''   7 '' or '=' and the version that the list of writes must have, '-' for no list
--       8 the version that this batch gives it, or ''
--       9, 10 identity and record of the first write   11, 12 of the second …
-- Reply 1; if a version was asked for {1, the version now}, or, if the list has another and nothing was stored,
--       {0, the version now, manifest or nil, {record of each write}}

local id, namespace, checkpoint_id, ttl, again = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local facts, failure = load_facts()
failure = failure or refused(facts.lease, ARGV[6])
if failure then return failure end

local now = microseconds()
local field = namespace .. US .. checkpoint_id
local manifest = redis.call('HGET', writes, field)
local count, size, identities, version = 0, 0, US, '-'
if manifest then
  count, size, identities, version = read_manifest(manifest)
  if count >= redis.call('HLEN', writes) then stop_at_damage('pending writes of a checkpoint are gone') end
end
if ARGV[7] ~= '' and ARGV[7] ~= '=' .. version then
  -- This very batch was stored already: it is tried again, since its reply was lost.
  if version == ARGV[8] then return { 1, version } end
  return { 0, version, read_writes(field) }
end
if not manifest then
  facts.written = facts.written + 1
end
facts.bytes = math.max(facts.bytes - size, 0)
local number_of, added = {}, {}
local number = 0
for identity in identities:gmatch('[^\31]+') do
  number = number + 1
  number_of[identity] = number
end
local changed = {}
for argument = 9, #ARGV, 2 do
  local identity, record = ARGV[argument], ARGV[argument + 1]
  number = number_of[identity]
  if not number or again == 'replace' then
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
version = ARGV[8] ~= '' and ':' .. ARGV[8] or ''
local pairs_of = { field, '1:' .. count .. ':' .. integer(size) .. version .. identities .. table.concat(added) }
for each, record in pairs(changed) do
  pairs_of[#pairs_of + 1] = field .. US .. each
  pairs_of[#pairs_of + 1] = record
end
-- In slices, since unpack has a limit.
for first = 1, #pairs_of, 1000 do
  redis.call('HSET', writes, unpack(pairs_of, first, math.min(first + 999, #pairs_of)))
end
facts.bytes = facts.bytes + size

save_facts(id, facts, ttl, now)
return ARGV[7] ~= '' and { 1, ARGV[8] } or 1
