-- Declare a consumer dead: it takes no more messages. Its loans stay until somebody settles them.
--
-- KEYS   1 consumers  2 infos  3 fences  4 loans of the consumer
-- ARGV   1 consumer id
-- Returns its info (JSON), or nothing when it is unknown.

local id = ARGV[1]
redis.call('HDEL', KEYS[3], id)
if redis.call('ZSCORE', KEYS[1], id) or redis.call('EXISTS', KEYS[4]) == 1 then
  local time = redis.call('TIME')
  local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
  redis.call('ZADD', KEYS[1], -now, id)
end
return redis.call('HGET', KEYS[2], id)
