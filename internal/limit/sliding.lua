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
		fields[f], fields[f + 1] = tonumber(fields[f]), tonumber(fields[f + 1])
		current = math.max(current, fields[f])
	end
	local used, oldest, stale = 0, current, {}
	for f = 1, #fields, 2 do
		if fields[f] <= current - span then
			stale[#stale + 1] = fields[f]
		else
			used = used + fields[f + 1]
			oldest = math.min(oldest, fields[f])
		end
	end
	return {key = key, events = events, width = width, span = span, current = current,
		fields = fields, used = used, oldest = oldest, stale = stale}
end

local function leaves(limit, index)
	return (index + limit.span) * limit.width
end

-- debit counts one unit. A key lives as long as its newest bucket counts and a second
-- more, so that the rounding of the expiry never forgets what still counts.
local function debit(limit)
	limit.used = limit.used + 1
	if redis.call('HINCRBY', limit.key, limit.current, 1) == 1 then
		local alive = math.ceil((leaves(limit, limit.current) - now) / 1000)
		redis.call('PEXPIRE', limit.key, alive + 1000)
	end
	if #limit.stale > 0 then
		redis.call('HDEL', limit.key, unpack(limit.stale))
	end
end

-- overdrawn gives the bucket with which a limit that was lowered below what is used
-- has room again. Redis promises no order of the fields.
local function overdrawn(limit)
	local counts, order = {}, {}
	for f = 1, #limit.fields, 2 do
		local index = limit.fields[f]
		if index > limit.current - limit.span then
			counts[index] = limit.fields[f + 1]
			order[#order + 1] = index
		end
	end
	table.sort(order)
	local used = limit.used
	for _, index in ipairs(order) do
		used = used - counts[index]
		if used < limit.events then
			return index
		end
	end
end

-- wait gives the time until a unit more than now is free.
local function wait(limit)
	if limit.used == 0 then
		return 0
	end
	if limit.used > limit.events then
		return leaves(limit, overdrawn(limit)) - now
	end
	return leaves(limit, limit.oldest) - now
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
	reply[#reply + 1] = limit.used
	reply[#reply + 1] = wait(limit)
end
return reply
