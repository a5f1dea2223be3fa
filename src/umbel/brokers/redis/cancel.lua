-- Remove one delayed message, if it is still the one that was looked at. Needs delayed.lua.
--
-- KEYS   1 zset  2 messages  3 next  4 twins
-- ARGV   1 member  2 what it holds
-- Returns how many were removed.

if redis.call('HGET', KEYS[2], ARGV[1]) ~= ARGV[2] then
  return 0
end
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
forget_twin(KEYS[1], KEYS[4], ARGV[1])
first_due(KEYS[1], KEYS[3])
return 1
