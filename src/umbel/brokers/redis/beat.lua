-- Consumers live.
--
-- KEYS   1 consumers  2 fences
-- ARGV   consumer ids
-- Returns the ids that are unknown or were declared dead; those are left as they are.

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local unknown = {}
for i = 1, #ARGV do
  if redis.call('HEXISTS', KEYS[2], ARGV[i]) == 1 then
    redis.call('ZADD', KEYS[1], now, ARGV[i])
  else
    unknown[#unknown + 1] = ARGV[i]
  end
end
return unknown
