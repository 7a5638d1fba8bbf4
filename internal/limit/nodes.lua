-- Notes that a node is alive and gives the number of those that are.
-- `now` is set before this text. KEYS: the set of nodes. ARGV: the node, and for how
-- many microseconds it counts from now; with zero it leaves.
local life = tonumber(ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if life > 0 then
	redis.call('ZADD', KEYS[1], now + life, ARGV[1])
	redis.call('PEXPIRE', KEYS[1], math.ceil(life / 1000) + 1000)
else
	redis.call('ZREM', KEYS[1], ARGV[1])
end
return {redis.call('ZCARD', KEYS[1])}
