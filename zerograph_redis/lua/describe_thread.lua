-- Tell what a thread holds, for how long it has to live, and who holds it.
-- ARGV  none
-- Reply {created, updated (both µs), checkpoints, namespaces, bytes of records, writes and logs, ms to live or -1, ttl that
--       its last write asked for, ms or '', order that was given out last, what it was published from or nil, ms for
--       which it is held or 0, owner}, or nothing if it is not stored

local found = redis.call('HMGET', thread, 'created', 'updated', 'checkpoints', 'namespaces', 'bytes', 'ttl', 'order',
  'copy', 'lease')
if not found[1] then return false end
local bytes = number_of(found[5]) + redis.call('STRLEN', logs['0']) + redis.call('STRLEN', logs['1'])
local _, deadline, _, owner = parse_lease(found[9])
local held = math.max(math.ceil((deadline - microseconds()) / 1000), 0)
return { found[1], found[2], found[3] or '0', found[4] or '0', integer(bytes), redis.call('PTTL', thread), found[6] or '',
  found[7] or string.rep('0', 16), found[8], held, owner }
