package memcache

import "math"

// parseInt reads a signed decimal number as memcached's safe_strtol does before it cuts the result to 32 bits:
// leading white space, a sign, digits, then the end or white space followed by anything.
func parseInt(b []byte) (v int64, ok bool) {
	abs, neg, ok := scanDecimal(b)
	if neg {
		return -int64(abs), ok && abs <= math.MaxInt64+1
	}
	return int64(abs), ok && abs <= math.MaxInt64
}

// parseUint reads an unsigned decimal number as memcached's safe_strtoul and safe_strtoull do: like parseInt, but
// a minus sign negates modulo 2^64 and is refused only if the result has its highest bit set. So -1 is refused
// and -0 is not.
func parseUint(b []byte) (v uint64, ok bool) {
	abs, neg, ok := scanDecimal(b)
	if neg {
		v = -abs
		return v, ok && int64(v) >= 0
	}
	return abs, ok
}

// scanDecimal is the part of C's strtoul that both parsers share. ok is false without a digit, over 2^64-1, and
// for anything but white space after the digits.
func scanDecimal(b []byte) (v uint64, neg, ok bool) {
	i := 0
	for i < len(b) && isSpace(b[i]) {
		i++
	}
	if i < len(b) && (b[i] == '-' || b[i] == '+') {
		neg = b[i] == '-'
		i++
	}
	first := i
	for ; i < len(b); i++ {
		c := b[i] - '0'
		if c > 9 {
			break
		}
		if v > math.MaxUint64/10 || v*10 > math.MaxUint64-uint64(c) {
			return 0, neg, false
		}
		v = v*10 + uint64(c)
	}
	if i == first || (i < len(b) && !isSpace(b[i])) {
		return 0, neg, false
	}
	return v, neg, true
}

// isSpace is C's isspace in the C locale.
func isSpace(c byte) bool {
	return c == ' ' || (c >= '\t' && c <= '\r')
}
