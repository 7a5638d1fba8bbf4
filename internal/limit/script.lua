-- Does a batch of an engine as one: takes of several limits, each all or nothing, and
-- what else nodes tell each other. It is rule.go in Redis; protocol.go says what the
-- steps mean.
--
-- `now` is set before this text: Redis's own clock in microseconds, or a test's.
-- KEYS: the epoch of the scope, what a node gave back last, then a key for each subject.
-- ARGV: the node, the number of nodes, the epoch that it knows, the number of this
-- batch's gives, the number of subjects, five numbers for each (kind, events, width
-- or interval, span, slice), then the steps.
-- Gives the epoch; then for each take 1 or 0 and for each of its subjects, as for each
-- look, six numbers: short, extra, used, wait, bucket, left.
--
-- Numbers go to redis.call as they are: Lua's tostring would round them.

local SLIDING, DAY, MONTH, GCRA, SLOTS = 1, 2, 3, 4, 5
local TAKE, GIVE, CHARGE, READ, DROP, HOLD = 1, 2, 3, 4, 5, 6
local SLOT_LIFE, SLOT_WAIT = 30000000, 1000000
local LEAST_EVENTS = 20
local FIRST = 5 -- arguments before those of the subjects

local node, nodes, expected = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local floor, ceil, max, min = math.floor, math.ceil, math.max, math.min

local epoch = tonumber(redis.call('GET', KEYS[1]) or '0')
if epoch == 0 then
	epoch = now
	redis.call('SET', KEYS[1], epoch)
end
if expected ~= 0 and expected ~= epoch then
	return {epoch}
end

-- month gives the number of a time's month since 1970, and begins that number's first
-- microsecond. Days are counted from March, so that the leap day is the last of a year.
local function month(at)
	local days = floor(at / 86400000000) + 719468
	local era = floor(days / 146097)
	local day = days - era * 146097
	local year = floor((day - floor(day / 1460) + floor(day / 36524) - floor(day / 146096)) / 365)
	local inyear = day - (365 * year + floor(year / 4) - floor(year / 100))
	local m = floor((5 * inyear + 2) / 153)
	return (year + era * 400 - 1970) * 12 + m + 2
end

local function begins(number)
	local shifted = number - 2
	local year = floor(shifted / 12) + 1970
	local m = shifted - floor(shifted / 12) * 12
	local era = floor(year / 400)
	local inera = year - era * 400
	local inyear = floor((153 * m + 2) / 5)
	local days = era * 146097 + inera * 365 + floor(inera / 4) - floor(inera / 100) + inyear - 719468
	return days * 86400000000
end

local function index(c, at)
	at = max(at, 0)
	if c.kind == MONTH then
		return month(at)
	end
	return floor(at / c.width)
end

local function leaves(c, number)
	if c.kind == MONTH then
		return begins(number + c.span)
	end
	return (number + c.span) * c.width
end

-- bucket gives the current one. The newest that counts is the floor: a clock that went
-- back refills nothing.
local function bucket(c)
	local current = index(c, now)
	for number in pairs(c.counts) do
		current = max(current, number)
	end
	return current
end

