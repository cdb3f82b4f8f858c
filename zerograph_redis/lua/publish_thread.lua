-- Make a staged copy the thread, if the thread is empty, or as it was published from what the copy may replace.
-- KEYS  9 to 14 the staged keys, in the order of 1 to 6; on a cluster 7 to 12
-- ARGV  1 thread   2 ttl, ms or ''   3 the name of this copy   4 the number of the first staged key
--       5 generation of the current log, or zeros   6 token of the lease, or ''
--       7 how many checkpoints must be staged   8 how many with writes   9 how many bytes of logs
--       10 when it was created, µs, or '' for now   11 when it was written last   12 what is left of its ttl, ms or ''
--       13 the name of the copy that may be replaced, or ''   14 when that was written last, µs
--       15 how many pages must be staged
-- Reply 1, or 0 if not all of it is there (any more), or nil if the thread was not empty

local id, ttl, copy, staged = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
threads, deadlines = staged == 9 and KEYS[7], staged == 9 and KEYS[8]
local facts, failure, copied = load_facts('copy')
failure = failure or refused(facts.lease, ARGV[6])
if failure then return failure end
if facts.created and copied == copy then return 1 end
if facts.checkpoints > 0 or facts.written > 0 then
  local updated, gone = unpack(redis.call('HMGET', thread, 'updated', 'gone'))
  if ARGV[13] == '' or copied ~= ARGV[13] or updated ~= ARGV[14] or gone then return false end
end

if tonumber(redis.call('HGET', KEYS[staged], 'pages') or 0) ~= tonumber(ARGV[15])
  or redis.call('HLEN', KEYS[staged + 2]) ~= tonumber(ARGV[7])
  or tonumber(redis.call('HGET', KEYS[staged], 'written') or 0) ~= tonumber(ARGV[8])
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
local generation, lease, slot = ARGV[5], facts.lease, '-'
for candidate in pairs(logs) do
  if redis.call('HGET', thread, 'generation:' .. candidate) == generation then slot = candidate end
end
local appended = tonumber(redis.call('HGET', thread, 'appended:' .. slot) or 0)
local length = slot ~= '-' and redis.call('STRLEN', logs[slot]) or 0
if length == 0 then slot = '-' end
local now = microseconds()
redis.call('HSET', thread, 'created', integer(now), 'checkpoints', redis.call('HLEN', checkpoints), 'slot', slot,
  'generation', generation, 'length', length, 'dropped', math.max(length - appended, 0), 'copy', copy)
redis.call('HDEL', thread, 'pages', 'appended:0', 'appended:1', 'generation:0', 'generation:1')
if lease then redis.call('HSET', thread, 'lease', lease) end
facts = load_facts()
save_facts(id, facts, ttl, now)
if ARGV[10] ~= '' then
  local updated = integer(math.min(ARGV[11], now))
  redis.call('HSET', thread, 'created', integer(math.min(ARGV[10], updated)), 'updated', updated)
  if threads then redis.call('ZADD', threads, updated, id) end
end
if ttl ~= '' and ARGV[12] ~= '' then set_deadline(id, ARGV[12], now, lease) end
return 1
