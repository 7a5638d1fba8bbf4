-- Decides over all limits of a request as one: debits every one of them, or none
-- when one is short. It is counter.go in Redis.
--
-- `now` is set before this text: Redis's own clock in microseconds, or a test's.
-- KEYS: one hash for each limit, bucket number to count, all with the same hash tag.
-- ARGV: for each limit events, bucket width in microseconds, buckets in a sum.
-- Gives 1 or 0 (allowed), then for each limit the units used after the decision and
-- the microseconds until the next unit comes back.
--
-- Numbers go to redis.call as they are: Lua's tostring would round them.

-- read sums a hash up and sets apart what no longer counts. The newest bucket is
-- the floor: a clock that went back refills nothing.
local function read(key, events, width, span)
	local fields = redis.call('HGETALL', key)
	local current = math.floor(now / width)
	for f = 1, #fields, 2 do
		current = math.max(current, tonumber(fields[f]))
	end
	local limit = {key = key, events = events, width = width, span = span,
		current = current, used = 0, buckets = {}, stale = {}}
	for f = 1, #fields, 2 do
		local index, count = tonumber(fields[f]), tonumber(fields[f + 1])
		if index <= current - span then
			table.insert(limit.stale, fields[f])
		else
			limit.used = limit.used + count
			table.insert(limit.buckets, {index = index, count = count})
		end
	end
	return limit
end

local function leaves(limit, index)
	return (index + limit.span) * limit.width
end

-- debit counts one unit. A key lives as long as its newest bucket counts and a second
-- more, so that the rounding of the expiry never forgets what still counts.
local function debit(limit)
	local count = redis.call('HINCRBY', limit.key, limit.current, 1)
	if count == 1 then
		local alive = math.ceil((leaves(limit, limit.current) - now) / 1000)
		redis.call('PEXPIRE', limit.key, alive + 1000)
		table.insert(limit.buckets, {index = limit.current, count = 1})
	end
	limit.used = limit.used + 1
	if #limit.stale > 0 then
		redis.call('HDEL', limit.key, unpack(limit.stale))
	end
end

-- wait gives the time until a unit more than now is free. Redis promises no order
-- of the fields.
local function wait(limit)
	local need = math.max(limit.used + 1 - limit.events, 1)
	table.sort(limit.buckets, function(a, b) return a.index < b.index end)
	for _, bucket in ipairs(limit.buckets) do
		need = need - bucket.count
		if need <= 0 then
			return leaves(limit, bucket.index) - now
		end
	end
	return 0
end

local limits, allowed = {}, 1
for i, key in ipairs(KEYS) do
	limits[i] = read(key, tonumber(ARGV[3 * i - 2]), tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i]))
	if limits[i].used >= limits[i].events then
		allowed = 0
	end
end
local reply = {allowed}
for _, limit in ipairs(limits) do
	if allowed == 1 then
		debit(limit)
	end
	table.insert(reply, limit.used)
	table.insert(reply, wait(limit))
end
return reply
