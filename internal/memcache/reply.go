package memcache

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

const (
	// replyLineMax bounds one reply line, in bytes. The longest of memcached 1.6.18 are STAT lines, far below it.
	replyLineMax = 16 << 10
	// replyStatsMax bounds all lines of one stats reply, in bytes. cachedump of memcached stops at 2 MiB.
	replyStatsMax = 4 << 20
	// replyFirstRead is how much memory is taken for a value before any of its bytes has come.
	replyFirstRead = 64 << 10
)

// Status is a reply of one line that is neither an error nor data.
type Status uint8

// The statuses. The zero Status is none of them.
const (
	StatusStored Status = iota + 1
	StatusNotStored
	StatusExists
	StatusNotFound
	StatusDeleted
	StatusTouched
	StatusOK
)

var statusLines = [...]string{
	StatusStored: ReplyStored, StatusNotStored: ReplyNotStored, StatusExists: ReplyExists,
	StatusNotFound: ReplyNotFound, StatusDeleted: ReplyDeleted, StatusTouched: ReplyTouched, StatusOK: ReplyOK,
}

// String returns the status as it stands on the wire, and "none" for what is no status.
func (s Status) String() string {
	if int(s) < len(statusLines) && statusLines[s] != "" {
		return statusLines[s][:len(statusLines[s])-2]
	}
	return "none"
}

// ErrorReply is a reply that begins with ERROR, CLIENT_ERROR or SERVER_ERROR. The connection stays usable only if
// the request had no data block: after a refused one, memcached may run the data as commands.
type ErrorReply struct {
	// Line is the whole line without CRLF.
	Line string
}

// Error returns the line as the server sent it, quoted if it holds bytes that do not belong on a terminal.
func (e *ErrorReply) Error() string {
	if q := strconv.Quote(e.Line); q[1:len(q)-1] != e.Line {
		return q
	}
	return e.Line
}

// SyntaxError is a reply that does not follow the protocol or exceeds a limit. What follows it on the connection
// has no meaning.
type SyntaxError struct {
	// Reason names the rule that was broken.
	Reason string
	// Line is the offending line without CRLF, cut to 64 bytes; empty where the data broke the rule.
	Line string
}

// Error names the rule and shows the line, quoted.
func (e *SyntaxError) Error() string {
	if e.Line == "" {
		return "malformed reply: " + e.Reason
	}
	return fmt.Sprintf("malformed reply: %s: %q", e.Reason, e.Line)
}

func syntaxError(reason string, line []byte) error {
	return &SyntaxError{Reason: reason, Line: string(line[:min(len(line), 64)])}
}

// ReplyReader reads the replies on one connection, in the order of the requests. Its methods return an
// *ErrorReply when the server answered with an error line, a *SyntaxError for anything that the request cannot
// have as its answer, io.ErrUnexpectedEOF when the stream ends inside a reply, and otherwise what the reader
// under it returned (io.EOF when the stream ends before a reply). After any error but an *ErrorReply it must
// not be used again. It is not safe for concurrent use.
type ReplyReader struct {
	r        *bufio.Reader
	maxValue int
}

// NewReplyReader returns a reader of the replies that come through r. A value of more than maxValue bytes is a
// SyntaxError; no memory is taken for it.
func NewReplyReader(r io.Reader, maxValue int) *ReplyReader {
	return &ReplyReader{r: bufio.NewReaderSize(r, replyLineMax), maxValue: maxValue}
}

// Buffered returns the number of bytes that came and were not read as a reply. Between a reply and the next
// request it must be 0, or the stream is out of step.
func (r *ReplyReader) Buffered() int { return r.r.Buffered() }

// ReadStatus reads the reply to a store, delete, touch or flush command.
func (r *ReplyReader) ReadStatus() (Status, error) {
	line, err := r.line()
	if err != nil {
		return 0, err
	}
	if s := statusOf(line); s != 0 {
		return s, nil
	}
	return 0, syntaxError("no status", line)
}

func statusOf(line []byte) Status {
	for s := StatusStored; s <= StatusOK; s++ {
		if string(line) == statusLines[s][:len(statusLines[s])-2] {
			return s
		}
	}
	return 0
}

// ReadNumber reads the reply to incr or decr. found is false when the key does not exist.
func (r *ReplyReader) ReadNumber() (v uint64, found bool, err error) {
	line, err := r.line()
	if err != nil {
		return 0, false, err
	}
	if statusOf(line) == StatusNotFound {
		return 0, false, nil
	}
	// Servers before 1.4 padded the number with spaces.
	v, ok := replyUint(bytes.TrimRight(line, " "), 64)
	if !ok {
		return 0, false, syntaxError("no number", line)
	}
	return v, true, nil
}

// ReadVersion reads the reply to version.
func (r *ReplyReader) ReadVersion() (string, error) {
	line, err := r.line()
	if err != nil {
		return "", err
	}
	version, ok := bytes.CutPrefix(line, []byte("VERSION "))
	if !ok {
		return "", syntaxError("no version", line)
	}
	return string(version), nil
}

// ReadStats reads the reply to stats and calls fn for every line of it. RESET and OK end it too: they answer
// stats reset and stats detail.
func (r *ReplyReader) ReadStats(fn func(name, value string)) error {
	size := 0
	for {
		line, err := r.within(size > 0)
		if err != nil {
			return err
		}
		if size += len(line); size > replyStatsMax {
			return syntaxError("statistics too long", nil)
		}
		if size == len(line) && (string(line) == "RESET" || statusOf(line) == StatusOK) {
			return nil
		}
		if string(line) == "END" {
			return nil
		}
		rest, ok := bytes.CutPrefix(line, []byte("STAT "))
		if !ok {
			// cachedump lists ITEM lines.
			if rest, ok = bytes.CutPrefix(line, []byte("ITEM ")); !ok {
				return syntaxError("no statistic", line)
			}
		}
		name, value, _ := bytes.Cut(rest, []byte(" "))
		fn(string(name), string(value))
	}
}

// line returns the next line without its CRLF; it is valid until the next read. An error line comes back as an
// *ErrorReply.
func (r *ReplyReader) line() ([]byte, error) {
	line, err := r.r.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return nil, syntaxError("line too long", line)
	case err == io.EOF && len(line) > 0:
		return nil, io.ErrUnexpectedEOF
	case err != nil:
		return nil, err
	}
	body, ok := bytes.CutSuffix(line, []byte("\r\n"))
	if !ok {
		return nil, syntaxError("line without CRLF", line)
	}
	// SERVER_ERROR may be followed by a colon: memcached's answer to a forbidden shutdown.
	if word, _, _ := bytes.Cut(body, []byte(" ")); string(word) == "ERROR" || string(word) == "CLIENT_ERROR" ||
		string(bytes.TrimSuffix(word, []byte(":"))) == "SERVER_ERROR" {
		return nil, &ErrorReply{Line: string(body)}
	}
	return body, nil
}

// within is line for the lines of a reply after its first: an end of the stream there is never clean.
func (r *ReplyReader) within(begun bool) ([]byte, error) {
	line, err := r.line()
	if begun && err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return line, err
}

// replyUint reads digits only, at most bits of them in binary.
func replyUint(b []byte, bits int) (uint64, bool) {
	// ParseUint alone would allocate an error that quotes a long hostile token.
	if len(b) == 0 || len(b) > 20 || b[0] == '+' {
		return 0, false
	}
	v, err := strconv.ParseUint(string(b), 10, bits)
	return v, err == nil
}
