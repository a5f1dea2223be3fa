-- Move one parked message to the dead letters, if it is still there. Needs dead.lua.
--
-- KEYS   1 parked  2 list of parked messages  3 dead  4 dead messages
-- ARGV   1 member of parked  2 entry  3 id  4 letter  5 most dead letters  6 their greatest age (us)
-- Returns how many were moved.

local moved = redis.call('LREM', KEYS[2], -1, ARGV[2])
if moved == 1 then
  local time = redis.call('TIME')
  local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
  bury(KEYS[3], KEYS[4], ARGV[3], ARGV[4], now, tonumber(ARGV[5]), tonumber(ARGV[6]))
end
if redis.call('EXISTS', KEYS[2]) == 0 then
  redis.call('SREM', KEYS[1], ARGV[1])
end
return moved
