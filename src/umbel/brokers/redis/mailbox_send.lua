-- Put a reply into a mailbox that somebody has.
--
-- KEYS   1 list  2 binding table of the exchange
-- ARGV   1 member of the table  2 reply  3 ms for which it is kept when nobody fetches it
-- Returns 1, or 0 where there is no such mailbox.

if redis.call('SISMEMBER', KEYS[2], ARGV[1]) == 0 then
  return 0
end
redis.call('LPUSH', KEYS[1], ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
