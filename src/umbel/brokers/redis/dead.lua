-- Function for dead letters; put before scripts that need it. Takes no KEYS or ARGV itself.
--
-- dead: zset (id -> died at, microseconds), messages: hash (id -> what it was). An id that is there
-- already gets a suffix. What is above `most` letters or older than `oldest` goes, a few with each new letter.

local TRIMMED_AT_ONCE = 100

local function bury(dead, messages, id, letter, now, most, oldest)
  local name, number = id, redis.call('ZCARD', dead)
  while redis.call('ZADD', dead, 'NX', now, name) == 0 do
    number = number + 1
    name = id .. '#' .. number
  end
  redis.call('HSET', messages, name, letter)
  local gone = redis.call('ZRANGEBYSCORE', dead, '-inf', now - oldest, 'LIMIT', 0, TRIMMED_AT_ONCE)
  if #gone > 0 then
    redis.call('ZREM', dead, unpack(gone))
    redis.call('HDEL', messages, unpack(gone))
  end
  local excess = math.min(redis.call('ZCARD', dead) - most, TRIMMED_AT_ONCE)
  if excess > 0 then
    gone = redis.call('ZRANGE', dead, 0, excess - 1)
    redis.call('ZREM', dead, unpack(gone))
    redis.call('HDEL', messages, unpack(gone))
  end
end
