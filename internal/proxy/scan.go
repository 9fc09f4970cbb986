package proxy

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"

	"github.com/futago/futago/internal/memcache"
)

const (
	// replyValueMax bounds the size that a reply may announce; memory is taken as its bytes come.
	replyValueMax = 1 << 30
	// largeSize is from where on a request or reply counts against Config.MaxPending.
	largeSize = 64 << 10
	// roundReplies is how many bytes of replies a round keeps before it lets reads wait for another one.
	roundReplies = 1 << 20
)

const replyStarved = "SERVER_ERROR out of memory writing get response\r\n"

// replyError is a reply that does not follow the protocol. What follows it on the connection has no meaning.
type replyError struct {
	reason string
	line   []byte
}

// Error names the rule and shows the line.
func (e *replyError) Error() string {
	return fmt.Sprintf("malformed reply: %s: %.64q", e.reason, e.line)
}

// scan is where in a reply the reading of a link stands.
type scan struct {
	data   int  // bytes of a data block still to come, its CRLF included
	skip   bool // they are not kept
	last   bool // the reply ends with them
	errors int  // shapeQuiet: bare ERROR lines
}

// take reads replies from b and returns how many bytes it used. The rest must come again, with more behind it.
func (l *link) take(b []byte) (n int, err error) {
	s := &l.scan
	for {
		if n == len(b) && s.data == 0 {
			return n, nil
		}
		c := l.front()
		if c == nil {
			return n, &replyError{"nobody asked for it", b[n:]}
		}
		if s.data > 0 {
			m := min(s.data, len(b)-n)
			if !s.skip {
				c.reply = append(c.reply, b[n:n+m]...)
			}
			n += m
			if s.data -= m; s.data > 0 {
				return n, nil
			}
			if c.shape != shapeBinary && !s.skip && !bytes.HasSuffix(c.reply, crlf) {
				return n, &replyError{"data without CRLF", nil}
			}
			if !s.skip {
				c.whole, c.wholePassed = len(c.reply), c.passed
			}
			if s.last {
				l.finish(c)
			}
			continue
		}
		var used int
		if c.shape == shapeBinary {
			used, err = l.takeFrame(c, b[n:])
		} else {
			used, err = l.takeLine(c, b[n:])
		}
		if used == 0 || err != nil {
			return n, err
		}
		n += used
	}
}

var crlf = []byte("\r\n")

func (l *link) finish(c *call) {
	l.scan = scan{}
	l.answer(c)
}

// takeLine reads a line of a text reply. used is 0 when its end is still to come.
func (l *link) takeLine(c *call, b []byte) (used int, err error) {
	i := bytes.IndexByte(b, '\n')
	if i < 0 {
		if len(b) == linkBuffer {
			return 0, &replyError{"line too long", b}
		}
		return 0, nil
	}
	line, ok := bytes.CutSuffix(b[:i+1], crlf)
	if !ok {
		return 0, &replyError{"line without CRLF", b[:i+1]}
	}
	if string(b[:i+1]) == memcache.ReplyUnauthenticated {
		return 0, errLoggedOut
	}
	switch c.shape {
	case shapeValues:
		err = l.valuesLine(c, line, b[:i+1])
	case shapeMeta:
		err = l.metaLine(c, line, b[:i+1], true)
	case shapeQuiet:
		err = l.quietLine(c, line, b[:i+1])
	default:
		if c.broke = isErrorLine(line); !c.broke && !isStatusLine(line) {
			return 0, &replyError{"no status", line}
		}
		c.reply = append(c.reply, b[:i+1]...)
		l.finish(c)
	}
	return i + 1, err
}

func isErrorLine(line []byte) bool {
	return bytes.HasPrefix(line, []byte("ERROR")) || bytes.HasPrefix(line, []byte("CLIENT_ERROR")) || bytes.HasPrefix(line, []byte("SERVER_ERROR"))
}

// isStatusLine says whether a line, no error, may answer a classic command.
func isStatusLine(line []byte) bool {
	switch string(line) {
	case "STORED", "NOT_STORED", "EXISTS", "NOT_FOUND", "DELETED", "TOUCHED", "OK":
		return true
	}
	return isNumber(bytes.TrimRight(line, " ")) // old servers pad the number of incr
}

// isMetaLine says whether a line, no error, may answer a meta command: it begins with a code of two letters.
func isMetaLine(line []byte) bool {
	upper := func(c byte) bool { return 'A' <= c && c <= 'Z' }
	return len(line) >= 2 && upper(line[0]) && upper(line[1]) && (len(line) == 2 || line[2] == ' ')
}

func isNumber(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(b) > 0
}

