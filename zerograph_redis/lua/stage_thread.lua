-- Keep a page of a copied thread in keys that no reader looks at, until the thread is published.
-- KEYS  the staged keys
-- ARGV  kind: 'writes', 'checkpoints' or 'log'   lifetime: of what is staged, ms   number: how many pages come before; then,
--       flat, for checkpoints ns, id, record; for writes ns, id, manifest, then one record for each write; for logs
--       generation, start, bytes
-- Reply 1, or 0 if the pages before are not there (any more)

local facts, found = read_facts(thread, 'pages', 'appended:0', 'appended:1', 'generation:0', 'generation:1')
local pages = found[3] or '0'
if number ~= pages then return tonumber(number) < tonumber(pages) and 1 or 0 end
local appended = { ['0'] = tonumber(found[4] or 0), ['1'] = tonumber(found[5] or 0) }
local generations = { ['0'] = found[6], ['1'] = found[7] }

-- The slot that a log comes to lie in here: the first that no other has.
local function slot_of(generation)
  for _, slot in ipairs({ '0', '1' }) do
    if not generations[slot] then generations[slot] = generation end
    if generations[slot] == generation then return slot end
  end
  stop_at_damage('it has more than two logs')
end

local argument = FIRST
while argument <= #ARGV do
  if kind == 'writes' then
    local field, manifest = ARGV[argument] .. US .. ARGV[argument + 1], ARGV[argument + 2]
    argument = argument + 3
    local count, size = read_manifest(manifest)
    for write = 1, count do
      redis.call('HSET', writes, field .. US .. write, ARGV[argument])
      argument = argument + 1
    end
    if redis.call('HSET', writes, field, manifest) == 1 then
      facts.written, facts.bytes = facts.written + 1, facts.bytes + size
    end
  elseif kind == 'checkpoints' then
    local namespace, id, record = ARGV[argument], ARGV[argument + 1], ARGV[argument + 2]
    argument = argument + 3
    local order, generation, slot, proof = read_header(record)
    local _, own = parse_proof(proof)
    if not order:match(ORDER) or not own then stop_at_damage('the header of a record cannot be read') end
    if slot ~= '-' then
      slot = slot_of(generation)
      record = record:sub(1, 33) .. slot .. record:sub(35)
    end
    if redis.call('HSET', checkpoints, namespace .. US .. id, record) == 1 then
      local space = space_of(facts, namespace)
      redis.call('ZADD', index, 0, namespace .. US .. order .. US .. id)
      if order > facts.order then facts.order = order end
      if space.count == 0 then facts.namespaces = facts.namespaces + 1 end
      if space.count == 0 or order > space.order then space.order, space.id = order, id end
      space.count, facts.checkpoints, facts.bytes = space.count + 1, facts.checkpoints + 1, facts.bytes + #record
      if slot ~= '-' then
        facts.live[slot], appended[slot] = facts.live[slot] + 1, appended[slot] + own
      end
    end
  else
    redis.call('SETRANGE', logs[slot_of(ARGV[argument])], ARGV[argument + 1], ARGV[argument + 2])
    argument = argument + 3
  end
end
redis.call('HSET', thread, 'pages', pages + 1, 'appended:0', integer(appended['0']), 'appended:1', integer(appended['1']))
for slot, generation in pairs(generations) do
  if generation then redis.call('HSET', thread, 'generation:' .. slot, generation) end
end
write_facts(facts)
for key = 1, OWN_KEYS do redis.call('PEXPIRE', KEYS[key], lifetime) end
return 1
