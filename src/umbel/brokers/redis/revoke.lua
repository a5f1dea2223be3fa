-- Remember tasks that are not to start any more.
--
-- KEYS   1 revoked  2 fences
-- ARGV   1 until when (ms)  2 how many are remembered at most
--        then the task ids
-- The counter that every exchange returns lies in the hash of the fences, where it costs no look.

for i = 3, #ARGV do
  redis.call('ZADD', KEYS[1], ARGV[1], ARGV[i])
end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
local surplus = redis.call('ZCARD', KEYS[1]) - tonumber(ARGV[2])
if surplus > 0 then
  redis.call('ZREMRANGEBYRANK', KEYS[1], 0, surplus - 1)
end
redis.call('HINCRBY', KEYS[2], '', 1)
