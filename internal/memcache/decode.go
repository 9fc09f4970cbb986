package memcache

import "bytes"

// The defaults of Decoder.
const (
	DefaultMaxLine    = 2048
	DefaultMaxGetLine = 1 << 20
	DefaultMaxKey     = 250
	DefaultMaxValue   = 64 << 20
)

// maxLeadingSpaces is how many spaces may stand before a get that is longer than MaxLine.
// Source: try_read_command_ascii of memcached 1.6.18.
const maxLeadingSpaces = 100

// Decoder decodes the requests of one connection. It holds the limits and what must be remembered between calls;
// the bytes stay with the caller. The limits must not change after the first Decode; a zero limit means its default.
type Decoder struct {
	// MaxLine is the number of bytes after which a line still without its end closes the connection. A longer
	// line whose end arrives together with the bytes before it is decoded, as in memcached.
	MaxLine int
	// MaxGetLine replaces MaxLine for get and gets, and holds for complete lines too.
	MaxGetLine int
	// MaxKey is the size of the largest key.
	MaxKey int
	// MaxValue is the size of the largest value. At most this, a line, and two bytes need to be held at a time:
	// the data of a larger value is swallowed as it arrives.
	MaxValue int
	// Strict refuses keys with control characters (below 0x20, and 0x7f), which memcached's documentation forbids
	// and memcached takes.
	Strict bool

	ready   bool
	swallow int // bytes of a refused data block still to come
	scanned int // bytes at the front of the pending request that hold no line end
	need    int // size of the pending request once its line was read, else 0

	meta Meta
	key  []byte // a key that was sent as base64
}

// Decode reads one request from the front of b into r. n is the number of bytes consumed: the caller must drop
// them once it is done with r. On the next call b must begin with the first byte not consumed.
//
// When b ends before the request does, err is ErrIncomplete, r means nothing, and n counts swallowed bytes only.
// need is then the size of the whole pending request (command line and data block) counted from byte n of b, or 0
// as long as that is unknown. It was checked against the limits. There is no other error: a wrong request comes
// out as OpError. After a request with Close, and after OpQuit, the caller must not decode further.
func (d *Decoder) Decode(b []byte, r *Request) (n, need int, err error) {
	if !d.ready {
		d.setDefaults()
	}
	if d.swallow > 0 {
		n = min(d.swallow, len(b))
		d.swallow -= n
		b = b[n:]
	}
	if len(b) < d.need {
		return n, d.need, ErrIncomplete
	}
	scanned := min(d.scanned, len(b))
	i := bytes.IndexByte(b[scanned:], '\n')
	if i < 0 {
		if len(b) > d.MaxLine && d.refuseEndless(b, r) {
			return n + len(b), 0, nil
		}
		d.scanned = len(b)
		return n, 0, ErrIncomplete
	}
	end := scanned + i
	line := b[:end]
	if end > 0 && b[end-1] == '\r' {
		line = b[:end-1]
	}
	size, ok := d.decodeLine(line, b[end+1:], r)
	if !ok {
		d.scanned, d.need = end, end+1+size
		return n, d.need, ErrIncomplete
	}
	d.scanned, d.need = 0, 0
	return n + end + 1 + size, 0, nil
}

// Swallowing returns how many of the next bytes belong to the data block of a request that was refused already.
func (d *Decoder) Swallowing() int { return d.swallow }

func (d *Decoder) setDefaults() {
	d.ready = true
	for _, l := range []struct {
		limit *int
		value int
	}{
		{&d.MaxLine, DefaultMaxLine}, {&d.MaxGetLine, DefaultMaxGetLine}, {&d.MaxKey, DefaultMaxKey}, {&d.MaxValue, DefaultMaxValue},
	} {
		if *l.limit == 0 {
			*l.limit = l.value
		}
	}
}

// refuseEndless fills r with the end of the connection if b, more than MaxLine bytes without a line end, is not
// the beginning of a get that may still grow.
func (d *Decoder) refuseEndless(b []byte, r *Request) bool {
	line := bytes.TrimLeft(b, " ")
	isGet := bytes.HasPrefix(line, []byte("get ")) || bytes.HasPrefix(line, []byte("gets "))
	if !isGet || len(b)-len(line) > maxLeadingSpaces {
		fail(r, "", false)
		r.Close = true
		return true
	}
	if len(b) > d.MaxGetLine+len("\r") {
		fail(r, ReplyLineTooLong, false)
		r.Close = true
		return true
	}
	return false
}