// valuesLine is a line of the reply to a get. END is left out: who puts the reply together adds it.
func (l *link) valuesLine(c *call, line, whole []byte) error {
	rest, isValue := bytes.CutPrefix(line, []byte("VALUE "))
	switch {
	case !isValue && string(line) == "END":
		if !c.cut && !c.broke {
			c.passed = c.asked
			c.cut = c.asked < len(c.keys)
		}
		l.finish(c)
		return nil
	case !isValue && isErrorLine(line):
		if !c.cut {
			c.broke = true
			c.reply = append(c.reply, whole...)
		}
		l.finish(c)
		return nil
	case !isValue:
		return &replyError{"neither VALUE nor END", line}
	}
	key, rest, _ := bytes.Cut(rest, []byte(" "))
	_, rest, _ = bytes.Cut(rest, []byte(" ")) // flags
	digits, _, _ := bytes.Cut(rest, []byte(" "))
	size, ok := parseSize(digits)
	if !ok {
		return &replyError{"bad size", line}
	}
	if c.cut || !l.room(c, size) {
		c.cut = !c.broke
		l.scan.data, l.scan.skip = size+2, true
		return nil
	}
	for c.passed < c.asked && !bytes.Equal(c.keys[c.passed], key) {
		c.passed++
	}
	if c.passed == c.asked {
		return &replyError{"value that was not asked for", line}
	}
	c.passed++
	c.reply = append(c.reply, whole...)
	l.scan.data, l.scan.skip = size+2, false
	return nil
}

// room says whether a value of that size may be kept now. If not, the call is cut, or answered with an error.
func (l *link) room(c *call, size int) bool {
	if c.broke {
		return false
	}
	if c.safe && !(c.must && !c.kept) && c.round.kept.Load() > roundReplies {
		return false
	}
	if size > largeSize {
		if !l.up.proxy.reserve(int64(size)) {
			c.broke = true
			if c.shape == shapeBinary {
				c.reply = memcache.AppendBinaryError(c.reply, c.echo, memcache.BinaryOutOfMemory, "")
			} else {
				c.reply = append(c.reply, replyStarved...)
			}
			return false
		}
		c.held += int64(size)
	}
	c.kept = true
	c.round.kept.Add(int64(size))
	return true
}

// metaLine is a line of a meta reply. last: the reply ends with it, or with its data.
func (l *link) metaLine(c *call, line, whole []byte, last bool) error {
	rest, isValue := bytes.CutPrefix(line, []byte("VA "))
	if !isValue {
		if isErrorLine(line) {
			c.broke = true
		} else if !isMetaLine(line) {
			return &replyError{"no meta code", line}
		}
		c.reply = append(c.reply, whole...)
		if last {
			l.finish(c)
		}
		return nil
	}
	digits, _, _ := bytes.Cut(rest, []byte(" "))
	size, ok := parseSize(digits)
	if !ok {
		return &replyError{"bad size", line}
	}
	keep := l.room(c, size)
	if keep {
		c.reply = append(c.reply, whole...)
	} else {
		c.cut = !c.broke
	}
	l.scan.data, l.scan.skip, l.scan.last = size+2, !keep, last
	return nil
}

// quietLine is a line of the reply to a quiet meta command and the mn behind it. Nobody answers ERROR to mn who knows a
// meta command; should it happen, the second ERROR is that answer.
func (l *link) quietLine(c *call, line, whole []byte) error {
	if string(line) == "MN" {
		l.finish(c)
		return nil
	}
	if string(line) == "ERROR" {
		if l.scan.errors++; l.scan.errors == 2 {
			l.finish(c)
			return nil
		}
	}
	return l.metaLine(c, line, whole, false)
}

// parseSize reads a size of digits only, up to replyValueMax.
func parseSize(digits []byte) (int, bool) {
	if len(digits) == 0 || len(digits) > 10 || digits[0] < '0' || digits[0] > '9' {
		return 0, false
	}
	n, err := strconv.Atoi(string(digits))
	return n, err == nil && n <= replyValueMax
}

// takeFrame reads the header of a binary reply.
func (l *link) takeFrame(c *call, b []byte) (used int, err error) {
	if len(b) < binaryHeader {
		return 0, nil
	}
	size := int(binary.BigEndian.Uint32(b[8:]))
	if b[0] != binaryReply || b[1] != c.head[1] || size > replyValueMax {
		return 0, &replyError{"bad frame header", b[:binaryHeader]}
	}
	if frameStatus(b) == memcache.BinaryAuthError {
		return 0, errLoggedOut
	}
	keep := l.room(c, size)
	if keep {
		c.reply = append(c.reply, b[:binaryHeader]...)
	} else {
		c.cut = !c.broke
	}
	if size == 0 {
		l.finish(c)
		return binaryHeader, nil
	}
	l.scan.data, l.scan.skip, l.scan.last = size, !keep, true
	return binaryHeader, nil
}
