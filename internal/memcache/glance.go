package memcache

import (
	"bytes"
	"encoding/binary"
)

// Glance finds the keys of the requests at the front of in without checking anything, for what is only a hint: it appends them to keys as
// far as its capacity goes, and returns them with the size of the requests they are of. Of several requests all keys fit, or those of the last are left out.
func Glance(keys [][]byte, in []byte) (found [][]byte, n int) {
	for n < len(in) && len(keys) < cap(keys) {
		end := bytes.IndexByte(in[n:], '\n')
		if end < 0 {
			break
		}
		before := len(keys)
		var size int
		var all bool
		if keys, size, all = glanceLine(keys, in[n:n+end]); !all && before > 0 {
			return keys[:before], n
		}
		if n += end + 1; size > len(in)-n {
			break
		}
		n += size
	}
	return keys, min(n, len(in))
}

// glanceLine appends the keys of one line, and returns the size of the data block behind it. all is false when some did not fit.
func glanceLine(keys [][]byte, line []byte) (found [][]byte, size int, all bool) {
	line = bytes.TrimSuffix(line, []byte("\r"))
	verb, rest := nextToken(line)
	switch string(verb) {
	case "gat", "gats":
		_, rest = nextToken(rest)
		fallthrough
	case "get", "gets":
		for key, rest := nextToken(rest); len(key) > 0; key, rest = nextToken(rest) {
			if len(keys) == cap(keys) {
				return keys, 0, false
			}
			keys = append(keys, key)
		}
		return keys, 0, true
	}
	key, rest := nextToken(rest)
	if len(key) > 0 {
		keys = append(keys, key)
	}
	switch string(verb) {
	case "set", "add", "replace", "append", "prepend", "cas":
		_, rest = nextToken(rest)
		_, rest = nextToken(rest)
	case "ms":
	default:
		return keys, 0, true
	}
	digits, _ := nextToken(rest)
	for _, c := range digits[:min(len(digits), maxGlanceDigits)] {
		if c < '0' || c > '9' {
			break
		}
		size = size*10 + int(c-'0')
	}
	return keys, size + len("\r\n"), true
}

// maxGlanceDigits are those of a size that is looked at.
const maxGlanceDigits = 9

// GlanceBinary is Glance for the binary protocol.
func GlanceBinary(keys [][]byte, in []byte) (found [][]byte, n int) {
	for len(in)-n >= binaryHeader && len(keys) < cap(keys) && in[n] == binaryMagicRequest {
		key := n + binaryHeader + int(in[n+4])
		end := key + int(binary.BigEndian.Uint16(in[n+2:]))
		size := binaryHeader + int64(binary.BigEndian.Uint32(in[n+8:]))
		if end > len(in) {
			break
		}
		if key < end {
			keys = append(keys, in[key:end])
		}
		if size > int64(len(in)-n) {
			break
		}
		n += int(size)
	}
	return keys, n
}
