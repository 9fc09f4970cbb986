-- Documents with tags, and the search for documents that have all of some tags. Call tag and forget with the record
-- lock, so that the tags of a document and the index say the same.

local function words(text)
	local list = {}
	for word in text:lower():gmatch("[^%s]+") do
		list[#list + 1] = word
	end
	return _union(list) -- each once
end

-- An entry of the index is a record without a value: index TAB tag TAB document.
local function entry(word, document)
	return "index\t" .. word .. "\t" .. document
end

-- forget removes a document and its entries.
function forget(document)
	local old = _get("tags\t" .. document)
	if not old then
		return nil
	end
	for _, word in ipairs(words(old)) do
		_out(entry(word, document))
	end
	return _out("tags\t" .. document)
end

-- tag gives a document the tags of the value, separated by blanks, in the place of those it had.
function tag(document, value)
	forget(document)
	local list = words(value)
	for _, word in ipairs(list) do
		_put(entry(word, document), "")
	end
	return _put("tags\t" .. document, table.concat(list, " "))
end

-- search returns the documents that have every tag of the key, one a line.
function search(key)
	local found
	for _, word in ipairs(words(key)) do
		local prefix = "index\t" .. word .. "\t"
		local documents = _fwmkeys(prefix)
		for i, name in ipairs(documents) do
			documents[i] = name:sub(#prefix + 1)
		end
		found = found and _isect(found, documents) or documents
	end
	if found and #found > 0 then
		return table.concat(found, "\n")
	end
end
