-- Look at the keys and counts of a thread: whether its parts fit together.
-- ARGV  id: the thread
-- Reply {1 if it is there; what is missing, or ''; 'right', 'missing', 'wrong', 'stale', 'expired' or 'elsewhere', which
--       is how the list of threads tells of it; how many of its keys have another deadline than it should have;
--       updated, checkpoints, bytes, ttl; owner of its lease, and for how long it is held, ms}; '' for what it has not

local now = microseconds()
-- Facts that cannot be read are damage too, and a doctor looks at the rest.
local readable, failure = pcall(check_whole)
if readable and not failure then readable, failure = pcall(check_namespaces) end
if not readable then
  local told = type(failure) == 'table' and failure.err or tostring(failure)
  failure = damaged(told:match('DAMAGED (.*)$') or told)
end
local known, facts = pcall(read_facts, KEYS.thread)
if not known then facts = { created = '0', updated = '', ttl = '', checkpoints = 0, bytes = 0 } end
local stored = facts.created ~= '0'
local there = failure or stored
local ttl = facts.ttl

local function differs(milliseconds, expected)
  return milliseconds < 0 or math.abs(milliseconds - expected) > 1000
end

local size, astray = facts.bytes, 0
local left = time_left()
if there and known then
  for key = 1, OWN_KEYS do
    local own = redis.call('PTTL', KEYS[key])
    -- -2 is for a key that is not there, -1 for one without a deadline.
    if own ~= -2 and ((ttl == '' and own ~= -1) or (ttl ~= '' and differs(own, left))) then astray = astray + 1 end
  end
end
if there then
  size = size + redis.call('STRLEN', KEYS.log_0) + redis.call('STRLEN', KEYS.log_1)
end

local entry = 'elsewhere'
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
  elseif not there and (listed or deadline) then
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
  there and 1 or 0, failure and failure.err:match('^DAMAGED (.*)$') or '', entry, astray, facts.updated,
  integer(facts.checkpoints), integer(size), ttl, held > 0 and owner or '', held,
}
