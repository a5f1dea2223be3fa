-- Look whether there is anything to take. The connection that asks is told by the server when one of
-- these keys changes: those that are read here, or (before Redis 7.2) all of KEYS.
--
-- KEYS   1 parked, then the lists, then the next due moment of each queue
-- ARGV   1 number of lists
-- Returns {how many lists hold messages, milliseconds to the next due message or -1}

local lists = tonumber(ARGV[1])
local ready = 0
redis.call('EXISTS', KEYS[1])
for i = 2, lists + 1, 1000 do
  ready = ready + redis.call('EXISTS', unpack(KEYS, i, math.min(i + 999, lists + 1)))
end
if ready > 0 then -- what is something else holds no messages
  ready = 0
  for i = 2, lists + 1 do
    local length = redis.pcall('LLEN', KEYS[i])
    if type(length) == 'number' and length > 0 then
      ready = ready + 1
    end
  end
end
local next_due
for i = lists + 2, #KEYS do
  local moment = tonumber(redis.call('GET', KEYS[i]) or nil)
  if moment and (not next_due or moment < next_due) then
    next_due = moment
  end
end
if not next_due then
  return {ready, -1}
end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
return {ready, math.max(next_due - now, 0)}
