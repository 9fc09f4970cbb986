package httphead

// Reply is the plain head of a reply. Its slices point into what was decoded.
type Reply struct {
	Status int   // 200 to 599
	Length int64 // bytes of the body that follow: 0 for a reply to HEAD, whatever it tells
	Close  bool  // the connection ends behind it
	Dated  bool  // it has a Date

	// Before and After are the lines behind the status line, each with its CRLF, but for that of Connection, if any, which
	// stood between them.
	Before, After []byte
}

// lengthDigits is the number of digits of a plain Content-Length, so that it cannot overflow.
const lengthDigits = 18

// replyLines is what the lines of a reply have told so far.
type replyLines struct {
	sized, typed, connected bool
	length                  int64
}

// DecodeReply reads the head of a reply at the front of in, toHead one to HEAD. n is its size when it is plain. r is valid only
// then.
func DecodeReply(in []byte, toHead bool, r *Reply) (n int, v Verdict) {
	*r = Reply{}
	line, n, v := cutLine(in, 0)
	if v != Plain {
		return 0, v
	}
	if !r.line(line) {
		return 0, Other
	}
	var told replyLines
	first := n
	for {
		at := n
		if line, n, v = cutLine(in, at); v != Plain {
			return 0, v
		}
		if len(line) == 0 {
			r.After = in[first:at]
			if !r.body(&told, toHead) {
				return 0, Other
			}
			return n, Plain
		}
		had := told.connected
		if !r.field(line, &told) {
			return 0, Other
		}
		if told.connected && !had {
			r.Before, first = in[first:at], n
		}
	}
}

// line reads a status line. What its phrase says matters to nobody.
func (r *Reply) line(line []byte) bool {
	const version, size = "HTTP/1.1 ", len("HTTP/1.1 200")
	if len(line) < size || string(line[:len(version)]) != version || len(line) > size && line[size] != ' ' || !all(line[size:], inValue) {
		return false
	}
	for _, c := range line[len(version):size] {
		if c < '0' || c > '9' {
			return false
		}
		r.Status = 10*r.Status + int(c-'0')
	}
	return r.Status >= 200 && r.Status < 600
}

// body decides what follows the head.
func (r *Reply) body(told *replyLines, toHead bool) bool {
	switch {
	case r.Status == 204:
		return !told.sized
	case r.Status == 304:
		return !told.sized && !told.typed // who sends them means the reply that he does not send
	case toHead:
		return true
	}
	r.Length = told.length
	return told.sized
}

// field reads one line of a header.
func (r *Reply) field(line []byte, told *replyLines) bool {
	name, value, ok := split(line)
	if !ok {
		return false
	}
	switch name[0] | 0x20 {
	case 'c':
		switch {
		case is(name, "content-length"):
			if told.sized || len(value) == 0 || len(value) > lengthDigits {
				return false
			}
			for _, c := range value {
				if c < '0' || c > '9' {
					return false
				}
				told.length = 10*told.length + int64(c-'0')
			}
			told.sized = true
		case is(name, "content-type"):
			told.typed = true
		case is(name, "connection"):
			r.Close = is(value, "close")
			if told.connected || !r.Close && !is(value, "keep-alive") {
				return false
			}
			told.connected = true
		}
	case 'd':
		r.Dated = r.Dated || is(name, "date")
	case 't':
		return !is(name, "te") && !is(name, "trailer") && !is(name, "transfer-encoding")
	case 'u':
		return !is(name, "upgrade")
	case 'k':
		return !is(name, "keep-alive")
	case 'p':
		return !begin(name, "proxy-") && !is(name, "pragma") // to which net/http adds a line
	}
	return true
}
