-- Shared by the scripts that look whether the keys of a thread go together.

-- The longest that any key of the thread has left, ms; -1 if none has a deadline.
local function time_left()
  local longest = -1
  for key = 1, OWN_KEYS do longest = math.max(longest, redis.call('PTTL', KEYS[key])) end
  return longest
end
