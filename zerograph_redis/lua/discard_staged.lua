-- Find, and remove, the keys of an unfinished copy, unless they expire: then the copy may be in progress.
-- KEYS  of the staged copy, see thread.lua
-- ARGV  remove: '1' to remove them
-- Reply 1, or 0 if there are none, or they expire

local found = 0
for key = 1, OWN_KEYS do
  local left = redis.call('PTTL', KEYS[key])
  if left >= 0 then return 0 end
  if left == -1 then found = 1 end
end
if found == 1 and remove == '1' then redis.call('UNLINK', unpack(KEYS, 1, OWN_KEYS)) end
return found