-- buckets reads the counts of a subject and sets apart what no longer counts.
local function buckets(c)
	local fields = redis.call('HGETALL', c.key)
	local current = index(c, now)
	for f = 1, #fields, 2 do
		fields[f], fields[f + 1] = tonumber(fields[f]), tonumber(fields[f + 1])
		current = max(current, fields[f])
	end
	c.current, c.counts, c.stale = current, {}, {}
	for f = 1, #fields, 2 do
		if fields[f] <= current - c.span then
			c.stale[#c.stale + 1] = fields[f]
		else
			c.counts[fields[f]] = fields[f + 1]
			c.used = c.used + fields[f + 1]
		end
	end
end

local function pace(c)
	c.current, c.tat = now, tonumber(redis.call('GET', c.key) or '0')
	c.used = max(ceil((c.tat - now) / c.width), 0)
end

-- slots reads how many slots each node has taken. A node that is not heard of for long
-- has none.
local function slots(c)
	local fields = redis.call('HGETALL', c.key)
	local taken, gone = {}, {}
	for f = 1, #fields, 2 do
		taken[fields[f]] = tonumber(fields[f + 1])
	end
	for name, n in pairs(taken) do
		local mark = string.sub(name, 1, 1)
		if mark ~= '@' and mark ~= '#' then
			if (taken['@' .. name] or 0) <= now then
				gone[#gone + 1] = name
				gone[#gone + 1] = '@' .. name
				gone[#gone + 1] = '#' .. name
			else
				c.used = c.used + n
				if name == node then
					c.mine, c.told = n, taken['#' .. name]
				end
			end
		end
	end
	c.current, c.stale, c.mine = 0, gone, c.mine or 0
end

local cells = {}
local function cell(i)
	local c = cells[i]
	if c then
		return c
	end
	local a = FIRST + 5 * (i - 1)
	c = {key = KEYS[2 + i], kind = tonumber(ARGV[a + 1]), events = tonumber(ARGV[a + 2]), width = tonumber(ARGV[a + 3]),
		span = tonumber(ARGV[a + 4]), slice = tonumber(ARGV[a + 5]), used = 0}
	if c.kind == GCRA then
		pace(c)
	elseif c.kind == SLOTS then
		slots(c)
	else
		buckets(c)
	end
	cells[i] = c
	return c
end

local function discard(c)
	if c.stale and #c.stale > 0 then
		redis.call('HDEL', c.key, unpack(c.stale))
		c.stale = nil
	end
end

-- A key lives as long as something in it counts and a second more, so that the
-- rounding of the expiry never forgets what still counts.
local function keep(c, alive)
	redis.call('PEXPIRE', c.key, ceil(alive / 1000) + 1000)
end

local function count(c, number, n)
	if not c.counts[number] then
		c.counts[number] = 0
	end
	c.counts[number] = c.counts[number] + n
	c.used = c.used + n
	redis.call('HINCRBY', c.key, number, n)
	if c.counts[number] == n then
		keep(c, leaves(c, c.current) - now)
	end
	discard(c)
end

-- settle stores the arrival time of the next unit, unless it has passed.
local function settle(c)
	if c.tat > now then
		redis.call('SET', c.key, c.tat)
		keep(c, c.tat - now)
	else
		c.tat = 0
		redis.call('DEL', c.key)
	end
	c.used = max(ceil((c.tat - now) / c.width), 0)
end

local function arrive(c, from, n)
	c.tat = max(c.tat, from) + n * c.width
	settle(c)
end

local function hold(c, n)
	c.used, c.mine = c.used - c.mine + n, n
	discard(c)
	if n > 0 or c.told then
		redis.call('HSET', c.key, node, n, '@' .. node, now + SLOT_LIFE)
		keep(c, SLOT_LIFE)
	else
		redis.call('HDEL', c.key, node, '@' .. node)
	end
end

-- tell is what a node says that it has. Only what is newer counts: a batch that is late, or
-- comes twice, knows nothing of what the node has taken since.
local function tell(c, n, number)
	if number > (c.told or 0) then
		c.told = number
		hold(c, n)
		redis.call('HSET', c.key, '#' .. node, number)
	end
end

local function debit(c, n)
	if c.kind == GCRA then
		arrive(c, now, n)
	elseif c.kind == SLOTS then
		hold(c, c.mine + n)
	else
		count(c, c.current, n)
	end
end

local function charge(c, n, age)
	if c.kind == GCRA then
		arrive(c, now - age, n)
	elseif c.kind == SLOTS then
		hold(c, c.mine + n)
	else
		local number = index(c, now - age)
		if number > c.current - c.span then
			c.current = max(c.current, number)
			count(c, number, n)
		end
	end
end

-- give takes back units that were debited and never spent. Of gcra, those that have
-- come back by themselves since are not given back a second time.
local function give(c, n, number)
	if c.kind == GCRA then
		c.tat = c.tat - max(0, n * c.width - max(now - number, 0))
		settle(c)
	elseif c.kind == SLOTS then
		hold(c, max(c.mine - n, 0))
	elseif n > 0 and c.counts[number] then
		n = min(n, c.counts[number])
		c.used = c.used - n
		c.counts[number] = c.counts[number] - n
		if c.counts[number] > 0 then
			redis.call('HINCRBY', c.key, number, -n)
		else
			c.counts[number] = nil
			redis.call('HDEL', c.key, number)
			c.current = bucket(c)
		end
	end
end

local function drop(c)
	redis.call('DEL', c.key)
	c.used, c.counts, c.stale, c.tat, c.mine, c.told = 0, {}, nil, 0, 0, nil
	if c.kind <= MONTH then
		c.current = bucket(c)
	end
end

-- frees gives the time until n units have come back. Redis promises no order of fields.
local function frees(c, n)
	local order = {}
	for number in pairs(c.counts) do
		order[#order + 1] = number
	end
	table.sort(order)
	for _, number in ipairs(order) do
		n = n - c.counts[number]
		if n <= 0 then
			return max(leaves(c, number) - now, 0)
		end
	end
	return 0
end

local function wait(c, n)
	local short = c.used + n > c.events
	if c.kind == GCRA then
		if short then
			return max(c.tat, now) + (n - c.events) * c.width - now
		end
		return c.tat > now and (c.tat - now - 1) % c.width + 1 or 0
	elseif c.kind == SLOTS then
		return short and SLOT_WAIT or 0
	end
	return frees(c, max(c.used + n - c.events, 1))
end

local function extra(c, want)
	local room = c.events - c.used
	local share = max(floor(room / (2 * nodes)), min(room, floor(c.slice / nodes)))
	if share < 2 or c.events < LEAST_EVENTS or c.kind == SLOTS then
		return 0
	end
	return min(want, share)
end

local reply = {epoch}
local function answer(c, short, lease, n)
	local r = #reply
	reply[r + 1], reply[r + 2], reply[r + 3], reply[r + 4] = short and 1 or 0, lease, c.used, wait(c, n)
	reply[r + 5] = c.current
	reply[r + 6] = (c.kind == DAY or c.kind == MONTH) and leaves(c, c.current) - now or 0
end

local a = FIRST + 5 * tonumber(ARGV[5])
local function argument()
	a = a + 1
	return tonumber(ARGV[a])
end

-- take debits all subjects that have to have room, or none. Those in the shadow have
-- no say, and are debited if they have room.
local function take()
	local asks, allowed = {}, true
	for i = 1, argument() do
		local c, need, want, shadow = cell(argument()), argument(), argument(), argument() == 1
		local short = c.used + need > c.events
		allowed = allowed and (shadow or not short)
		asks[i] = {c = c, need = need, want = want, short = short}
	end
	reply[#reply + 1] = allowed and 1 or 0
	for _, ask in ipairs(asks) do
		local lease = 0
		if allowed and not ask.short then
			if ask.want > 0 then
				ask.c.used = ask.c.used + ask.need
				lease = extra(ask.c, ask.want)
				ask.c.used = ask.c.used - ask.need
			end
			if ask.need + lease > 0 or (ask.c.mine or 0) > 0 then -- who holds slots keeps them by asking
				debit(ask.c, ask.need + lease)
			end
		end
		answer(ask.c, ask.short, lease, ask.short and ask.need or 1)
	end
end

-- Each number of gives is followed once, and in order.
local gives, following = tonumber(ARGV[4]), false
if gives > 0 and gives > tonumber(redis.call('GET', KEYS[2]) or '0') then
	following = true
	redis.call('SET', KEYS[2], gives, 'PX', 3600000)
end

while a < #ARGV do
	local step = argument()
	if step == TAKE then
		take()
	else
		local c, n, at = cell(argument()), argument(), argument()
		if step == GIVE and following then
			give(c, n, at)
		elseif step == CHARGE then
			charge(c, n, at)
		elseif step == HOLD then
			tell(c, n, at)
		elseif step == DROP then
			drop(c)
		elseif step == READ then
			answer(c, c.used + 1 > c.events, 0, 1)
		end
	end
end
return reply
