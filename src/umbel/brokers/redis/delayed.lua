-- Functions for delayed messages; put before scripts that need them. Takes no KEYS or ARGV itself.
--
-- The four keys of a queue: zset (member -> due), messages (member -> level|raw),
-- next (the earliest due moment, or earlier; missing only when nothing is delayed),
-- twins (task id -> highest n of its members id#n).
-- `next` is all that an idle consumer reads: it changes only when somebody must wake earlier.

local PROMOTED_AT_ONCE = 1000
local RETRY_AFTER = 3000 -- milliseconds, for a message whose list is no list

local function delay(zset, messages, next_due, twins, id, due, level, raw)
  local member = id
  while redis.call('ZADD', zset, 'NX', due, member) == 0 do
    member = id .. '#' .. redis.call('HINCRBY', twins, id, 1)
  end
  redis.call('HSET', messages, member, level .. '|' .. raw)
  local first = redis.call('GET', next_due)
  if not first or due < tonumber(first) then
    redis.call('SET', next_due, due)
  end
end

-- After a member that may be a twin has gone.
local function forget_twin(zset, twins, member)
  local id = string.match(member, '^(.*)#%d+$')
  local highest = id and tonumber(redis.call('HGET', twins, id) or nil)
  if not highest then
    return
  end
  local left = highest
  while left > 0 and not redis.call('ZSCORE', zset, id .. '#' .. left) do
    left = left - 1
  end
  if left == 0 then
    redis.call('HDEL', twins, id)
  elseif left < highest then
    redis.call('HSET', twins, id, left)
  end
end

-- After members have gone: `next` tells the truth again. Returns it.
local function first_due(zset, next_due)
  local first = redis.call('ZRANGE', zset, 0, 0, 'WITHSCORES')
  if not first[1] then
    redis.call('DEL', next_due)
    return nil
  end
  if redis.call('GET', next_due) ~= first[2] then
    redis.call('SET', next_due, first[2])
  end
  return tonumber(first[2])
end

-- Moves what is due to its lists. `list_of(level)` names the list of a level. One that cannot be
-- pushed to is told to `report(list, problem)`: its messages stay delayed for a while more; or, when
-- that returns an error, it is raised after all that was moved has been removed here. Returns the
-- next due moment, which lies in the past when there was more than fits into one step.
local function promote(zset, messages, next_due, twins, now, list_of, report)
  local due = redis.call('ZRANGEBYSCORE', zset, '-inf', now, 'LIMIT', 0, PROMOTED_AT_ONCE)
  if #due > 0 then
    local kept = redis.call('HMGET', messages, unpack(due))
    local gone, fatal = {}, nil
    for i = 1, #due do
      local place, answer
      if kept[i] then
        place = list_of(string.sub(kept[i], 1, 1))
        answer = redis.pcall('LPUSH', place, string.sub(kept[i], 3))
      end
      if type(answer) == 'table' then
        fatal = report(place, answer)
        if fatal then
          break
        end
        redis.call('ZADD', zset, now + RETRY_AFTER, due[i])
      else
        gone[#gone + 1] = due[i]
      end
    end
    if #gone > 0 then
      redis.call('ZREM', zset, unpack(gone))
      redis.call('HDEL', messages, unpack(gone))
    end
    for i = 1, #gone do
      if string.find(gone[i], '#', 1, true) then
        forget_twin(zset, twins, gone[i])
      end
    end
    if fatal then
      error(fatal, 0)
    end
  end
  return first_due(zset, next_due)
end
