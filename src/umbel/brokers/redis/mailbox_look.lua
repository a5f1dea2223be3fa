-- The owner of a mailbox looks into it, which also says that it lives.
--
-- KEYS   1 list  2 binding table of the exchange  3 deadlines of binding tables  4 permanent bindings
-- ARGV   1 member of the table  2 exchange  3 ms for which the table is to be kept
--        4 "1": the mailbox was given up meanwhile, so what lies in it is not wanted
-- Returns what lies in the mailbox, the newest first.
-- Celery deletes tables whose deadline has passed; what dead owners left goes here, too.

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local deadline = tonumber(redis.call('ZSCORE', KEYS[3], ARGV[2]) or 'inf')
if deadline < now and redis.call('EXISTS', KEYS[4]) == 0 then
  redis.call('DEL', KEYS[2])
end
redis.call('SADD', KEYS[2], ARGV[1])
local wanted = now + tonumber(ARGV[3])
if deadline == math.huge or deadline < wanted then
  redis.call('ZADD', KEYS[3], wanted, ARGV[2])
end
local replies = ARGV[4] == '1' and {} or redis.call('LRANGE', KEYS[1], 0, -1)
redis.call('DEL', KEYS[1])
return replies
