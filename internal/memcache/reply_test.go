package memcache

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

const testMaxValue = 1 << 20

func replies(s string) *ReplyReader { return NewReplyReader(strings.NewReader(s), testMaxValue) }

// outcome is what a method of ReplyReader returned, in a form that a table can hold: the value printed, or the
// kind of the error.
func outcome(v any, err error) string {
	var reply *ErrorReply
	var syntax *SyntaxError
	switch {
	case errors.As(err, &reply):
		return "reply " + reply.Line
	case errors.As(err, &syntax):
		return "syntax " + syntax.Reason
	case err != nil:
		return err.Error()
	}
	return fmt.Sprint(v)
}

func readStatus(r *ReplyReader) string { return outcome(r.ReadStatus()) }

func readVersion(r *ReplyReader) string { return outcome(r.ReadVersion()) }

func readNumber(r *ReplyReader) string {
	v, found, err := r.ReadNumber()
	return outcome(fmt.Sprint(v, " ", found), err)
}

func readStats(r *ReplyReader) string {
	var b strings.Builder
	err := r.ReadStats(func(name, value string) { fmt.Fprintf(&b, "%s=%s;", name, value) })
	return outcome(b.String(), err)
}

func readGet(r *ReplyReader) string  { return readValues(r, false) }
func readGets(r *ReplyReader) string { return readValues(r, true) }

func readValues(r *ReplyReader, withCAS bool) string {
	var b strings.Builder
	err := r.ReadValues(withCAS, func(v Value) error {
		fmt.Fprintf(&b, "%s/%d/%d/%q;", v.Key, v.Flags, v.CAS, v.Data)
		return nil
	})
	return outcome(b.String(), err)
}

var replyTests = []struct {
	name string
	read func(*ReplyReader) string
	in   string
	want string
	// whole is set where the input is one complete good reply: every cut of it must be an unexpected end.
	whole bool
}{
	{"stored", readStatus, "STORED\r\n", "STORED", true},
	{"not stored", readStatus, "NOT_STORED\r\n", "NOT_STORED", true},
	{"exists", readStatus, "EXISTS\r\n", "EXISTS", true},
	{"not found", readStatus, "NOT_FOUND\r\n", "NOT_FOUND", true},
	{"deleted", readStatus, "DELETED\r\n", "DELETED", true},
	{"touched", readStatus, "TOUCHED\r\n", "TOUCHED", true},
	{"ok", readStatus, "OK\r\n", "OK", true},
	{"end is no status", readStatus, "END\r\n", "syntax no status", false},
	{"lower case", readStatus, "stored\r\n", "syntax no status", false},
	{"trailing space", readStatus, "STORED \r\n", "syntax no status", false},
	{"bare newline", readStatus, "STORED\n", "syntax line without CRLF", false},
	{"empty line", readStatus, "\r\n", "syntax no status", false},
	{"nothing", readStatus, "", "EOF", false},
	{"error", readStatus, "ERROR\r\n", "reply ERROR", false},
	{"error with text", readStatus, "ERROR Too many open connections\r\n", "reply ERROR Too many open connections", false},
	{"errors is no error", readStatus, "ERRORS\r\n", "syntax no status", false},
	{"client error", readStatus, "CLIENT_ERROR bad data chunk\r\n", "reply CLIENT_ERROR bad data chunk", false},
	{"server error", readStatus, "SERVER_ERROR out of memory\r\n", "reply SERVER_ERROR out of memory", false},
	{"server error with colon", readStatus, "SERVER_ERROR: no\r\n", "reply SERVER_ERROR: no", false},
	{"line too long", readStatus, strings.Repeat("S", replyLineMax+1), "syntax line too long", false},
	{"http", readStatus, "HTTP/1.1 400 Bad Request\r\n\r\n", "syntax no status", false},

	{"number", readNumber, "18446744073709551615\r\n", "18446744073709551615 true", true},
	{"zero", readNumber, "0\r\n", "0 true", true},
	{"padded number", readNumber, "8 \r\n", "8 true", false},
	{"number missing", readNumber, "NOT_FOUND\r\n", "0 false", true},
	{"number too large", readNumber, "18446744073709551616\r\n", "syntax no number", false},
	{"negative number", readNumber, "-1\r\n", "syntax no number", false},
	{"plus number", readNumber, "+1\r\n", "syntax no number", false},
	{"number with text", readNumber, "1a\r\n", "syntax no number", false},
	{"empty number", readNumber, "\r\n", "syntax no number", false},
	{"number of spaces", readNumber, "  \r\n", "syntax no number", false},
	{"not numeric", readNumber, ReplyNotNumeric, "reply " + strings.TrimSuffix(ReplyNotNumeric, "\r\n"), false},

	{"version", readVersion, "VERSION 1.6.18\r\n", "1.6.18", true},
	{"no version", readVersion, "STORED\r\n", "syntax no version", false},

	{"stats", readStats, "STAT pid 1\r\nSTAT version 1.6.18\r\nEND\r\n", "pid=1;version=1.6.18;", true},
	{"stats empty", readStats, "END\r\n", "", true},
	{"stats without value", readStats, "STAT x\r\nEND\r\n", "x=;", true},
	{"stats value with spaces", readStats, "STAT x a b\r\nEND\r\n", "x=a b;", true},
	{"stats reset", readStats, "RESET\r\n", "", true},
	{"stats detail", readStats, "OK\r\n", "", true},
	{"stats reset in the middle", readStats, "STAT a 1\r\nRESET\r\n", "syntax no statistic", false},
	{"cachedump", readStats, "ITEM k [5 b; 0 s]\r\nEND\r\n", "k=[5 b; 0 s];", true},
	{"stats without end", readStats, strings.Repeat("STAT "+strings.Repeat("x", 8000)+"\r\n", replyStatsMax/8000+1),
		"syntax statistics too long", false},

	{"miss", readGet, "END\r\n", "", true},
	{"hit", readGet, "VALUE k 5 3\r\nabc\r\nEND\r\n", `k/5/0/"abc";`, true},
	{"hits", readGet, "VALUE a 0 1\r\nx\r\nVALUE b 4294967295 0\r\n\r\nEND\r\n", `a/0/0/"x";b/4294967295/0/"";`, true},
	{"hit with CAS", readGets, "VALUE k 0 2 77\r\n\r\n\r\nEND\r\n", `k/0/77/"\r\n";`, true},
	{"largest CAS", readGets, "VALUE k 0 0 18446744073709551615\r\n\r\nEND\r\n", `k/0/18446744073709551615/"";`, true},
	{"data that looks like a reply", readGet, "VALUE k 0 5\r\nEND\r\n\r\nEND\r\n", `k/0/0/"END\r\n";`, true},
	{"CAS not asked for", readGet, "VALUE k 0 1 7\r\nx\r\nEND\r\n", "syntax wrong number of fields", false},
	{"CAS missing", readGets, "VALUE k 0 1\r\nx\r\nEND\r\n", "syntax wrong number of fields", false},
	{"CAS and more", readGets, "VALUE k 0 1 7 8\r\nx\r\nEND\r\n", "syntax bad CAS unique", false},
	{"status for a get", readGet, "STORED\r\n", "syntax neither VALUE nor END", false},
	{"no key", readGet, "VALUE  0 1\r\nx\r\nEND\r\n", "syntax key of wrong length", false},
	{"long key", readGet, "VALUE " + strings.Repeat("k", 251) + " 0 1\r\nx\r\n", "syntax key of wrong length", false},
	{"flags over 32 bits", readGet, "VALUE k 4294967296 1\r\nx\r\nEND\r\n", "syntax bad flags", false},
	{"no flags", readGet, "VALUE k\r\n", "syntax bad flags", false},
	{"no size", readGet, "VALUE k 0\r\n", "syntax bad size", false},
	{"negative size", readGet, "VALUE k 0 -1\r\n", "syntax bad size", false},
	{"size over 63 bits", readGet, "VALUE k 0 9223372036854775808\r\n", "syntax bad size", false},
	{"size over the limit", readGet, "VALUE k 0 1048577\r\n", "syntax value over the limit", false},
	{"data too long", readGet, "VALUE k 0 1\r\nxy\r\nEND\r\n", "syntax data without CRLF", false},
	{"error in the middle", readGet, "VALUE k 0 1\r\nx\r\nSERVER_ERROR out of memory\r\n", "reply SERVER_ERROR out of memory", false},
}

