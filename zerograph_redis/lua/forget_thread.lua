-- Take a thread that is gone out of the list of threads; not one that lost its facts alone, which is damaged.
-- ARGV  1 thread
-- Reply nothing

if threads and redis.call('EXISTS', unpack(KEYS, 1, OWN_KEYS)) == 0 then
  redis.call('ZREM', threads, ARGV[1])
  redis.call('ZREM', deadlines, ARGV[1])
end
return false
