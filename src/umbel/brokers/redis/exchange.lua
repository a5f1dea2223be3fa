-- Settle loans and lend new messages, in one step. Needs delayed.lua, dead.lua, and for stores the
-- function store(key, time to live, payload) of the result backend.
--
-- KEYS   1 fences  2 loans of this consumer  3 parked  4 paused
--        then the lists, level by level, Q in each
--        then of each queue: zset, messages, next, twins (4 Q)
--        then one key for each store, then the keys of each effect, in their order
-- ARGV   1 consumer id        2 token of this connection
--        3 limit              4 name of the first new loan is ARGV[4] .. '0', the next .. '1', …
--        5 Q                  6 levels, one digit each, in the order of service
--        7 the queue (from 0) whose turn it is
--        8 settlements        9 stores        10 effects
--        11 db of the stores, '' when it is the broker's own        12 db of the broker
--        13 most dead letters                14 their greatest age in microseconds
--        then of each settlement: its loan (the first ones are those with a store, in order)
--        then of each store: time to live and payload, as the function takes them
--        then of each effect: its kind, the number of its settlement, and:
--          LPUSH, RPUSH  raw                    keys: list
--          delay         id, due, level, raw    keys: zset, messages, next, twins   (due '+n': from now)
--          bury          id, letter             keys: dead, dead messages
--          park          member, level, raw     keys: list   (and KEYS[3])
--          SADD          member                 keys: set
-- Returns {state, refused, problems, milliseconds to the next due message or -1, parked,
--          {queue list, how many, queue list, how many, …}, {raw, raw, …}, revocations}
-- state: 'ok', 'fenced' (declared dead or unknown: loans were settled, nothing was lent),
-- 'stale' (somebody else uses this id, or this request comes late: nothing was done).