func TestReplies(t *testing.T) {
	for _, tt := range replyTests {
		t.Run(tt.name, func(t *testing.T) {
			r := replies(tt.in)
			if got := tt.read(r); got != tt.want {
				t.Errorf("%q: got %s, want %s", tt.in, got, tt.want)
			}
			// The way in which the bytes arrive must not matter.
			slow := NewReplyReader(iotest.OneByteReader(strings.NewReader(tt.in)), testMaxValue)
			if got := tt.read(slow); got != tt.want {
				t.Errorf("%q byte by byte: got %s, want %s", tt.in, got, tt.want)
			}
			if !tt.whole {
				return
			}
			if n := r.Buffered(); n != 0 {
				t.Errorf("%q: %d bytes left", tt.in, n)
			}
			for i := range len(tt.in) {
				want := io.ErrUnexpectedEOF.Error()
				if i == 0 {
					want = io.EOF.Error()
				}
				if got := tt.read(replies(tt.in[:i])); got != want {
					t.Errorf("%q: got %s, want %s", tt.in[:i], got, want)
				}
			}
		})
	}
}

func TestReplyPipeline(t *testing.T) {
	r := replies("STORED\r\n5\r\nVALUE k 0 1\r\nx\r\nEND\r\nERROR\r\nVERSION 1\r\n")
	got := []string{readStatus(r), readNumber(r), readGet(r), readStatus(r), readVersion(r)}
	want := []string{"STORED", "5 true", `k/0/0/"x";`, "reply ERROR", "1"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestReadValuesStopsOnError(t *testing.T) {
	stop := errors.New("stop")
	calls := 0
	err := replies("VALUE a 0 0\r\n\r\nVALUE b 0 0\r\n\r\nEND\r\n").ReadValues(false, func(Value) error {
		calls++
		return stop
	})
	if err != stop || calls != 1 {
		t.Errorf("got %v after %d calls, want the error of the first", err, calls)
	}
}

func TestReplyErrorText(t *testing.T) {
	tests := []struct {
		err  error
		want string
	}{
		{&ErrorReply{Line: "SERVER_ERROR out of memory"}, "SERVER_ERROR out of memory"},
		{&ErrorReply{Line: "SERVER_ERROR \x1b[2J"}, `"SERVER_ERROR \x1b[2J"`},
		{syntaxError("no status", []byte("\x00")), `malformed reply: no status: "\x00"`},
		{syntaxError("line too long", nil), "malformed reply: line too long"},
	}
	for _, tt := range tests {
		if got := tt.err.Error(); got != tt.want {
			t.Errorf("got %s, want %s", got, tt.want)
		}
	}
}
