-- One operation on one record, as store.Commit does it. header.go has the layout of a record.
--
-- KEYS[1] the record. ARGV[1] what is asked for, packed as commit.go does it; ARGV[2] the Content-Type; ARGV[3] the value; ARGV[4]
-- and ARGV[5] the numbers of incr and decr, decimal. The answer is one letter for an outcome that changes nothing, or 'S' and what
-- the record is now.

local SET, ADD, REPLACE, APPEND, PREPEND, SHIFT, CAS, DELETE, INCR, DECR, TOUCH, INVALIDATE, ADDINT, ADDDOUBLE = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14

local op, bits, flags, expires, floor, pending, most, width, int = struct.unpack('>BI2I4I8I8I8I8I8I4', ARGV[1])
local cas, unique, double = string.sub(ARGV[1], 52, 59), string.sub(ARGV[1], 60, 67), string.sub(ARGV[1], 68, 75)
local retimeTo = struct.unpack('>I8', ARGV[1], 76)
local function has(bit) return bits % (2 * bit) >= bit end
local create, keepExpires, retime, claim, vivify, outdated, remove, compares, chosen = has(1), has(2), has(4), has(8), has(16), has(32), has(64), has(128), has(256)

local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
if pending ~= 0 and now >= pending then floor = pending end

-- What is there. The whole of it only where that is needed.
local whole = op == INCR or op == DECR or op == PREPEND or op == SHIFT or op == ADDINT or op == ADDDOUBLE or (op == INVALIDATE and not remove)
local old = redis.call('GETRANGE', KEYS[1], 0, whole and -1 or 286)
local found = #old > 0
local oldBits, oldFlags, oldToken, oldWritten, oldExpires, oldType, from
local live = false
if found then
	if #old < 32 or string.sub(old, 1, 2) ~= 'f\1' then return 'F' end
	oldBits, oldFlags = struct.unpack('>BI4', old, 3)
	oldToken = string.sub(old, 8, 15)
	oldWritten, oldExpires, from = struct.unpack('>I8I8B', old, 16)
	oldType = string.sub(old, 33, 32 + from)
	live = oldWritten >= floor
end
local function oldValue() return string.sub(old, 33 + from) end

-- less compares two uniques. A string comparison of Lua would follow the locale.
local function less(a, b)
	local a1, a2 = struct.unpack('>I4I4', a)
	local b1, b2 = struct.unpack('>I4I4', b)
	return a1 < b1 or (a1 == b1 and a2 < b2)
end

-- Numbers up to 2^64-1 as two limbs, for a number of Lua is exact up to 2^53 only: hi * 10^10 + lo.
local TEN = 10000000000
local TOP_HI, TOP_LO = 1844674407, 3709551615

local function limbs(digits)
	digits = string.gsub(digits, '^0+', '')
	if #digits > 20 then return nil end
	local hi, lo = tonumber(string.sub(digits, 1, -11)) or 0, tonumber(string.sub(digits, -10)) or 0
	if hi > TOP_HI or (hi == TOP_HI and lo > TOP_LO) then return nil end
	return hi, lo
end

-- number reads a value that counts as one: blanks, an optional +, digits, then the end or a blank.
local function number(value)
	local digits, behind = string.match(value, '^[ \t-\r]*%+?([0-9]+)(.?)')
	if not digits or (behind ~= '' and not string.find(behind, '^[ \t-\r]')) then return nil end
	return limbs(digits)
end

local function decimal(hi, lo)
	if hi == 0 then return string.format('%.0f', lo) end
	return string.format('%.0f%010.0f', hi, lo)
end

local function add(hi, lo, hi2, lo2)
	lo, hi = lo + lo2, hi + hi2
	if lo >= TEN then lo, hi = lo - TEN, hi + 1 end
	if hi > TOP_HI or (hi == TOP_HI and lo > TOP_LO) then -- minus 2^64
		lo, hi = lo - TOP_LO - 1, hi - TOP_HI
		if lo < 0 then lo, hi = lo + TEN, hi - 1 end
	end
	return hi, lo
end

local function subtract(hi, lo, hi2, lo2)
	if hi < hi2 or (hi == hi2 and lo <= lo2) then return 0, 0 end
	lo, hi = lo - lo2, hi - hi2
	if lo < 0 then lo, hi = lo + TEN, hi - 1 end
	return hi, lo
end

-- Does the operation apply?
local creates, stale = false, false
if op == ADD then
	if live then return 'E' end
