-- Check whether the keys and counts of a thread are consistent.
-- KEYS  of the thread, see thread.lua
-- ARGV  id: the thread
-- Reply {1 if the thread exists; the damage, or ''; its entry in the thread index: 'right', 'missing', 'wrong', 'stale',
--       'expired', or 'unknown' on a cluster; how many of its keys have a wrong deadline; updated, checkpoints, bytes,
--       ttl; owner of its lease, and for how many ms it is held}; '' for a missing value

local now = microseconds()
-- Facts that cannot be read are damage too; the rest is still checked.
local readable, failure = pcall(check_thread)
if readable and not failure then readable, failure = pcall(check_namespaces) end
if not readable then
  local message = type(failure) == 'table' and failure.err or tostring(failure)
  failure = damaged(message:match('DAMAGED (.*)$') or message)
end
local known, facts = pcall(read_facts, KEYS.thread)
if not known then facts = { created = '0', updated = '', ttl = '', checkpoints = 0, bytes = 0 } end
local stored = facts.created ~= '0'
local exists = failure or stored
local ttl = facts.ttl

local function differs(milliseconds, expected)
  return milliseconds < 0 or math.abs(milliseconds - expected) > 1000
end

local size, astray = facts.bytes, 0
local left = time_left()
if exists and known then
  for key = 1, OWN_KEYS do
    local own = redis.call('PTTL', KEYS[key])
    -- -2 means that the key does not exist, -1 that it has no deadline.
    if own ~= -2 and ((ttl == '' and own ~= -1) or (ttl ~= '' and differs(own, left))) then astray = astray + 1 end
  end
end
if exists then
  size = size + redis.call('STRLEN', KEYS.log_0) + redis.call('STRLEN', KEYS.log_1)
end

local entry = 'unknown'
if KEYS.threads then
  entry = 'right'
  local listed, deadline = redis.call('ZSCORE', KEYS.threads, id), redis.call('ZSCORE', KEYS.deadlines, id)
  if stored then
    local right = ttl == '' and not deadline
    if ttl ~= '' and deadline then right = not differs(deadline - math.floor(now / 1000), left) end
    if not listed then
      entry = 'missing'
    elseif not right or tonumber(listed) ~= tonumber(facts.updated) then
      entry = 'wrong'
    end
  elseif not exists and (listed or deadline) then
    entry = deadline and tonumber(deadline) <= now / 1000 and 'expired' or 'stale'
  end
end

local held_until, owner, _
readable, _, held_until, _, owner = pcall(parse_lease, redis.call('HGET', KEYS.thread, 'lease'))
if not readable then
  held_until, owner = 0, ''
  failure = failure or damaged('its lease cannot be read')
end
local held = math.max(math.ceil((held_until - now) / 1000), 0)
return {
  exists and 1 or 0, failure and failure.err:match('^DAMAGED (.*)$') or '', entry, astray, facts.updated,
  integer(facts.checkpoints), integer(size), ttl, held > 0 and owner or '', held,
}
