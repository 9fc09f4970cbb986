package bench

import (
	"bytes"
	"fmt"
)

const (
	// maxReplyLine bounds a reply line that is kept between two reads.
	maxReplyLine = 16 << 10
	// maxReplyBody bounds what a reply may announce, above any value that is benchmarked.
	maxReplyBody = 1 << 30
)

// counts is what replies add up to.
type counts struct {
	replies uint64
	errors  uint64 // replies that report an error
	misses  uint64 // keys to get or increment that were not there
	// firstError is the text of the first error reply.
	firstError string
}

// failed counts an error reply.
func (c *counts) failed(line []byte) {
	if c.errors++; c.firstError == "" {
		c.firstError = fmt.Sprintf("%.200q", line)
	}
}

// scanner finds the ends of replies in a byte stream that arrives in arbitrary pieces.
type scanner interface {
	// sent tells of the next request, before its reply is scanned, for a protocol whose replies do not say what they
	// answer. It does not keep the request.
	sent(request []byte)
	// scan consumes all of b and returns the number of replies that it completed. After an error the stream
	// cannot be read further. It does not keep b.
	scan(b []byte, c *counts) (replies int, err error)
}

func newScanner(c *Config) scanner {
	switch c.Protocol {
	case Redis:
		return &redisScanner{wait: c.WaitReplicas}
	case HTTP:
		return &httpScanner{}
	case Binary:
		return &binaryScanner{multiGet: c.MultiGet}
	case Meta:
		return &metaScanner{multiGet: c.MultiGet}
	case Tyrant:
		return &tyrantScanner{multiGet: c.MultiGet}
	default:
		return &memcacheScanner{multiGet: c.MultiGet}
	}
}

// lines cuts a stream into lines and skipped bodies. The zero value is ready.
type lines struct {
	skip    int    // bytes of a body still to come
	partial []byte // the beginning of a line whose end has not arrived
}

// sent does nothing: lines say what they answer.
func (*lines) sent([]byte) {}

// next returns the next complete line without its line end and the rest of b. ok is false when b is
// used up. The line is valid until the following call.
func (l *lines) next(b []byte) (line, rest []byte, ok bool, err error) {
	if l.skip > 0 {
		n := min(l.skip, len(b))
		l.skip -= n
		b = b[n:]
	}
	if len(b) == 0 {
		return nil, nil, false, nil
	}
	i := bytes.IndexByte(b, '\n')
	if len(l.partial)+max(i, 0) > maxReplyLine || i < 0 && len(l.partial)+len(b) > maxReplyLine {
		return nil, nil, false, fmt.Errorf("reply line is longer than %d bytes", maxReplyLine)
	}
	if i < 0 {
		l.partial = append(l.partial, b...)
		return nil, nil, false, nil
	}
	line = b[:i]
	if len(l.partial) > 0 {
		l.partial = append(l.partial, line...)
		line = l.partial
		l.partial = l.partial[:0] // the bytes stay until the next append
	}
	return bytes.TrimSuffix(line, []byte("\r")), b[i+1:], true, nil
}

// memcacheScanner reads replies of get, set and incr in memcached's text protocol.
type memcacheScanner struct {
	lines
	multiGet int // keys of a get
	values   int // values of the reply under way
}

func (s *memcacheScanner) scan(b []byte, c *counts) (int, error) {
	replies := 0
	for {
		line, rest, ok, err := s.next(b)
		if !ok || err != nil {
			return replies, err
		}
		b = rest
		switch {
		case bytes.HasPrefix(line, []byte("VALUE ")):
			size, err := valueSize(line)
			if err != nil {
				return replies, err
			}
			s.skip = size + len("\r\n")
			s.values++
			continue
		case string(line) == "END":
			c.misses += uint64(max(s.multiGet-s.values, 0))
		case string(line) == "STORED", isNumber(line):
		case string(line) == "NOT_FOUND":
			c.misses++
		default:
			c.failed(line)
		}
		s.values = 0
		replies++
	}
}

// isNumber says whether a line is what an increment answers. memcached may let spaces follow.
func isNumber(line []byte) bool { return len(line) > 0 && line[0] >= '0' && line[0] <= '9' }

// valueSize reads the fourth word of "VALUE KEY FLAGS SIZE [CAS]".
func valueSize(line []byte) (int, error) {
	words := line
	for range 3 {
		i := bytes.IndexByte(words, ' ')
		if i < 0 {
			return 0, fmt.Errorf("reply %.100q has no size", line)
		}
		words = words[i+1:]
	}
	if i := bytes.IndexByte(words, ' '); i >= 0 {
		words = words[:i]
	}
	return parseSize(words)
}

// parseSize reads a decimal number up to maxReplyBody.
func parseSize(b []byte) (int, error) {
	n := 0
	for _, d := range b {
		if d < '0' || d > '9' || n > maxReplyBody {
			return 0, fmt.Errorf("reply has a bad size %.20q", b)
		}
		n = n*10 + int(d-'0')
	}
	if len(b) == 0 || n > maxReplyBody {
		return 0, fmt.Errorf("reply has a bad size %.20q", b)
	}
	return n, nil
}
