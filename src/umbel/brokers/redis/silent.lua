-- Consumers nobody has heard of for long, and those whose rescue began as long ago.
--
-- KEYS   1 consumers
-- ARGV   1 milliseconds of silence
-- Returns {id, score, id, score, …}

local time = redis.call('TIME')
local before = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000) - tonumber(ARGV[1])
return redis.call('ZRANGEBYSCORE', KEYS[1], -before, before, 'WITHSCORES')
