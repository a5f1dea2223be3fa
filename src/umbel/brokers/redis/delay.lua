-- Keep delayed messages of one queue. Needs delayed.lua.
--
-- KEYS   1 zset  2 messages  3 next  4 twins  5 queues
-- ARGV   1 name of the queue, then of each message: task id, due (ms), level, raw

redis.call('SADD', KEYS[5], ARGV[1])
for i = 2, #ARGV, 4 do
  delay(KEYS[1], KEYS[2], KEYS[3], KEYS[4], ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2], ARGV[i + 3])
end
return redis.status_reply('OK')