elseif op ~= SET or compares then
	if not live then
		creates = op == ADDINT or op == ADDDOUBLE or (create and (op == INCR or op == DECR or op == APPEND or op == SHIFT))
		if not creates then return 'N' end
	elseif compares and cas ~= oldToken then
		if (op == INCR or op == DECR) and #oldValue() == 0 then return 'X' end
		stale = outdated and less(cas, oldToken)
		if not stale then return 'C' end
	end
end
local hi, lo, sum
if not creates then
	if op == APPEND then
		if redis.call('STRLEN', KEYS[1]) - 32 - from + #ARGV[3] > most then return 'L' end
	elseif op == PREPEND then
		if #old - 32 - from + #ARGV[3] > most then return 'L' end
	elseif op == SHIFT then
		if math.min(#old - 32 - from + #ARGV[3], width) > most then return 'L' end
	elseif op == ADDINT then
		if #oldValue() ~= 4 then return 'X' end
		sum = struct.unpack('<I4', oldValue())
	elseif op == ADDDOUBLE then
		if #oldValue() ~= 8 then return 'X' end
		sum = struct.unpack('<d', oldValue()) + struct.unpack('<d', double)
		if sum ~= sum then return 'X' end
	elseif op == INCR or op == DECR then
		hi, lo = number(oldValue())
		if not hi then return 'X' end
	elseif op == TOUCH then
		if claim and oldBits >= 2 then return 'E' end
	end
end

-- What follows.
local nextBits, nextFlags, nextExpires, nextType, value, extra = 0, flags, expires, ARGV[2], ARGV[3], ''
local keep = live and not creates
if stale then
	nextBits, nextExpires = 1 + (oldBits >= 2 and 2 or 0), oldExpires
end
if op == DELETE then
	redis.call('DEL', KEYS[1])
	return 'S' .. string.rep('\0', 8) .. struct.pack('>I8I8B', 0, 0, 0)
elseif op == ADD then
	if vivify then nextBits, value = 2, '' end
elseif op == INVALIDATE then
	nextBits = 1
	if keepExpires then nextExpires = oldExpires end
	value = ''
	if not remove then nextFlags, nextType, value = oldFlags, oldType, oldValue() end
elseif op == TOUCH then
	nextBits, nextFlags, nextType, nextExpires = oldBits, oldFlags, oldType, keepExpires and oldExpires or expires
	if claim then nextBits = nextBits + 2 end
elseif keep and (op == APPEND or op == PREPEND or op == SHIFT) then
	nextFlags, nextExpires, nextType = oldFlags, oldExpires, oldType
	if op == PREPEND then
		value = value .. oldValue()
	elseif op == SHIFT then
		value = width == 0 and '' or string.sub(oldValue() .. value, -width)
	end
elseif keep and (op == INCR or op == DECR or op == ADDINT or op == ADDDOUBLE) then
	nextBits, nextFlags, nextExpires, nextType = oldBits, oldFlags, oldExpires, oldType
	if retime and (op == INCR or op == DECR) then nextExpires = retimeTo end
end
if op == INCR or op == DECR then
	if creates then
		value = ARGV[5]
	else
		local hi2, lo2 = limbs(ARGV[4])
		if op == INCR then hi, lo = add(hi, lo, hi2, lo2) else hi, lo = subtract(hi, lo, hi2, lo2) end
		value = decimal(hi, lo)
	end
	extra = value
elseif op == ADDINT then
	value = struct.pack('<I4', ((sum or 0) + int) % 4294967296)
	extra = value
elseif op == ADDDOUBLE then
	value = struct.pack('<d', sum or (0 + struct.unpack('<d', double)))
	extra = value
end

-- It is written. Uniques of a key rise also when the clock of a master is behind that of the one before.
local written = now
if found and oldWritten >= written then written = oldWritten + 1 end
local token
if op == TOUCH then
	written, token = oldWritten, oldToken
elseif chosen then
	token = unique
else
	token = struct.pack('>I8', written)
end
local head = 'f\1' .. struct.pack('>BI4', nextBits, nextFlags) .. token .. struct.pack('>I8I8B', written, nextExpires, #nextType) .. nextType
local size
if op == TOUCH then
	redis.call('SETRANGE', KEYS[1], 0, head)
	size = redis.call('STRLEN', KEYS[1]) - #head
elseif op == APPEND and keep then
	redis.call('SETRANGE', KEYS[1], 0, head)
	size = redis.call('APPEND', KEYS[1], value) - #head
else
	redis.call('SET', KEYS[1], head .. value)
	size = #value
end
if nextExpires ~= 0 then
	redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', nextExpires))
elseif op == TOUCH or (op == APPEND and keep) then
	redis.call('PERSIST', KEYS[1])
end
return 'S' .. token .. struct.pack('>I8I8B', nextExpires, size, live and 0 or 1) .. extra
