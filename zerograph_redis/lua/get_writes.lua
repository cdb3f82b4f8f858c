-- Read the pending writes of a checkpoint.
-- ARGV  1 thread   2 namespace   3 checkpoint id   4 '1' to refresh the deadline
-- Reply {manifest or nil, {record of each write}}

local manifest, records = read_writes(ARGV[2] .. US .. ARGV[3])
if not manifest then
  local _, failure = load_facts()
  if failure then return failure end
end
if ARGV[4] == '1' then refresh(ARGV[1]) end
return { manifest, records }
