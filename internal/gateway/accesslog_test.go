package gateway

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestAccessLogLine(t *testing.T) {
	end := time.Date(2026, 11, 23, 19, 5, 7, 0, time.FixedZone("", 3600))
	tests := []struct {
		name string
		ex   exchange
		want string
	}{
		{"one try", exchange{
			start: end.Add(-1234567 * time.Microsecond), remote: "10.1.2.3", method: "GET", uri: "/a%20b?c", proto: "HTTP/1.1",
			status: 200, bytes: 42, tries: []attempt{{"127.0.0.1:1", 200, 999 * time.Microsecond}},
		}, `10.1.2.3 [2026-11-23T19:05:07+01:00] "GET /a%20b?c HTTP/1.1" 200 42 rt=1.234 up="127.0.0.1:1" ust="200" urt="0.000"`},
		{"retried", exchange{
			start: end, remote: "::1", method: "HEAD", uri: "/", proto: "HTTP/1.0", status: 404,
			tries: []attempt{{"a:1", 504, time.Second}, {"b:2", 404, 15 * time.Millisecond}},
		}, `::1 [2026-11-23T19:05:07+01:00] "HEAD / HTTP/1.0" 404 0 rt=0.000 up="a:1, b:2" ust="504, 404" urt="1.000, 0.015"`},
		{"refused, hostile, at a unix socket", exchange{
			start: end, method: "G\"T", uri: "/\\\n\xff", proto: "HTTP/1.1", status: 400, bytes: 7,
		}, `- [2026-11-23T19:05:07+01:00] "G\x22T /\x5C\x0A\xFF HTTP/1.1" 400 7 rt=0.000 up="-" ust="-" urt="-"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := string(appendLine(nil, &test.ex, end)); got != test.want+"\n" {
				t.Errorf("got  %swant %s", got, test.want)
			}
		})
	}
}

func TestAccessLogIsFlushedEachSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out syncBuffer
		l := newAccessLog(&out)
		go l.flushLoop(t.Context(), func(err error) { t.Errorf("flush: %v", err) })
		l.add(&exchange{method: "GET"}, time.Now())
		time.Sleep(900 * time.Millisecond) // of the bubble's clock
		synctest.Wait()
		if got := out.String(); got != "" {
			t.Errorf("after 0.9 s: got %q, want nothing", got)
		}
		time.Sleep(200 * time.Millisecond)
		synctest.Wait()
		if got := out.String(); strings.Count(got, "\n") != 1 {
			t.Errorf("after 1.1 s: got %q, want a line", got)
		}
	})
}

// faultyWriter fails while err is set.
type faultyWriter struct {
	err   error
	taken []byte
}

func (w *faultyWriter) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	w.taken = append(w.taken, p...)
	return len(p), nil
}

func TestAccessLogSurvivesAFullDisk(t *testing.T) {
	full := errors.New("disk full")
	w := &faultyWriter{err: full}
	l := newAccessLog(w)
	var told []error
	for range 3 {
		l.add(&exchange{method: "LOST"}, time.Now())
		told = append(told, l.flush())
	}
	if !errors.Is(told[0], full) || told[1] != nil || told[2] != nil {
		t.Errorf("errors of flush: got %v, want one", told)
	}
	w.err = nil
	l.add(&exchange{method: "KEPT"}, time.Now())
	if err := l.flush(); err != nil || !strings.Contains(string(w.taken), "KEPT") {
		t.Errorf("after the disk has room: got %v and %q, want the new line", err, w.taken)
	}
	w.err = full
	l.add(&exchange{method: "LOST"}, time.Now())
	if err := l.flush(); !errors.Is(err, full) {
		t.Errorf("when it is full again: got %v, want to be told again", err)
	}
}

func TestAccessLogFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	if err := os.WriteFile(path, []byte("older\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	a := newBackend(t, answers(200, "", "12345"))
	f := start(t, func(cfg *Config) { cfg.AccessLog, cfg.AccessLogPath = nil, path }, a)
	f.do("GET", "/key?q=1")
	f.do("PUT", "/key")
	f.stop()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const stamp = `\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d\]`
	want := `^older
127\.0\.0\.1 ` + stamp + ` "GET /key\?q=1 HTTP/1\.1" 200 5 rt=\d\.\d{3} up="` + regexp.QuoteMeta(a.addr) + `" ust="200" urt="\d\.\d{3}"
127\.0\.0\.1 ` + stamp + ` "PUT /key HTTP/1\.1" 403 \d+ rt=\d\.\d{3} up="-" ust="-" urt="-"
$`
	if !regexp.MustCompile(want).Match(b) {
		t.Errorf("got\n%swant\n%s", b, want)
	}
}
