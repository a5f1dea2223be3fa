-- Forget dead letters.
--
-- KEYS   1 dead  2 dead messages
-- ARGV   ids
-- Returns how many there were.

local dropped = 0
for i = 1, #ARGV do
  dropped = dropped + redis.call('ZREM', KEYS[1], ARGV[i])
  redis.call('HDEL', KEYS[2], ARGV[i])
end
return dropped
