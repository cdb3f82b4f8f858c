-- Keep a page of a copied thread in keys that no reader looks at, until the thread is published.
-- KEYS  1 to 6 are the staged keys here
-- ARGV  1 'writes', 'checkpoints' or 'log'   2 lifetime of what is staged, ms   3 how many pages come before
--       4 … flat: for checkpoints ns, id, record; for writes ns, id, manifest, then one record for each write; for logs
--       generation, start, bytes
-- Reply 1, or 0 if the pages before are not there (any more)

-- The slot that a log comes to lie in here: the first that no other has.
local function slot_of(generation)
  for _, slot in ipairs({ '0', '1' }) do
    local field = 'generation:' .. slot
    redis.call('HSETNX', thread, field, generation)
    if redis.call('HGET', thread, field) == generation then return slot end
  end
  error('DAMAGED it has more than two logs')
end

local kind, number = ARGV[1], tonumber(ARGV[3])
local pages = tonumber(redis.call('HGET', thread, 'pages') or 0)
if number ~= pages then return number < pages and 1 or 0 end
local argument = 4
while argument <= #ARGV do
  if kind == 'writes' then
    local field, manifest = ARGV[argument] .. US .. ARGV[argument + 1], ARGV[argument + 2]
    argument = argument + 3
    local count, size = read_manifest(manifest)
    for number = 1, count do
      redis.call('HSET', writes, field .. US .. number, ARGV[argument])
      argument = argument + 1
    end
    if redis.call('HSET', writes, field, manifest) == 1 then
      redis.call('HINCRBY', thread, 'written', 1)
      redis.call('HINCRBY', thread, 'bytes', size)
    end
  elseif kind == 'checkpoints' then
    local namespace, id, record = ARGV[argument], ARGV[argument + 1], ARGV[argument + 2]
    argument = argument + 3
    local order, slot = record:sub(2, 17), record:sub(34, 34)
    if slot ~= '-' then
      slot = slot_of(record:sub(18, 33))
      record = record:sub(1, 33) .. slot .. record:sub(35)
    end
    if redis.call('HSET', checkpoints, namespace .. US .. id, record) == 1 then
      redis.call('ZADD', index, 0, namespace .. US .. order .. US .. id)
      if redis.call('HINCRBY', thread, 'n:' .. namespace, 1) == 1 then redis.call('HINCRBY', thread, 'namespaces', 1) end
      redis.call('HINCRBY', thread, 'bytes', #record)
      if slot ~= '-' then
        redis.call('HINCRBY', thread, 'live:' .. slot, 1)
        redis.call('HINCRBY', thread, 'appended:' .. slot, tonumber(record:sub(45, 54), 16))
      end
      if order > (redis.call('HGET', thread, 'order') or '') then redis.call('HSET', thread, 'order', order) end
    end
  else
    redis.call('SETRANGE', logs[slot_of(ARGV[argument])], ARGV[argument + 1], ARGV[argument + 2])
    argument = argument + 3
  end
end
redis.call('HSET', thread, 'pages', pages + 1)
for key = 1, OWN_KEYS do redis.call('PEXPIRE', KEYS[key], ARGV[2]) end
return 1
