package gateway

import (
	"bufio"
	"context"
	"io"
	"sync"
	"time"
)

const (
	accessLogBuffer     = 64 << 10
	accessLogFlushEvery = time.Second
)

// accessLog writes one line for each request, in nginx's format
//
//	$remote_addr [$time_iso8601] "$request" $status $body_bytes_sent rt=$request_time
//	up="$upstream_addr" ust="$upstream_status" urt="$upstream_response_time"
//
// (one line), with a list for the upstreams tried, in order, and "-" for what there is not. The time is that of the
// end of the request, times are in seconds; what is not plain text in the request is written as \xXX.
type accessLog struct {
	mu     sync.Mutex
	out    io.Writer
	w      *bufio.Writer // in front of out
	line   []byte        // scratch
	broken bool          // the last flush failed, and somebody was told
}

func newAccessLog(w io.Writer) *accessLog {
	return &accessLog{out: w, w: bufio.NewWriterSize(w, accessLogBuffer)}
}

// add writes the line of a finished request. A nil log drops it.
func (l *accessLog) add(ex *exchange, end time.Time) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.line = appendLine(l.line[:0], ex, end)
	l.w.Write(l.line) // the error stays in the writer; flush returns it
}

// flush hands everything to the underlying writer. Lines that it does not take are lost and requests go on: a full
// disk must not stop reads. The error is returned once, until a flush has succeeded again.
func (l *accessLog) flush() error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.w.Flush()
	told := l.broken
	if l.broken = err != nil; !l.broken {
		return nil
	}
	l.w.Reset(l.out)
	if told {
		return nil
	}
	return err
}

// flushLoop flushes each second until ctx ends, and reports an error to failed.
func (l *accessLog) flushLoop(ctx context.Context, failed func(error)) {
	ticker := time.NewTicker(accessLogFlushEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if err := l.flush(); err != nil {
				failed(err)
			}
		}
	}
}

func appendLine(b []byte, ex *exchange, end time.Time) []byte {
	b = appendOr(b, ex.remote, "-")
	b = append(b, " ["...)
	b = end.AppendFormat(b, "2006-01-02T15:04:05-07:00")
	b = append(b, `] "`...)
	b = appendEscaped(b, ex.method)
	b = append(b, ' ')
	b = appendEscaped(b, ex.uri)
	b = append(b, ' ')
	b = append(b, ex.proto...)
	b = append(b, `" `...)
	b = appendInt(b, int64(ex.status))
	b = append(b, ' ')
	b = appendInt(b, ex.bytes)
	b = append(b, " rt="...)
	b = appendSeconds(b, end.Sub(ex.start))
	b = appendTries(b, ` up="`, ex.tries, func(b []byte, a *attempt) []byte { return appendEscaped(b, a.upstream) })
	b = appendTries(b, ` ust="`, ex.tries, func(b []byte, a *attempt) []byte { return appendInt(b, int64(a.status)) })
	b = appendTries(b, ` urt="`, ex.tries, func(b []byte, a *attempt) []byte { return appendSeconds(b, a.took) })
	return append(b, '\n')
}

func appendTries(b []byte, name string, tries []attempt, value func([]byte, *attempt) []byte) []byte {
	b = append(b, name...)
	for i := range tries {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = value(b, &tries[i])
	}
	if len(tries) == 0 {
		b = append(b, '-')
	}
	return append(b, '"')
}

func appendOr(b []byte, s, empty string) []byte {
	if s == "" {
		s = empty
	}
	return appendEscaped(b, s)
}

// appendEscaped writes s as nginx does: a line stays a line, and a quoted field ends at its quote.
func appendEscaped(b []byte, s string) []byte {
	const digits = "0123456789ABCDEF"
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c >= 0x7f || c == '"' || c == '\\' {
			b = append(b, '\\', 'x', digits[c>>4], digits[c&15])
		} else {
			b = append(b, c)
		}
	}
	return b
}

// appendSeconds writes seconds with three digits after the point, rounded down.
func appendSeconds(b []byte, d time.Duration) []byte {
	millis := max(d.Milliseconds(), 0)
	b = appendInt(b, millis/1000)
	return append(b, '.', byte('0'+millis/100%10), byte('0'+millis/10%10), byte('0'+millis%10))
}
