-- Sessions that end when nobody uses them. Let sweep run periodically: it removes the ones that ended.

local LIFE = 1800 -- seconds since the last use

-- A session is 8 bytes of time, big-endian, and its data.
local function stored(data)
	return _pack("M", os.time() + LIFE) .. data
end

-- opened returns the data if the session still lives.
local function opened(record)
	if record and #record >= 8 and _unpack("M", record)[1] > os.time() then
		return record:sub(9)
	end
end

function save(id, data)
	return _put("session\t" .. id, stored(data))
end

-- load_session returns the data and gives the session another life. Use the record lock: otherwise it may bring back
-- what another call saves or ends at the same time.
function load_session(id)
	local data = opened(_get("session\t" .. id))
	if data then
		_put("session\t" .. id, stored(data))
	end
	return data
end

function finish(id)
	return _out("session\t" .. id)
end

-- sweep returns how many sessions it removed.
function sweep()
	local removed = 0
	for _, key in ipairs(_fwmkeys("session\t")) do
		local record = _get(key)
		if record and not opened(record) and _out(key) then
			removed = removed + 1
		end
	end
	return removed
end
