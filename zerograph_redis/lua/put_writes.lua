-- Store pending writes of a checkpoint, which itself may be stored later: see store_writes.
-- KEYS  of the thread, see thread.lua
-- ARGV  id: the thread   ttl: ms or ''   token: of the lease, or ''; then a batch:
--       field: namespace US checkpoint id
--       how: '' to replace a known write, or 'keep' to keep it; then, for a conditional batch, ':', the version that this
--       batch gives the list of writes, ':', and the version that the list must have ('-' for no list)
--       then identity and record of each write
-- Reply 1; for a conditional batch {1, the version now}, or, if the list has another version and nothing was stored,
--       {0, the version now, manifest or nil, {record of each write}}

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local found = redis.call('HMGET', KEYS.thread, 'lease', 'facts')
local lease, packed = found[1], found[2]

-- The fast path: most batches change few of the facts, while the deadline stays. The code after this block does the same
-- for every batch.
local free = not lease and token == ''
if lease and ttl == '' then
  -- with refused
  free = not refused(lease, token, now)
end
if free and packed then
  local with_writes, kept, its_ttl, deadline, order, count, bytes, rest, live_0, live_1 = packed:match(
    '^1 (%d+) ((%d*) (%d+) [1-9]%d* %d+ %d+ %d+ [01-] %x+) %d+ (000%x+ (%d+)) (%d+) (%d+ (%d+) (%d+))$')
  local keys = count == '0' and 0 or 2
  if with_writes ~= '0' then keys = keys + 1 end
  if live_0 ~= '0' then keys = keys + 1 end
  if live_1 ~= '0' then keys = keys + 1 end
  local later = kept and ttl ~= '' and math.floor(now / 1000) + ttl - deadline or 0
  if kept and #packed < 200 and #with_writes < 10 and #bytes < 14 and ttl == its_ttl
    and (ttl == '' and deadline == '0' or ttl ~= '' and with_writes ~= '0' and later >= 0 and later * 100 < ttl + 0)
    and redis.call('EXISTS', KEYS.index, KEYS.checkpoints, KEYS.writes, KEYS.log_0, KEYS.log_1) == keys then
    local facts = { with_writes = with_writes, bytes = bytes }
    local reply = store_writes(facts, field, how, FIRST, #ARGV)
    if reply == 1 or reply[1] == 1 then
      local updated = #time[2] == 6 and time[1] .. time[2] or string.format('%d', now)
      redis.call('HSET', KEYS.thread, 'facts', string.format('1 %d ', facts.with_writes) .. kept .. ' ' .. updated
        .. ' ' .. order .. string.format(' %d ', facts.bytes) .. rest)
      -- with enter
      enter(id, updated, now)
    end
    return reply
  end
end

-- with parse_facts, missing_keys, save_facts
local facts = parse_facts(packed, lease)
local failure = missing_keys(facts)
if failure then return failure end
if lease or token ~= '' then
  -- with refused
  failure = refused(lease, token, now)
  if failure then return failure end
end
local reply = store_writes(facts, field, how, FIRST, #ARGV)
if reply == 1 or reply[1] == 1 then save_facts(id, facts, ttl, now) end
return reply
