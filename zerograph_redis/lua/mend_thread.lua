-- List a thread as it is, and give all of its keys its deadline: what it has left, or, if that is lost, its whole ttl.
-- ARGV  1 thread
-- Reply 1, or 0 if it is not there

local id = ARGV[1]
local facts, failure, updated = load_facts('updated')
if failure then return failure end
if not facts.created then return 0 end
if not updated or number_of(updated) == 0 then return damaged('its facts are not what a saver stores') end
local ttl = facts.ttl
if ttl ~= '' then
  local left = time_left()
  if left > 0 then ttl = left end
end
set_deadline(id, ttl, microseconds(), facts.lease)
if threads then redis.call('ZADD', threads, updated, id) end
return 1
