-- Forget a consumer that holds nothing any more.
--
-- KEYS   1 consumers  2 infos  3 fences  4 loans of the consumer
-- ARGV   1 consumer id  2 'heir' when only a consumer that is declared dead is meant, else ''
-- Returns 1, or 0 when it still holds loans or lives.

if redis.call('EXISTS', KEYS[4]) == 1 then
  return 0
end
if ARGV[2] == 'heir' then
  local score = redis.call('ZSCORE', KEYS[1], ARGV[1])
  if score and tonumber(score) >= 0 then
    return 0
  end
end
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('HDEL', KEYS[3], ARGV[1])
return 1
