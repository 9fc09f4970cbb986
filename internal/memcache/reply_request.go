package memcache

import "strconv"

// MaxKeyLength is the longest key, in bytes, that a text request carries.
// Source: memcached doc/protocol.txt, section "Keys".
const MaxKeyLength = 250

// ValidKey reports whether a client may send key in a text request: 1 to MaxKeyLength bytes, none of them a
// control character or a space. Bytes from 0x80 on are allowed. The Append functions below do not check: a key
// that is not valid would end the command early, and its rest would run as another one.
func ValidKey(key string) bool {
	if len(key) == 0 || len(key) > MaxKeyLength {
		return false
	}
	for i := 0; i < len(key); i++ {
		if key[i] <= ' ' || key[i] == 0x7F {
			return false
		}
	}
	return true
}

// AppendGetRequest appends a get or gets (op) of all keys on one line. The keys must be valid.
func AppendGetRequest(dst []byte, op Op, keys ...string) []byte {
	return appendKeys(append(dst, op.String()...), keys)
}

// AppendGatRequest appends a gat or gats (op) of all keys on one line. exptime is in memcached's form.
// The keys must be valid.
func AppendGatRequest(dst []byte, op Op, exptime int64, keys ...string) []byte {
	dst = append(append(dst, op.String()...), ' ')
	return appendKeys(strconv.AppendInt(dst, exptime, 10), keys)
}

func appendKeys(dst []byte, keys []string) []byte {
	for _, key := range keys {
		dst = append(append(dst, ' '), key...)
	}
	return append(dst, '\r', '\n')
}

// AppendStoreRequest appends the command line of set, add, replace, append or prepend (op). The caller sends the
// size bytes of the value and CRLF after it. The key must be valid.
func AppendStoreRequest(dst []byte, op Op, key string, flags uint32, exptime int64, size int) []byte {
	return append(appendStore(dst, op, key, flags, exptime, size), '\r', '\n')
}

// AppendCASRequest is AppendStoreRequest for cas, whose line ends in the CAS unique that a gets returned.
func AppendCASRequest(dst []byte, key string, flags uint32, exptime int64, size int, cas uint64) []byte {
	dst = append(appendStore(dst, OpCAS, key, flags, exptime, size), ' ')
	return append(strconv.AppendUint(dst, cas, 10), '\r', '\n')
}

func appendStore(dst []byte, op Op, key string, flags uint32, exptime int64, size int) []byte {
	dst = appendKey(dst, op, key)
	dst = strconv.AppendUint(append(dst, ' '), uint64(flags), 10)
	dst = strconv.AppendInt(append(dst, ' '), exptime, 10)
	return strconv.AppendInt(append(dst, ' '), int64(size), 10)
}

// AppendDeleteRequest appends a delete. The key must be valid.
func AppendDeleteRequest(dst []byte, key string) []byte {
	return append(appendKey(dst, OpDelete, key), '\r', '\n')
}

// AppendCountRequest appends an incr or decr (op) by delta. The key must be valid.
func AppendCountRequest(dst []byte, op Op, key string, delta uint64) []byte {
	dst = append(appendKey(dst, op, key), ' ')
	return append(strconv.AppendUint(dst, delta, 10), '\r', '\n')
}

// AppendTouchRequest appends a touch. exptime is in memcached's form. The key must be valid.
func AppendTouchRequest(dst []byte, key string, exptime int64) []byte {
	dst = append(appendKey(dst, OpTouch, key), ' ')
	return append(strconv.AppendInt(dst, exptime, 10), '\r', '\n')
}

func appendKey(dst []byte, op Op, key string) []byte {
	dst = append(append(dst, op.String()...), ' ')
	return append(dst, key...)
}

// AppendFlushRequest appends a flush_all. delay is in memcached's exptime form; 0 means now.
func AppendFlushRequest(dst []byte, delay int64) []byte {
	dst = append(dst, OpFlushAll.String()...)
	if delay != 0 {
		dst = strconv.AppendInt(append(dst, ' '), delay, 10)
	}
	return append(dst, '\r', '\n')
}

// AppendVersionRequest appends a version command.
func AppendVersionRequest(dst []byte) []byte {
	return append(append(dst, OpVersion.String()...), '\r', '\n')
}

// AppendStatsRequest appends a stats command. An empty arg asks for the general list. arg must not hold control
// characters; spaces separate arguments.
func AppendStatsRequest(dst []byte, arg string) []byte {
	dst = append(dst, OpStats.String()...)
	if arg != "" {
		dst = append(append(dst, ' '), arg...)
	}
	return append(dst, '\r', '\n')
}
