package server

import (
	"errors"
	"strings"

	"github.com/futago/futago/internal/record"
)

var (
	errNoKey     = errors.New("the path names no key")
	errLongKey   = errors.New("the key is longer than 65535 bytes")
	errBadEscape = errors.New("the path has a bad % escape")
	errNoPath    = errors.New("the request names no path")
)

// httpKey is the key that the URI of a request line names: the path after one slash, percent-decoded. The query is no
// part of it; no path is cleaned, and a plus sign stays one.
func httpKey(uri string) ([]byte, error) {
	uri, _, _ = strings.Cut(uri, "?")
	if !strings.HasPrefix(uri, "/") {
		_, rest, ok := strings.Cut(uri, "://")
		if !ok {
			return nil, errNoPath
		}
		i := strings.IndexByte(rest, '/')
		if i < 0 {
			return nil, errNoKey
		}
		uri = rest[i:]
	}
	key, err := appendUnescaped(nil, uri[1:])
	switch {
	case err != nil:
		return nil, err
	case len(key) == 0:
		return nil, errNoKey
	case len(key) > record.MaxKey:
		return nil, errLongKey
	}
	return key, nil
}

// appendUnescaped appends a path without its % escapes.
func appendUnescaped[T string | []byte](dst []byte, path T) ([]byte, error) {
	for i := 0; i < len(path); i++ {
		c := path[i]
		if c == '%' {
			if i+2 >= len(path) {
				return nil, errBadEscape
			}
			high, low := unhex(path[i+1]), unhex(path[i+2])
			if high < 0 || low < 0 {
				return nil, errBadEscape
			}
			c = byte(high<<4 | low)
			i += 2
		}
		dst = append(dst, c)
	}
	return dst, nil
}

// unhex is the value of a hexadecimal digit, -1 for another byte.
func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
