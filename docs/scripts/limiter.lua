-- A rate limiter: each key may act so often in so many seconds. Call allow with the record lock.

-- A bucket is two doubles: the tokens that are left, and when they were counted.
local FORMAT = "d2"

-- allow takes one token. The value says how many there are and in how many seconds an empty bucket fills: "10/60".
-- It returns the tokens that are left, and fails when there was none.
function allow(key, value)
	local most, seconds = value:match("^(%d+)/(%d+)$")
	most, seconds = tonumber(most), tonumber(seconds)
	if not most or most < 1 or seconds < 1 then
		error("value is not COUNT/SECONDS")
	end
	local now, tokens, counted = _time(), most, nil
	local bucket = _get("limit\t" .. key)
	if bucket and #bucket == 16 then
		tokens, counted = unpack(_unpack(FORMAT, bucket))
		-- A clock that was set back must not take tokens away.
		local passed = math.max(now - counted, 0)
		tokens = math.min(tokens + passed * most / seconds, most)
	end
	if tokens < 1 then
		return nil
	end
	_put("limit\t" .. key, _pack(FORMAT, tokens - 1, now))
	return math.floor(tokens - 1)
end
