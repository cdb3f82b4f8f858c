-- Take a thread that is gone out of the list of threads.
-- ARGV  1 thread
-- Reply nothing

if threads and redis.call('EXISTS', thread) == 0 then
  redis.call('ZREM', threads, ARGV[1])
  redis.call('ZREM', deadlines, ARGV[1])
end
return false
