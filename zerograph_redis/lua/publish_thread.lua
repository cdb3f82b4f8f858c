-- Make a staged copy the thread, if the thread is empty, or as it was published from what the copy may replace.
-- KEYS  those of the thread, the staged ones in the same order, and those across threads
-- ARGV  id: the thread   ttl: ms or ''   copy: the name of this copy   current: generation of the current log, or zeros
--       token: of the lease, or ''   checkpoint_count, written, log_bytes: how many checkpoints must be staged, how many
--       with writes, how many bytes of logs   created: when it was, µs, or '' for now   updated: when it was written last
--       left: of its ttl, ms or ''   instead: the name of the copy that may be replaced, or ''   instead_updated: when that
--       was written last, µs   page_count: how many pages must be staged
-- Reply 1, or 0 if not all of it is there (any more), or nil if the thread was not empty

local now = microseconds()
local facts, found = read_facts(KEYS.thread, 'copy')
local failure = lost_keys(facts) or refused(facts.lease, token, now)
if failure then return failure end
if facts.created ~= '0' and found[3] == copy then return 1 end
if facts.checkpoints ~= '0' or facts.written ~= '0' then
  if instead == '' or found[3] ~= instead or facts.updated ~= instead_updated or facts.gone ~= '0' then return false end
end

local staged, told = read_facts(KEYS.staged_thread, 'pages', 'appended:0', 'appended:1', 'generation:0', 'generation:1')
local _, _, pages, appended_0, appended_1, generation_0, generation_1 = unpack(told)
staged.lease = facts.lease
local lengths = { ['0'] = redis.call('STRLEN', KEYS.staged_log_0), ['1'] = redis.call('STRLEN', KEYS.staged_log_1) }
if (pages or '0') ~= page_count or redis.call('HLEN', KEYS.staged_checkpoints) ~= tonumber(checkpoint_count)
  or staged.written + 0 ~= tonumber(written) or lengths['0'] + lengths['1'] ~= tonumber(log_bytes) then
  return 0
end

redis.call('UNLINK', unpack(KEYS, 1, OWN_KEYS))
for key = 1, OWN_KEYS do
  local from = KEYS[OWN_KEYS + key]
  if redis.call('EXISTS', from) == 1 then
    redis.call('RENAME', from, KEYS[key])
    redis.call('PERSIST', KEYS[key])
  end
end
redis.call('HDEL', KEYS.thread, 'pages', 'appended:0', 'appended:1', 'generation:0', 'generation:1')
redis.call('HSET', KEYS.thread, 'copy', copy)
if facts.lease then redis.call('HSET', KEYS.thread, 'lease', facts.lease) end
-- What was staged counted most facts as it came.
local slot = generation_0 == current and '0' or generation_1 == current and '1' or '-'
local length = lengths[slot] or 0
local appended = tonumber((slot == '0' and appended_0) or (slot == '1' and appended_1) or 0)
if length == 0 then slot = '-' end
staged.slot, staged.generation, staged.length, staged.dropped = slot, current, length, math.max(length - appended, 0)
staged.made_key = true
if created == '' then
  save_facts(id, staged, ttl, now)
else
  updated = integer(math.min(updated, now))
  staged.created = integer(math.min(created, updated))
  save_facts(id, staged, ttl, now, nil, nil, ttl ~= '' and left ~= '' and left, updated)
end
return 1
