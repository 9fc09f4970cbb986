-- Queues: what was put first is taken first. The key of a call is the name of the queue.
-- Call push and pop with the record lock, so that nobody takes the same item. _fwmkeys looks at every key of the node: this is for small ones.

-- An item is stored under its queue and a number with as many digits as all others, so that keys sort by age.
local function item_key(queue, number)
	return ("%s\t%012d"):format(queue, number)
end

-- push appends the value and returns its number.
function push(queue, value)
	local number = _adddouble(queue .. "\tlast", 1)
	if not number or not _putkeep(item_key(queue, number), value) then
		return nil
	end
	return number
end

-- oldest returns the key of the item that is next, nil if there is none.
local function oldest(queue)
	-- Items begin with a digit, which the key of the counter does not.
	for digit = 0, 9 do
		local key = _fwmkeys(queue .. "\t" .. digit, 1)[1]
		if key then
			return key
		end
	end
end

-- pop takes the oldest item away and returns it.
function pop(queue)
	local key = oldest(queue)
	local value = key and _get(key)
	if value and _out(key) then
		return value
	end
end

-- peek returns the oldest item and leaves it.
function peek(queue)
	local key = oldest(queue)
	return key and _get(key)
end
