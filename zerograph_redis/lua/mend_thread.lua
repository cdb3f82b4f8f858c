-- List a thread as it is, and give all of its keys its deadline: what it has left, or, if that is lost, its whole ttl.
-- ARGV  id: the thread
-- Reply 1, or 0 if it is not there

local facts = read_facts(KEYS.thread)
local failure = lost_keys(facts)
if failure then return failure end
if facts.created == '0' then return 0 end
local left = facts.ttl ~= '' and time_left() or -1
choose_deadline(facts, left > 0 and left or facts.ttl, microseconds(), true)
write_facts(facts)
give_deadline(id, facts)
if KEYS.threads then redis.call('ZADD', KEYS.threads, facts.updated, id) end
return 1
