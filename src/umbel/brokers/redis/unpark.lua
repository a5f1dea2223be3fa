-- Lend parked messages.
--
-- KEYS   1 fences  2 loans of this consumer  3 parked  4 paused
--        then one list of parked messages for each task and queue
-- ARGV   1 consumer id  2 token of this connection  3 limit
--        4 name of the first new loan is ARGV[4] .. '0', the next .. '1', …
--        5 number of queues of the consumer  6 levels, one digit each
--        then for each list: its member in parked, the number of its queue (from 0), and the name by
--        which that is paused
-- Returns {'ok', loan, raw, loan, raw, …}, or {'fenced'}: nothing was lent.

if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then
  return {'fenced'}
end
local limit, queue_count, levels = tonumber(ARGV[3]), tonumber(ARGV[5]), ARGV[6]
local answer, lent = {'ok'}, 0

local function lend(entry, queue)
  local bar = string.find(entry, '|', 1, true)
  local place
  for level = tonumber(string.sub(entry, bar + 1, bar + 1)), 0, -1 do
    place = string.find(levels, level, 1, true)
    if place then
      break
    end
  end
  local loan = ARGV[4] .. lent .. ':' .. ((place - 1) * queue_count + queue) .. 'p'
  local raw = string.sub(entry, bar + 3)
  redis.call('HSET', KEYS[2], loan, raw)
  answer[#answer + 1] = loan
  answer[#answer + 1] = raw
  lent = lent + 1
end

for i = 5, #KEYS do
  local at = 7 + 3 * (i - 5)
  local member, queue = ARGV[at], tonumber(ARGV[at + 1])
  local paused = redis.call('SISMEMBER', KEYS[4], ARGV[at + 2]) == 1
  while lent < limit and not paused do
    local entry = redis.call('RPOP', KEYS[i])
    if not entry then
      break
    end
    lend(entry, queue)
  end
  if redis.call('EXISTS', KEYS[i]) == 0 then
    redis.call('SREM', KEYS[3], member)
  end
end
return answer
