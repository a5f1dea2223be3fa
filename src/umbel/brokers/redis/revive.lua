-- Put one dead letter back on a queue, if it is still the one that was looked at.
--
-- KEYS   1 dead  2 dead messages  3 list of the queue
-- ARGV   1 id  2 letter  3 raw message
-- Returns how many were revived.

if redis.call('HGET', KEYS[2], ARGV[1]) ~= ARGV[2] then
  return 0
end
redis.call('LPUSH', KEYS[3], ARGV[3])
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
return 1
