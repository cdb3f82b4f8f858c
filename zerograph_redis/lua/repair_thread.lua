-- Repair what surrounds a thread: its entry in the thread index, and the deadlines of its keys. The deadline is the time
-- that its keys have left, or its whole TTL if that is unknown.
-- KEYS  of the thread, see thread.lua
-- ARGV  id: the thread
-- Reply 1, or 0 if the thread does not exist

local facts = read_facts(KEYS.thread)
local failure = missing_keys(facts)
if failure then return failure end
if facts.created == '0' then return 0 end
local left = facts.ttl ~= '' and time_left() or -1
choose_deadline(facts, left > 0 and left or facts.ttl, microseconds(), true)
write_facts(facts)
give_deadline(id, facts)
if KEYS.threads then redis.call('ZADD', KEYS.threads, facts.updated, id) end
return 1
