-- Store a page of a copied thread in staged keys, which no reader knows until the thread is published.
-- KEYS  of the staged copy, see thread.lua
-- ARGV  kind: 'writes', 'checkpoints' or 'log'   lifetime: of the staged keys, ms   number: how many pages come before;
--       then, flat, for checkpoints namespace, id, record; for writes namespace, id, manifest, and the record of each
--       write; for logs generation, start, bytes
-- Reply 1, or 0 if the pages before are not staged (any more)

local facts, found = read_facts(KEYS.thread, 'pages', 'appended:0', 'appended:1', 'generation:0', 'generation:1')
local pages = found[3] or '0'
if number ~= pages then return tonumber(number) < tonumber(pages) and 1 or 0 end
local appended = { ['0'] = tonumber(found[4] or 0), ['1'] = tonumber(found[5] or 0) }
local generations = { ['0'] = found[6], ['1'] = found[7] }
local notes = {}

-- The number that a log gets here: the first that no other log has.
local function log_of(generation)
  for _, log in ipairs({ '0', '1' }) do
    if not generations[log] then generations[log] = generation end
    if generations[log] == generation then return log end
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
      redis.call('HSET', KEYS.writes, field .. US .. write, ARGV[argument])
      argument = argument + 1
    end
    if redis.call('HSET', KEYS.writes, field, manifest) == 1 then
      facts.with_writes, facts.bytes = facts.with_writes + 1, facts.bytes + size
    end
  elseif kind == 'checkpoints' then
    local namespace, id, record = ARGV[argument], ARGV[argument + 1], ARGV[argument + 2]
    argument = argument + 3
    local order, generation, log, proof = read_header(record)
    local _, own = parse_proof(proof)
    if not order:match(ORDER) or not own then stop_at_damage('the header of a record cannot be read') end
    if log ~= '-' then
      log = log_of(generation)
      record = record:sub(1, 33) .. log .. record:sub(35)
    end
    if redis.call('HSET', KEYS.checkpoints, namespace .. US .. id, record) == 1 then
      redis.call('ZADD', KEYS.index, 0, namespace .. US .. order .. US .. id)
      if order > facts.order then facts.order = order end
      local begin = namespace .. US
      local note = notes[begin] or redis.call('HGET', KEYS.thread, begin)
      if not note then facts.namespaces = facts.namespaces + 1 end
      if not note or order > note:sub(1, 16) then note = note_of(record, id) end
      notes[begin] = note
      facts.checkpoints, facts.bytes = facts.checkpoints + 1, facts.bytes + #record
      if log ~= '-' then facts[log], appended[log] = facts[log] + 1, appended[log] + own end
    end
  else
    redis.call('SETRANGE', log_key(log_of(ARGV[argument])), ARGV[argument + 1], ARGV[argument + 2])
    argument = argument + 3
  end
end
redis.call('HSET', KEYS.thread, 'pages', pages + 1, 'appended:0', integer(appended['0']),
  'appended:1', integer(appended['1']))
for log, generation in pairs(generations) do
  if generation then redis.call('HSET', KEYS.thread, 'generation:' .. log, generation) end
end
for begin, note in pairs(notes) do redis.call('HSET', KEYS.thread, begin, note) end
write_facts(facts)
for key = 1, OWN_KEYS do redis.call('PEXPIRE', KEYS[key], lifetime) end
return 1
