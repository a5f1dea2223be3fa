-- What a consumer holds.
--
-- KEYS   1 consumers  2 loans of the consumer
-- ARGV   1 consumer id  2 'heir' when only a consumer that is declared dead is meant, else ''
-- Returns {loan, raw, loan, raw, …}

if ARGV[2] == 'heir' then
  local score = redis.call('ZSCORE', KEYS[1], ARGV[1])
  if not score or tonumber(score) >= 0 then
    return {}
  end
end
return redis.call('HGETALL', KEYS[2])
