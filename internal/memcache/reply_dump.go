package memcache

import (
	"encoding/base64"
	"strconv"
)

// IsTextKey reports whether a command line of the text protocol can carry the key as it is.
func IsTextKey(key []byte) bool {
	for _, c := range key {
		if c == ' ' || c == '\r' || c == '\n' || c == 0 {
			return false
		}
	}
	return len(key) > 0 && len(key) <= MaxKeyLength
}

// AppendItem appends a line of stats cachedump: key, size of the value, and the Unix time of its expiry, 0 for never. A key
// that is no text key must be left out.
func AppendItem(dst, key []byte, size int, expires int64) []byte {
	dst = append(append(append(dst, "ITEM "...), key...), " ["...)
	dst = append(strconv.AppendInt(dst, int64(size), 10), " b; "...)
	return append(strconv.AppendInt(dst, expires, 10), " s]\r\n"...)
}

// MetaDump is a line of lru_crawler metadump.
type MetaDump struct {
	Key      []byte // any bytes
	Expires  int64  // Unix time; -1 is never
	Accessed int64  // Unix time
	CAS      uint64
	Fetched  bool
	Size     int // of the whole record, bytes
}

// AppendMetaDump appends a line of lru_crawler metadump. Unlike all others it ends in \n alone, as in memcached 1.6.18.
func AppendMetaDump(dst []byte, d *MetaDump) []byte {
	dst = appendEscaped(append(dst, "key="...), d.Key)
	dst = strconv.AppendInt(append(dst, " exp="...), d.Expires, 10)
	dst = strconv.AppendInt(append(dst, " la="...), d.Accessed, 10)
	dst = strconv.AppendUint(append(dst, " cas="...), d.CAS, 10)
	fetched := " fetch=no cls="
	if d.Fetched {
		fetched = " fetch=yes cls="
	}
	dst = strconv.AppendInt(append(dst, fetched...), SlabClass, 10)
	dst = strconv.AppendInt(append(dst, " size="...), int64(d.Size), 10)
	return append(dst, '\n')
}

// appendEscaped appends b with everything but RFC 3986's unreserved characters as %XX.
func appendEscaped(dst, b []byte) []byte {
	const hex = "0123456789ABCDEF"
	for _, c := range b {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_', c == '.', c == '~':
			dst = append(dst, c)
		default:
			dst = append(dst, '%', hex[c>>4], hex[c&15])
		}
	}
	return dst
}

// AppendMgDump appends a line of lru_crawler mgdump: the mg command for the key, in base64 where text cannot carry it.
// Nothing is appended for a key that is too long for one.
func AppendMgDump(dst, key []byte) []byte {
	switch {
	case IsTextKey(key):
		dst = append(append(dst, "mg "...), key...)
	case base64.StdEncoding.EncodedLen(len(key)) > MaxKeyLength || len(key) == 0:
		return dst
	default:
		dst = append(base64.StdEncoding.AppendEncode(append(dst, "mg "...), key), " b"...)
	}
	return append(dst, '\r', '\n')
}

// AppendPrefix appends a line of stats detail dump: how often keys with the prefix were asked for, found, stored, deleted.
func AppendPrefix(dst []byte, prefix string, gets, hits, sets, deletes uint64) []byte {
	dst = append(append(dst, "PREFIX "...), prefix...)
	dst = strconv.AppendUint(append(dst, " get "...), gets, 10)
	dst = strconv.AppendUint(append(dst, " hit "...), hits, 10)
	dst = strconv.AppendUint(append(dst, " set "...), sets, 10)
	dst = strconv.AppendUint(append(dst, " del "...), deletes, 10)
	return append(dst, '\r', '\n')
}
