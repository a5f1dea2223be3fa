-- Make a consumer known, or take its place again after its connection broke.
--
-- KEYS   1 consumers  2 infos  3 fences  4 attended  5 queues  6 loans of this consumer
-- ARGV   1 consumer id  2 instance  3 number of the connection  4 'new' or 'again'  5 info (JSON)
--        then the names of its queues, of which there may be none
-- The fence is '<instance>:<number>'. A request of an earlier connection that arrives late finds
-- another fence and does nothing.
-- Returns {'ok', loan, raw, loan, raw, …}, or {'taken'} when a new consumer's id is in use or still
-- has loans, or {'fenced'} when the consumer was declared dead, or its id belongs to another.

local id, instance, number = ARGV[1], ARGV[2], tonumber(ARGV[3])

if ARGV[4] == 'new' then
  if redis.call('ZSCORE', KEYS[1], id) or redis.call('EXISTS', KEYS[6]) == 1 then
    return {'taken'}
  end
else
  local fence = redis.call('HGET', KEYS[3], id)
  local owner, connection
  if fence then
    owner, connection = string.match(fence, '^(.*):(%d+)$')
  end
  if owner ~= instance or tonumber(connection) > number then
    return {'fenced'}
  end
end

local time = redis.call('TIME')
redis.call('ZADD', KEYS[1], tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000), id)
redis.call('HSET', KEYS[2], id, ARGV[5])
redis.call('HSET', KEYS[3], id, instance .. ':' .. ARGV[3])
redis.call('SET', KEYS[4], '1')
if ARGV[6] then
  redis.call('SADD', KEYS[5], unpack(ARGV, 6))
end
local answer = redis.call('HGETALL', KEYS[6])
table.insert(answer, 1, 'ok')
return answer
