-- Publish a staged copy as the thread, if the thread is empty, or unchanged since the copy that may be replaced was
-- published.
-- KEYS  of the thread, those of the staged copy in the same order, and those across threads, see thread.lua
-- ARGV  id: the thread   ttl: ms or ''   copy: the name of this copy   current: generation of the current log, or zeros
--       token: of the lease, or ''   checkpoint_count, with_writes, log_bytes: how many checkpoints must be staged, how
--       many of them with pending writes, how many bytes of logs   created: µs, or '' for now   updated: the last write,
--       µs   left: what is left of the ttl, ms or ''   instead: the name of the copy that may be replaced, or ''
--       instead_updated: the last write of that copy, µs   page_count: how many pages must be staged
-- Reply 1, or 0 if not all of it is staged (any more), or nil if the thread was not empty

local now = microseconds()
local facts, found = read_facts(KEYS.thread, 'copy')
local failure = missing_keys(facts) or refused(facts.lease, token, now)
if failure then return failure end
if facts.created ~= '0' and found[3] == copy then return 1 end
if facts.checkpoints ~= '0' or facts.with_writes ~= '0' then
  if instead == '' or found[3] ~= instead or facts.updated ~= instead_updated or facts.removed ~= '0' then return false end
end

local staged, fields = read_facts(KEYS.staged_thread, 'pages', 'appended:0', 'appended:1', 'generation:0', 'generation:1')
local _, _, pages, appended_0, appended_1, generation_0, generation_1 = unpack(fields)
staged.lease = facts.lease
local lengths = { ['0'] = redis.call('STRLEN', KEYS.staged_log_0), ['1'] = redis.call('STRLEN', KEYS.staged_log_1) }
if (pages or '0') ~= page_count or redis.call('HLEN', KEYS.staged_checkpoints) ~= tonumber(checkpoint_count)
  or staged.with_writes + 0 ~= tonumber(with_writes) or lengths['0'] + lengths['1'] ~= tonumber(log_bytes) then
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
-- Staging has counted most of the facts.
local log = generation_0 == current and '0' or generation_1 == current and '1' or '-'
local length = lengths[log] or 0
local appended = tonumber((log == '0' and appended_0) or (log == '1' and appended_1) or 0)
if length == 0 then log = '-' end
staged.log, staged.generation, staged.length, staged.garbage = log, current, length, math.max(length - appended, 0)
staged.made_key = true
if created == '' then
  save_facts(id, staged, ttl, now)
else
  updated = integer(math.min(updated, now))
  staged.created = integer(math.min(created, updated))
  save_facts(id, staged, ttl, now, nil, nil, ttl ~= '' and left ~= '' and left, updated)
end
return 1
