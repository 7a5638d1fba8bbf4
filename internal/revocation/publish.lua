-- Adds one revocation to the set of those that are in force, and to the stream that
-- tells of it, by the clock of Redis.
-- KEYS: set, stream. ARGV: revocation, its end and the stream's reach, in milliseconds.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('(%.0f', now))
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
return redis.call('XADD', KEYS[2], 'MINID', '~', string.format('%.0f', now - ARGV[3]), '*', 'r', ARGV[1])
