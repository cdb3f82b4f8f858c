-- Find, and remove, the keys of an unfinished copy, unless they go by themselves: then it may be under way.
-- KEYS  the staged keys
-- ARGV  remove: '1' to remove them
-- Reply 1, or 0 if there are none, or they go by themselves

local lasting = 0
for key = 1, OWN_KEYS do
  local left = redis.call('PTTL', KEYS[key])
  if left >= 0 then return 0 end
  if left == -1 then lasting = 1 end
end
if lasting == 1 and remove == '1' then redis.call('UNLINK', unpack(KEYS, 1, OWN_KEYS)) end
return lasting
