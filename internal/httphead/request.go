package httphead

import "bytes"

// MaxSize is the length from which on a head is not plain, in bytes with the empty line at its end.
const MaxSize = 8 << 10

// Verdict is what Decode says of bytes.
type Verdict uint8

const (
	// Partial bytes may become a plain head.
	Partial Verdict = iota
	// Plain bytes begin with a plain head.
	Plain
	// Other bytes are for net/http.
	Other
)

// Flags say what lines a plain head has that not everybody may pass over.
type Flags uint8

const (
	// Conditional is a condition or a range: If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since, If-Range, Range.
	Conditional Flags = 1 << iota
	// Authorized is Authorization.
	Authorized
	// Forwarded is X-Forwarded-For.
	Forwarded
	// Tyrant is a name that begins with X-TT-.
	Tyrant
)

// Request is a plain head. Its slices point into what was decoded.
type Request struct {
	Head   bool   // HEAD, otherwise GET
	Target []byte // path and query, as they came
	Host   []byte // never empty
	Fields []byte // all lines behind the request line, also Host, each with its CRLF
	Flags  Flags
}

// Bytes that may stand in a part of a head.
const (
	inTarget = 1 << iota
	inName
	inValue
	inHost
	isHex
)

var classes = func() (table [256]uint8) {
	set := func(class uint8, bytes string) {
		for i := range len(bytes) {
			table[bytes[i]] |= class
		}
	}
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	set(inTarget, letters+"-._~!$&'()*+,;=:@/?")
	set(inName, letters+"-_")
	set(inHost, letters+"-._:[]")
	set(isHex, "0123456789abcdefABCDEF")
	for c := ' '; c <= '~'; c++ {
		table[c] |= inValue
	}
	table['\t'] |= inValue
	return table
}()

func all(b []byte, class uint8) bool {
	for _, c := range b {
		if classes[c]&class == 0 {
			return false
		}
	}
	return true
}

// Decode reads the head of a request at the front of in. n is its size when it is plain. r is valid only then.
func Decode(in []byte, r *Request) (n int, v Verdict) {
	*r = Request{}
	line, n, v := cutLine(in, 0)
	if v != Plain {
		// The first bytes alone may tell.
		if v == Partial && !begins(in) {
			return 0, Other
		}
		return 0, v
	}
	if !r.line(line) {
		return 0, Other
	}
	first := n
	for {
		at := n
		if line, n, v = cutLine(in, at); v != Plain {
			return 0, v
		}
		if len(line) == 0 {
			if len(r.Host) == 0 {
				return 0, Other
			}
			r.Fields = in[first:at]
			return n, Plain
		}
		if !r.field(line) {
			return 0, Other
		}
	}
}

// cutLine returns the line that begins at place at of in, without its CRLF, and the place behind that.
func cutLine(in []byte, at int) (line []byte, next int, v Verdict) {
	i := bytes.IndexByte(in[at:], '\n')
	switch {
	case i < 0 && len(in) < MaxSize:
		return nil, 0, Partial
	case i < 0, at+i >= MaxSize, i == 0, in[at+i-1] != '\r':
		return nil, 0, Other
	}
	return in[at : at+i-1], at + i + 1, Plain
}

const (
	get  = "GET "
	head = "HEAD "
	end  = " HTTP/1.1"
)

// begins reports whether in, which has no whole line, begins as a plain head does.
func begins(in []byte) bool {
	for _, method := range []string{get, head} {
		if n := min(len(in), len(method)); string(in[:n]) == method[:n] {
			return true
		}
	}
	return false
}

// line reads a request line.
func (r *Request) line(line []byte) bool {
	switch {
	case len(line) > len(get) && string(line[:len(get)]) == get:
		line = line[len(get):]
	case len(line) > len(head) && string(line[:len(head)]) == head:
		line, r.Head = line[len(head):], true
	default:
		return false
	}
	n := len(line) - len(end)
	if n < 1 || string(line[n:]) != end || line[0] != '/' {
		return false
	}
	r.Target = line[:n]
	for i := 0; i < n; i++ {
		switch c := line[i]; {
		case classes[c]&inTarget != 0:
		case c == '%' && i+2 < n && classes[line[i+1]]&classes[line[i+2]]&isHex != 0:
			i += 2
		default:
			return false
		}
	}
	return true
}

// split returns the name and the value of a line of a header.
func split(line []byte) (name, value []byte, ok bool) {
	i := bytes.IndexByte(line, ':')
	if i <= 0 {
		return nil, nil, false
	}
	name, value = line[:i], line[i+1:]
	return name, bytes.Trim(value, " \t"), all(name, inName) && all(value, inValue)
}

// field reads one line of a header.
func (r *Request) field(line []byte) bool {
	name, value, ok := split(line)
	if !ok {
		return false
	}
	switch name[0] | 0x20 {
	case 'h':
		if is(name, "host") {
			if len(r.Host) > 0 || len(value) == 0 || !all(value, inHost) {
				return false
			}
			r.Host = value
		}
	case 'c':
		if is(name, "content-length") || is(name, "connection") && !is(value, "keep-alive") {
			return false
		}
	case 'e':
		return !is(name, "expect")
	case 't':
		return !is(name, "te") && !is(name, "trailer") && !is(name, "transfer-encoding")
	case 'u':
		return !is(name, "upgrade")
	case 'k':
		return !is(name, "keep-alive")
	case 'p':
		return !begin(name, "proxy-")
	case 'i':
		if begin(name, "if-") {
			r.Flags |= Conditional
		}
	case 'r':
		if is(name, "range") {
			r.Flags |= Conditional
		}
	case 'a':
		if is(name, "authorization") {
			r.Flags |= Authorized
		}
	case 'x':
		if begin(name, "x-tt-") {
			r.Flags |= Tyrant
		} else if is(name, "x-forwarded-for") {
			r.Flags |= Forwarded
		}
	}
	return true
}

// is reports whether b is lower, which has no capital letters, without regard to case.
func is(b []byte, lower string) bool { return len(b) == len(lower) && begin(b, lower) }

func begin(b []byte, lower string) bool {
	if len(b) < len(lower) {
		return false
	}
	for i := range len(lower) {
		c := b[i]
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}
