-- Store pending writes beside a checkpoint, which may come later: see store_writes.
-- ARGV  id: the thread   ttl: ms or ''   token: of the lease, or ''; then a batch:
--       namespace   checkpoint_id   again: 'replace' or 'keep' a write that comes again
--       extends: '', or '=' and the version that the list of writes must have, '-' for no list
--       version: that this batch gives it, or ''; then identity and record of each write
-- Reply 1; if a version was asked for {1, the version now}, or, if the list has another and nothing was stored,
--       {0, the version now, manifest or nil, {record of each write}}

local now = microseconds()
local facts = read_facts(thread)
local failure = lost_keys(facts) or refused(facts.lease, token, now)
if failure then return failure end
local batch, behind = batch_at(FIRST)
local reply = store_writes(facts, batch, behind, #ARGV)
if reply == 1 or reply[1] == 1 then save_facts(id, facts, ttl, now) end
return reply
