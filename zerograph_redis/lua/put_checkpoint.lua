-- Store a checkpoint, and let go of what the saver no longer keeps in its namespace: see store_checkpoint.
-- ARGV  id: the thread   ttl: ms or ''   token: of the lease, or ''; then a put:
--       namespace   checkpoint_id   keep_last: how many to keep, or ''   max_age: how old to keep, µs or ''
--       version: of the format   record: from its segments on   appended: to the log
--       needed: how many bytes of the log the state is made of   generation: that the segments refer to, or ''; then, of
--       the checkpoint that they were taken from, base_id, and base_proof, which its record has   expected: '', or '=' and
--       the id that the newest checkpoint must have, '=' alone for none   attempt: random name of this put
--       parent_order: of the parent that the record says it follows, or ''; and parent_id
-- Reply {order, generation, where the appended bytes begin}, or nothing if the segments refer to what is not there, or
--       a new log begins: then the state must be sent whole; or if the checkpoint does not follow that parent

local now = microseconds()
local put = put_at(FIRST)
local facts, found = read_facts(thread, 'n:' .. put.namespace)
local failure = lost_keys(facts) or refused(facts.lease, token, now)
if failure then return failure end
space_of(facts, put.namespace, found[3])
local reply = store_checkpoint(facts, put, now)
if reply and not reply.err then save_facts(id, facts, ttl, now) end
return reply
