-- Read the facts of a thread.
-- KEYS  of the thread, see thread.lua
-- ARGV  none
-- Reply {created, updated (both µs), checkpoints, namespaces, bytes of records, writes and logs, ms to live or -1, the
--       ttl of its last write in ms or '', its last order, the origin it was published from or nil, ms for which its
--       lease is held or 0, owner of the lease}; nil if the thread is not stored

local facts, found = read_facts(KEYS.thread, 'copy')
if facts.created == '0' then return false end
local bytes = facts.bytes + redis.call('STRLEN', KEYS.log_0) + redis.call('STRLEN', KEYS.log_1)
local _, deadline, _, owner = parse_lease(facts.lease)
local held = math.max(math.ceil((deadline - microseconds()) / 1000), 0)
return { facts.created, facts.updated, integer(facts.checkpoints), integer(facts.namespaces), integer(bytes),
  redis.call('PTTL', KEYS.thread), facts.ttl, facts.order, found[3], held, owner }
