-- Take a thread that is gone out of the list of threads; not one that lost its facts alone, which is damaged.
-- ARGV  id: the thread
-- Reply nothing

if KEYS.threads and redis.call('EXISTS', unpack(KEYS, 1, OWN_KEYS)) == 0 then
  redis.call('ZREM', KEYS.threads, id)
  redis.call('ZREM', KEYS.deadlines, id)
end
return false