local fences, loans, parked, paused = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local limit, queue_count, levels = tonumber(ARGV[3]), tonumber(ARGV[5]), ARGV[6]
local store_count, effect_count = tonumber(ARGV[9]), tonumber(ARGV[10])
local refused, problems = {}, {}
local key = 4 + queue_count * (#levels + 4)
local arg = 14

local known = redis.call('HMGET', fences, ARGV[1], '')
local fence, revocations = known[1], known[2] or 0
if fence and fence ~= ARGV[2] then
  return {'stale'}
end
local time = redis.call('TIME')
local now_us = tonumber(time[1]) * 1000000 + tonumber(time[2])
local now = math.floor(now_us / 1000)

-- A key that holds something else concerns one settlement, whose loan then goes on, or one list
-- (settlement 0), which is passed by.
local function failed(settlement, text)
  problems[#problems + 1] = settlement
  problems[#problems + 1] = text
end

-- Settlements ------------------------------------------------------------------------------------

local held, first_loan = {}, arg -- those that can end
local settled_count = tonumber(ARGV[8])
for i = 1, settled_count do
  if redis.call('HEXISTS', loans, ARGV[arg + i]) == 1 then
    held[i] = true
  else
    refused[#refused + 1] = i
  end
end
arg = arg + settled_count

-- Looked at before anything of a settlement is done: whether all that belongs to it can be.
local KEYS_OF, ARGV_OF
if effect_count > 0 then
  KEYS_OF = {LPUSH = 1, RPUSH = 1, SADD = 1, delay = 4, bury = 2, park = 1}
  ARGV_OF = {LPUSH = 1, RPUSH = 1, SADD = 1, delay = 4, bury = 2, park = 3}
  local TYPES = {
    LPUSH = {'list'}, RPUSH = {'list'}, SADD = {'set'}, park = {'list'},
    delay = {'zset', 'hash', 'string', 'hash'}, bury = {'zset', 'hash'},
  }
  local types = {} -- of the keys that were looked at, or what they will be

  local function check(settlement, name, wanted)
    local found = types[name]
    if found == wanted then
      return
    end
    found = found or redis.call('TYPE', name).ok
    if found == 'none' then
      found = wanted
    end
    types[name] = found
    if found ~= wanted and held[settlement] then
      held[settlement] = nil
      failed(settlement, 'WRONGTYPE ' .. name .. ' is a ' .. found .. ', not a ' .. wanted)
    end
  end

  local k, a = key + store_count, arg + 2 * store_count
  for _ = 1, effect_count do
    local kind, settlement = ARGV[a + 1], tonumber(ARGV[a + 2])
    if held[settlement] then
      local wanted = TYPES[kind]
      for i = 1, #wanted do
        check(settlement, KEYS[k + i], wanted[i])
      end
      if kind == 'park' then
        check(settlement, parked, 'set')
      end
    end
    k, a = k + KEYS_OF[kind], a + 2 + ARGV_OF[kind]
  end
end

if store_count > 0 then
  if ARGV[11] ~= '' then
    redis.call('SELECT', ARGV[11])
  end
  for i = 1, store_count do
    if held[i] then
      store(KEYS[key + i], ARGV[arg + 1], ARGV[arg + 2])
    end
    arg = arg + 2
  end
  if ARGV[11] ~= '' then
    redis.call('SELECT', ARGV[12])
  end
  key = key + store_count
end

if effect_count > 0 then
  local effects = {}

  function effects.LPUSH(k, a)
    redis.call('LPUSH', KEYS[k + 1], ARGV[a + 1])
  end

  function effects.RPUSH(k, a)
    redis.call('RPUSH', KEYS[k + 1], ARGV[a + 1])
  end

  function effects.SADD(k, a)
    redis.call('SADD', KEYS[k + 1], ARGV[a + 1])
  end

  function effects.delay(k, a)
    local due = tonumber(ARGV[a + 2])
    if string.sub(ARGV[a + 2], 1, 1) == '+' then
      due = now + due
    end
    delay(KEYS[k + 1], KEYS[k + 2], KEYS[k + 3], KEYS[k + 4], ARGV[a + 1], due, ARGV[a + 3], ARGV[a + 4])
  end

  function effects.bury(k, a)
    now_us = now_us + 1 -- of two buried in one step, the second is the newer
    bury(KEYS[k + 1], KEYS[k + 2], ARGV[a + 1], ARGV[a + 2], now_us, tonumber(ARGV[13]), tonumber(ARGV[14]))
  end

  function effects.park(k, a)
    redis.call('LPUSH', KEYS[k + 1], now .. '|' .. ARGV[a + 2] .. '|' .. ARGV[a + 3])
    redis.call('SADD', parked, ARGV[a + 1])
  end

  for _ = 1, effect_count do
    local kind, settlement = ARGV[arg + 1], tonumber(ARGV[arg + 2])
    if held[settlement] then
      effects[kind](key, arg + 2)
    end
    key = key + KEYS_OF[kind]
    arg = arg + 2 + ARGV_OF[kind]
  end
end

local ended = {}
for i = 1, settled_count do
  if held[i] then
    ended[#ended + 1] = ARGV[first_loan + i]
  end
end
for i = 1, #ended, 4000 do
  redis.call('HDEL', loans, unpack(ended, i, math.min(i + 3999, #ended)))
end

if not fence then
  return {'fenced', refused, problems}
end

-- New loans --------------------------------------------------------------------------------------

-- How many of KEYS[first] … KEYS[last] there are.
local function existing(first, last)
  local count = 0
  for i = first, last, 1000 do
    count = count + redis.call('EXISTS', unpack(KEYS, i, math.min(i + 999, last)))
  end
  return count
end

-- Mostly there is nothing at all, neither parked nor paused nor ready nor delayed: one look tells.
local delayed_at = 4 + queue_count * #levels -- KEYS before zset of queue 0
if limit > 0 and existing(3, delayed_at + 4 * queue_count) == 0 then
  return {'ok', refused, problems, -1, 0, {}, {}, revocations}
end

local next_due
local runs, lent = {}, {}
local reported = {}

-- A list that is something else is told once, and passed by. Everything else (read-only server, no
-- memory, no permission) concerns all: then this is the error to raise.
local function report(name, problem)
  if not string.find(problem.err, 'WRONGTYPE', 1, true) then
    return problem
  end
  if not reported[name] then
    reported[name] = true
    failed(0, 'WRONGTYPE ' .. name .. ' is no list')
  end
  return nil
end

local function note_due(moment)
  if moment and (not next_due or moment < next_due) then
    next_due = moment
  end
end

local function promote_queue(queue)
  local at = delayed_at + 4 * queue
  note_due(promote(KEYS[at + 1], KEYS[at + 2], KEYS[at + 3], KEYS[at + 4], now, function(level)
    local place
    for lower = tonumber(level), 0, -1 do -- of another order: the nearest level that is served
      place = string.find(levels, lower, 1, true)
      if place then
        break
      end
    end
    return KEYS[4 + (place - 1) * queue_count + queue + 1]
  end, report))
end

-- `next` is missing when nothing is delayed; that is believed only after a look.
local function promote_due()
  for queue = 0, queue_count - 1 do
    local at = delayed_at + 4 * queue
    local moment = redis.call('GET', KEYS[at + 3])
    if moment and tonumber(moment) > now then
      note_due(tonumber(moment))
    elseif moment or redis.call('EXISTS', KEYS[at + 1]) == 1 then
      promote_queue(queue)
    end
  end
end

local function keep(at, batch)
  if #batch > 0 then
    runs[#runs + 1] = at
    runs[#runs + 1] = #batch
    local pairs_of = {}
    for i = 1, #batch do
      pairs_of[2 * i - 1] = ARGV[4] .. #lent .. ':' .. at
      pairs_of[2 * i] = batch[i]
      lent[#lent + 1] = batch[i]
    end
    for i = 1, #pairs_of, 2000 do
      redis.call('HSET', loans, unpack(pairs_of, i, math.min(i + 1999, #pairs_of)))
    end
  end
end

-- Up to `count` messages of one list.
local function take(at, count)
  local name = KEYS[4 + at + 1]
  local batch = redis.pcall('RPOP', name, count)
  if batch and batch.err then
    local fatal = report(name, batch)
    if fatal then
      error(fatal, 0)
    end
    return {}
  end
  return batch or {}
end

local resting = {} -- numbers of queues that lend nothing

-- The set holds the names of the lists of level 0.
local function note_paused()
  if redis.call('EXISTS', paused) == 1 then
    local names_at = 4 + (string.find(levels, '0', 1, true) - 1) * queue_count
    for queue = 0, queue_count - 1 do
      resting[queue] = redis.call('SISMEMBER', paused, KEYS[names_at + queue + 1]) == 1
    end
  end
end

-- Queues of one level take turns: each gives its share first, then those that have more give more.
local function take_level(level)
  local first = level * queue_count
  local turn = tonumber(ARGV[7])
  local hungry = queue_count
  while limit > #lent and hungry > 0 do
    local share = math.ceil((limit - #lent) / hungry)
    local still = 0
    for i = 0, queue_count - 1 do
      local room = math.min(share, limit - #lent)
      local queue = (turn + i) % queue_count
      if room > 0 and not resting[queue] then
        local at = first + queue
        local batch = take(at, room)
        keep(at, batch)
        if #batch == room then
          still = still + 1
        end
      end
    end
    hungry = still
  end
end

if limit > 0 then
  promote_due()
  -- Most messages are of the level that comes last, and nothing is paused: one look tells, too.
  local last = #levels - 1
  local first = last
  if existing(4, 4 + queue_count * last) > 0 then
    first = 0
    note_paused()
  end
  for level = first, last do
    take_level(level)
    if #lent >= limit then
      break
    end
  end
end

local wait = -1
if next_due then
  wait = math.max(next_due - now, 0)
end
return {'ok', refused, problems, wait, redis.call('EXISTS', parked), runs, lent, revocations}
