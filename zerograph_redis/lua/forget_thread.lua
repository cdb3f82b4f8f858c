-- Remove a deleted or expired thread from the thread index; not a thread whose facts alone are missing, which is damaged.
-- KEYS  of the thread, see thread.lua
-- ARGV  id: the thread
-- Reply nil

if redis.call('EXISTS', unpack(KEYS, 1, OWN_KEYS)) == 0 then unindex(id) end
return false
