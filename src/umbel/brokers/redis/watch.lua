-- Look whether there is anything to take. The connection that asks is told by the server when one of
-- these keys changes: those that are read here, or (before Redis 7.2) all of KEYS.
--
-- KEYS   1 parked  2 paused, then the lists, then the next due moment of each queue
-- ARGV   1 number of lists  2 how many levels stand before level 0
-- Returns {how many lists of queues that are not paused hold messages, milliseconds to the next due message or -1}

local lists = tonumber(ARGV[1])
local queue_count = #KEYS - 2 - lists
local names_at = 2 + tonumber(ARGV[2]) * queue_count
local ready = 0
local aside = redis.call('EXISTS', KEYS[1], KEYS[2])

local function is_paused(i)
  local name = KEYS[names_at + (i - 3) % queue_count + 1]
  return aside > 0 and redis.call('SISMEMBER', KEYS[2], name) == 1
end

for i = 3, lists + 2, 1000 do
  ready = ready + redis.call('EXISTS', unpack(KEYS, i, math.min(i + 999, lists + 2)))
end
if ready > 0 then -- what is something else holds no messages
  ready = 0
  for i = 3, lists + 2 do
    local length = redis.pcall('LLEN', KEYS[i])
    if type(length) == 'number' and length > 0 and not is_paused(i) then
      ready = ready + 1
    end
  end
end
local next_due
for i = lists + 3, #KEYS do
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
