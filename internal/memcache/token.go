package memcache

import "bytes"

// argList holds the arguments of a command, one more than the longest command takes: cas with noreply.
type argList [7][]byte

// split fills l with the arguments in b and returns their number, which is len(l) if there are that many or more.
// Only the space separates; a tab is part of an argument.
func (l *argList) split(b []byte) (n int) {
	for i := 0; i < len(b) && n < len(l); {
		if b[i] == ' ' {
			i++
			continue
		}
		start := i
		for i < len(b) && b[i] != ' ' {
			i++
		}
		l[n] = b[start:i:i]
		n++
	}
	return n
}

// nextToken returns the first token of b and what follows it. The token is empty when b has none.
func nextToken(b []byte) (token, rest []byte) {
	for len(b) > 0 && b[0] == ' ' {
		b = b[1:]
	}
	i := bytes.IndexByte(b, ' ')
	if i < 0 {
		return b, nil
	}
	return b[:i:i], b[i:]
}

func isNoreply(token []byte) bool { return string(token) == "noreply" }

// validKey reports whether a token may be a key.
func (d *Decoder) validKey(key []byte) bool {
	if len(key) > d.MaxKey {
		return false
	}
	if d.Strict {
		for _, c := range key {
			if c < ' ' || c == 0x7f {
				return false
			}
		}
	}
	return true
}

// validKeys reports whether all tokens of b may be keys.
func (d *Decoder) validKeys(b []byte) bool {
	for len(b) > 0 {
		var key []byte
		key, b = nextToken(b)
		if !d.validKey(key) {
			return false
		}
	}
	return true
}
