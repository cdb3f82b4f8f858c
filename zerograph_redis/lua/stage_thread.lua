-- Keep a page of a copied thread in keys that no reader looks at, until the thread is published.
-- KEYS  1 to 6 are the staged keys here
-- ARGV  1 'writes', 'checkpoints', 'log:0' or 'log:1'   2 lifetime of what is staged, ms
--       3 … flat: for checkpoints ns, id, record; for writes ns, id, manifest, then one record for each write; for a log
--       start, bytes
-- Reply nothing

local kind = ARGV[1]
local argument = 3
while argument <= #ARGV do
  if kind == 'writes' then
    local field, manifest = ARGV[argument] .. US .. ARGV[argument + 1], ARGV[argument + 2]
    argument = argument + 3
    local count, size = parse_manifest(manifest)
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
    redis.call('SETRANGE', logs[kind:sub(5)], ARGV[argument], ARGV[argument + 1])
    argument = argument + 2
  end
end
for key = 1, OWN_KEYS do redis.call('PEXPIRE', KEYS[key], ARGV[2]) end
return false
