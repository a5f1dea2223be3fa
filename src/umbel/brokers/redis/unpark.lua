-- Lend parked messages.
--
-- KEYS   1 fences  2 loans of this consumer  3 parked
--        then one list of parked messages for each task and queue
-- ARGV   1 consumer id  2 token of this connection  3 limit
--        4 name of the first new loan is ARGV[4] .. '0', the next .. '1', …
--        5 number of queues of the consumer  6 levels, one digit each
--        then for each list: its member in parked, and the number of its queue (from 0)
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

for i = 4, #KEYS do
  local member, queue = ARGV[7 + 2 * (i - 4)], tonumber(ARGV[8 + 2 * (i - 4)])
  while lent < limit do
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
