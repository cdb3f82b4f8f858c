-- Shared by the scripts that write to a thread: who may, and what is noted of every write.

-- The error for a write that may not be: one without a token ('') while anyone holds the thread, one with a token that is
-- not the current one.
local function refused(lease, token)
  if not lease and token == '' then return nil end
  local current, deadline, _, owner = parse_lease(lease)
  local left = deadline - microseconds()
  if token == '' then
    return left > 0 and redis.error_reply('HELD ' .. integer(left) .. ' ' .. owner)
  elseif left <= 0 or token ~= current then
    return redis.error_reply('LOST ' .. (left > 0 and owner or ''))
  end
end

-- Write what every write changes and the fields and values that follow, and rank the thread as the newest.
local function save_facts(id, facts, ttl, now, ...)
  local updated = integer(now)
  redis.call('HSET', thread, 'created', facts.created or updated, 'updated', updated, 'ttl', ttl, 'bytes', facts.bytes,
    'written', facts.written, ...)
  -- A new thread may have a key already, with the deadline of its lease.
  if ttl ~= '' or facts.ttl ~= '' or (facts.lease and not facts.created) then set_deadline(id, ttl, now, facts.lease) end
  if threads then
    redis.call('ZADD', threads, updated, id)
    -- Threads that expired take no room in the index: every now and then a write takes some of them out.
    if now % 8 == 0 then
      local expired = redis.call('ZRANGEBYSCORE', deadlines, '-inf', integer(math.floor(now / 1000)), 'LIMIT', 0, 100)
      if #expired > 0 then
        redis.call('ZREM', deadlines, unpack(expired))
        redis.call('ZREM', threads, unpack(expired))
      end
    end
  end
end
