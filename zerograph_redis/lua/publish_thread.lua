-- Make a staged copy the thread, if the thread is empty.
-- KEYS  9 to 14 the staged keys, in the order of 1 to 6; on a cluster 7 to 12
-- ARGV  1 thread   2 ttl, ms or ''   3 the name of this copy   4 the number of the first staged key
--       5 current slot of the log, or -   6 its generation   7 token of the lease, or ''
--       8 how many checkpoints must be staged   9 how many bytes of logs
-- Reply 1, or 0 if not all of it is there (any more), or nil if the thread was not empty

local id, ttl, copy, staged = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
threads, deadlines = staged == 9 and KEYS[7], staged == 9 and KEYS[8]
local facts, failure, copied = load_facts('copy')
failure = failure or refused(facts.lease, ARGV[7])
if failure then return failure end
if copied == copy then return 1 end
if facts.checkpoints > 0 or facts.written > 0 then return false end

if redis.call('HLEN', KEYS[staged + 2]) ~= tonumber(ARGV[8])
  or redis.call('STRLEN', KEYS[staged + 4]) + redis.call('STRLEN', KEYS[staged + 5]) ~= tonumber(ARGV[9]) then
  return 0
end

redis.call('UNLINK', unpack(KEYS, 1, OWN_KEYS))
for key = 1, OWN_KEYS do
  local from = KEYS[staged + key - 1]
  if redis.call('EXISTS', from) == 1 then
    redis.call('RENAME', from, KEYS[key])
    redis.call('PERSIST', KEYS[key])
  end
end
-- What was staged counted most facts as it came.
local slot, lease = ARGV[5], facts.lease
local appended = tonumber(redis.call('HGET', thread, 'appended:' .. slot) or 0)
local length = slot ~= '-' and redis.call('STRLEN', logs[slot]) or 0
if length == 0 then slot = '-' end
local now = microseconds()
redis.call('HSET', thread, 'created', integer(now), 'checkpoints', redis.call('HLEN', checkpoints), 'slot', slot,
  'generation', ARGV[6], 'length', length, 'dropped', math.max(length - appended, 0), 'copy', copy)
redis.call('HDEL', thread, 'appended:0', 'appended:1')
if lease then redis.call('HSET', thread, 'lease', lease) end
facts = load_facts()
save_facts(id, facts, ttl, now)
return 1
