package gateway

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// upstreamTimeout is for tests in which one upstream uses it up and another must answer within it.
const upstreamTimeout = time.Second

func shortTimeout(cfg *Config) { cfg.UpstreamTimeout = upstreamTimeout }

// testRetry lets the first upstream fail in every way that is noticed before the header is complete.
func testRetry(t *testing.T) {
	tests := []struct {
		name   string
		spoil  func(*backend)
		status string // of the first try, in the access log
	}{
		{"refused", func(b *backend) { b.stop() }, "502"},
		{"closed without a byte", func(b *backend) { b.set(closes) }, "502"},
		{"reset", func(b *backend) { b.set(resets) }, "502"},
		{"closed in the header", func(b *backend) { b.set(raw("HTTP/1.1 200 OK\r\nContent-")) }, "502"},
		{"hangs", func(b *backend) { b.set(b.hangs) }, "504"},
		{"hangs in the header", func(b *backend) {
			b.set(func(conn net.Conn, request string) bool {
				io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-")
				return b.hangs(conn, request)
			})
		}, "504"},
		{"garbage", func(b *backend) { b.set(raw("\x81\x00garbage\r\n\r\n")) }, "502"},
		{"memcached", func(b *backend) { b.set(raw("ERROR\r\n")) }, "502"},
		{"bad header", func(b *backend) { b.set(raw("HTTP/1.1 200 OK\r\nno colon\r\n\r\n")) }, "502"},
		{"header without end", func(b *backend) { b.set(raw("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 1<<18))) }, "502"},
		{"switches protocols", func(b *backend) {
			b.set(raw("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"))
		}, "502"},
		{"502", func(b *backend) { b.set(answers(502, "", "no")) }, "502"},
		{"503", func(b *backend) { b.set(answers(503, "", "no")) }, "503"},
		{"504", func(b *backend) { b.set(answers(504, "", "no")) }, "504"},
	}
	for _, test := range tests {
		for _, method := range []string{"GET", "HEAD"} {
			t.Run(test.name+"/"+method, func(t *testing.T) {
				a, b := newBackend(t, answers(200, "", "from a")), newBackend(t, answers(200, "", "from b"))
				var change func(*Config) // a busy machine must not make a 504 of the others
				if strings.HasPrefix(test.name, "hangs") {
					t.Parallel()
					change = shortTimeout
				}
				f := start(t, change, a, b)
				test.spoil(a)
				begin := time.Now()
				got := f.do(method, "/key")
				want := "from b"
				if method == "HEAD" {
					want = ""
				}
				if got.status != 200 || got.body != want || got.err != nil {
					t.Fatalf("got %+v, want 200 from b", got)
				}
				if took := time.Since(begin); took >= patience {
					t.Errorf("took %s, as long as a time-out", took)
				}
				sa, sb := f.upstreamStatus(0), f.upstreamStatus(1)
				if sa.Requests != 1 || sa.Failures != 1 || sa.State != "penalty" {
					t.Errorf("a: got %+v, want 1 request, 1 failure, penalty", sa)
				}
				if sb.Requests != 1 || sb.Failures != 0 || sb.Retries != 1 || sb.State != "up" {
					t.Errorf("b: got %+v, want 1 request, 1 retry, up", sb)
				}
				f.stop()
				want = fmt.Sprintf(`ust="%s, 200"`, test.status)
				if !strings.Contains(f.log.String(), want) {
					t.Errorf("access log: got %q, want %s in it", f.log, want)
				}
				// The second request does not meet the broken one.
				if n := len(b.requests()); n != 1 {
					t.Errorf("requests at b: got %d, want 1", n)
				}
			})
		}
	}
}

// The answers that are the upstream's last word, though not a success.
func testPassedThrough(t *testing.T) {
	for _, status := range []int{200, 204, 206, 301, 304, 400, 404, 412, 416, 429, 500, 501} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			body := "body of a"
			if status == 204 || status == 304 {
				body = ""
			}
			a, b := newBackend(t, nil), newBackend(t, answers(200, "", "from b"))
			a.set(func(conn net.Conn, _ string) bool {
				fmt.Fprintf(conn, "HTTP/1.1 %d X\r\nETag: \"1\"\r\n", status)
				if body != "" {
					fmt.Fprintf(conn, "Content-Length: %d\r\n", len(body))
				}
				fmt.Fprintf(conn, "\r\n%s", body)
				return true
			})
			f := start(t, nil, a, b)
			got := f.do("GET", "/key")
			if got.status != status || got.body != body || got.header.Get("ETag") != `"1"` {
				t.Errorf("got %+v, want %d with body and ETag", got, status)
			}
			if s := f.upstreamStatus(0); s.Failures != 0 || len(b.requests()) != 0 {
				t.Errorf("got %d failures of a, %d requests at b, want none", s.Failures, len(b.requests()))
			}
		})
	}
}

func testCutInTheBody(t *testing.T) {
	const part = "0123456789"
	tests := []struct {
		name   string
		answer func(*backend) answer
	}{
		{"closed, length known", func(*backend) answer {
			return raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + part)
		}},
		{"closed, chunked", func(*backend) answer {
			return raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\n" + part + "\r\n")
		}},
		{"hangs", func(b *backend) answer {
			return func(conn net.Conn, request string) bool {
				io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"+part)
				return b.hangs(conn, request)
			}
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a, b := newBackend(t, nil), newBackend(t, answers(200, "", "from b"))
			a.set(test.answer(a))
			f := start(t, func(cfg *Config) { cfg.BodyTimeout = upstreamTimeout }, a, b)
			got := f.do("GET", "/key")
			if got.status != 200 || got.body != part || !errors.Is(got.err, io.ErrUnexpectedEOF) {
				t.Errorf("got %+v, want 200, %q and an unexpected EOF", got, part)
			}
			if n := len(b.requests()); n != 0 {
				t.Errorf("requests at b: got %d, want 0", n)
			}
			if s := f.upstreamStatus(0); s.State != "up" {
				t.Errorf("state of a: got %s, want up", s.State)
			}
		})
	}
}

func testAllFail(t *testing.T) {
	t.Run("refused", func(t *testing.T) {
		a, b := newBackend(t, nil), newBackend(t, nil)
		a.stop()
		b.stop()
		f := start(t, nil, a, b)
		for i := range uint64(3) { // also when both are out already
			got := f.do("GET", "/key")
			if got.status != 502 || got.body != "502 bad gateway: no upstream answered\n" ||
				got.header.Get("Content-Type") != "text/plain; charset=utf-8" {
				t.Errorf("got %+v, want one line with 502", got)
			}
			if sa, sb := f.upstreamStatus(0), f.upstreamStatus(1); sa.Requests != i+1 || sb.Requests != i+1 {
				t.Errorf("request %d: got %d and %d tries in all, want each once a request", i, sa.Requests, sb.Requests)
			}
		}
		if got := f.do("HEAD", "/key"); got.status != 502 || got.body != "" || got.header.Get("Content-Length") == "0" {
			t.Errorf("HEAD: got %+v, want 502 with the length of a body and none", got)
		}
	})
	t.Run("last one hangs", func(t *testing.T) {
		a, b := newBackend(t, nil), newBackend(t, nil)
		a.stop()
		b.set(b.hangs)
		f := start(t, shortTimeout, a, b)
		if got := f.do("GET", "/key"); got.status != 504 || got.body != "504 gateway timeout: no upstream answered in time\n" {
			t.Errorf("got %+v, want one line with 504", got)
		}
	})
	t.Run("last one says 503", func(t *testing.T) {
		a, b := newBackend(t, nil), newBackend(t, answers(503, "Retry-After: 1\r\n", "not ready"))
		a.stop()
		f := start(t, nil, a, b)
		if got := f.do("GET", "/key"); got.status != 503 || got.body != "not ready" || got.header.Get("Retry-After") != "1" {
			t.Errorf("got %+v, want b's own 503", got)
		}
	})
	t.Run("within the retry budget", func(t *testing.T) {
		backends := []*backend{newBackend(t, nil), newBackend(t, nil), newBackend(t, nil)}
		for _, b := range backends {
			b.set(b.hangs)
		}
		// A machine that stands still after the first try may use up the budget: then it gets a larger one.
		for timeout, tries := 100*time.Millisecond, uint64(0); tries != 2; timeout *= 4 {
			budget := timeout * 3 / 2
			f := start(t, func(cfg *Config) { cfg.UpstreamTimeout, cfg.RetryBudget = timeout, budget }, backends...)
			begin := time.Now()
			if got := f.do("GET", "/key"); got.status != 504 {
				t.Errorf("got %+v, want 504", got)
			}
			tries = f.upstreamStatus(0).Requests + f.upstreamStatus(1).Requests + f.upstreamStatus(2).Requests
			if took := time.Since(begin); tries > 2 || took < budget || tries < 2 && timeout > 5*time.Second {
				t.Fatalf("got %d tries in %s, want 2 in %s", tries, took, budget)
			}
		}
	})
	t.Run("one upstream is tried always", func(t *testing.T) {
		a := newBackend(t, nil)
		a.stop()
		f := start(t, nil, a)
		f.do("GET", "/key")
		f.do("GET", "/key")
		a.set(answers(200, "", "from a"))
		a.restart()
		if got := f.do("GET", "/key"); got.status != 200 {
			t.Errorf("after the restart: got %+v, want 200", got)
		}
		if s := f.upstreamStatus(0); s.Requests != 3 || s.Failures != 2 || s.State != "up" {
			t.Errorf("got %+v, want 3 requests, 2 failures, up", s)
		}
	})
}

// Both were out and nothing checks: the first request after the return of one gets its answer.
func testBackAtOnceWhenAllWereOut(t *testing.T) {
	a, b := newBackend(t, answers(200, "", "from a")), newBackend(t, nil)
	a.stop()
	b.stop()
	f := start(t, nil, a, b)
	f.do("GET", "/key")
	a.restart()
	if got := f.do("GET", "/key"); got.status != 200 || got.body != "from a" {
		t.Errorf("got %+v, want 200 from a", got)
	}
	if s := f.upstreamStatus(0); s.State != "up" || s.Fails != 0 {
		t.Errorf("a: got %+v, want up without fails", s)
	}
}

func testClientGoneDoesNotCount(t *testing.T) {
	a, b := newBackend(t, nil), newBackend(t, answers(200, "", "from b"))
	a.set(a.hangs)
	// Until then the short way does not see that the client is gone.
	f := start(t, func(cfg *Config) { cfg.UpstreamTimeout = 3 * time.Second }, a, b)
	for i := range 5 {
		ctx, cancel := context.WithCancel(context.Background())
		req, err := http.NewRequestWithContext(ctx, "GET", "http://"+f.Addr()+"/key", nil)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() {
			resp, err := f.client.Do(req)
			if err == nil {
				resp.Body.Close()
			}
			done <- err
		}()
		eventually(t, "the request is at a", func() bool { return len(a.requests()) == i+1 })
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v, want a cancelled request", err)
		}
	}
	eventually(t, "all requests are over", func() bool { return f.Status().Connections == 0 })
	if s := f.upstreamStatus(0); s.Failures != 0 || s.Fails != 0 || s.State != "up" {
		t.Errorf("a: got %+v, want no failure", s)
	}
	if n := len(b.requests()); n != 0 {
		t.Errorf("requests at b: got %d, want 0", n)
	}
	f.stop()
	if n := strings.Count(f.log.String(), ` 499 0 `); n != 5 {
		t.Errorf("access log: got %d lines with 499, want 5:\n%s", n, f.log)
	}
}

// The upstream sees the bytes of the client's target and no header of its connection.
func TestRequestUpstream(t *testing.T) {
	tests := []struct {
		name, request string
		want          []string // request line, then the header in any order
	}{
		{"plain", "GET /a%2Fb%20c%C3%a4?x=%41&&y HTTP/1.1\r\nHost: example.test:81\r\n",
			[]string{"GET /a%2Fb%20c%C3%a4?x=%41&&y HTTP/1.1", "Host: example.test:81"}},
		{"HEAD stays HEAD", "HEAD /a? HTTP/1.1\r\nHost: h\r\n", []string{"HEAD /a? HTTP/1.1", "Host: h"}},
		{"absolute form", "GET http://other/a HTTP/1.1\r\nHost: h\r\n", []string{"GET /a HTTP/1.1", "Host: other"}},
		{"conditional and range", "GET /a HTTP/1.1\r\nHost: h\r\nRange: bytes=1-2\r\nIf-None-Match: \"x\"\r\nUser-Agent: u\r\nAccept-Encoding: br\r\n",
			[]string{"GET /a HTTP/1.1", "Host: h", "Range: bytes=1-2", `If-None-Match: "x"`, "User-Agent: u", "Accept-Encoding: br"}},
		{"control headers", "GET /a HTTP/1.1\r\nHost: h\r\nX-TT-PDMODE: 1\r\nx-tt-xname: echo\r\nX-Ttx: kept\r\n",
			[]string{"GET /a HTTP/1.1", "Host: h", "X-Ttx: kept"}},
		{"hop by hop", "GET /a HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, X-Secret\r\nX-Secret: 1\r\nTE: trailers\r\nUpgrade: websocket\r\n" +
			"Keep-Alive: 5\r\nProxy-Authorization: x\r\nExpect: 100-continue\r\nContent-Length: 0\r\nTrailer: X\r\n",
			[]string{"GET /a HTTP/1.1", "Host: h"}},
		{"forwarded before", "GET /a HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 10.0.0.1\r\nX-Forwarded-For: 10.0.0.2\r\n",
			[]string{"GET /a HTTP/1.1", "Host: h", "X-Forwarded-For: 10.0.0.1, 10.0.0.2, 127.0.0.1"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := newBackend(t, answers(200, "", "x"))
			f := start(t, nil, a)
			conn, err := net.Dial("tcp", f.Addr())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			io.WriteString(conn, test.request+"\r\n")
			resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: test.request[:4]})
			if err != nil || resp.StatusCode != 200 {
				t.Fatalf("got %v, %v, want 200", resp, err)
			}
			want := test.want
			if !strings.Contains(strings.Join(want, " "), "X-Forwarded-For") {
				want = append(want, "X-Forwarded-For: 127.0.0.1")
			}
			seen := a.requests()
			if len(seen) != 1 {
				t.Fatalf("requests at a: got %q, want one", seen)
			}
			got := strings.Split(strings.TrimSuffix(seen[0], "\r\n\r\n"), "\r\n")
			slices.Sort(got[1:])
			slices.Sort(want[1:])
			if !slices.Equal(got, want) {
				t.Errorf("request upstream:\ngot  %q\nwant %q", got, want)
			}
		})
	}
}

func testReplyIsNotAltered(t *testing.T) {
	t.Run("no header is invented", func(t *testing.T) {
		a := newBackend(t, answers(200, "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\nX-Twice: 1\r\nX-Twice: 2\r\nKeep-Alive: 5\r\n", "<html>"))
		f := start(t, nil, a)
		got := f.do("GET", "/key")
		want := http.Header{"Date": {"Thu, 01 Jan 1970 00:00:00 GMT"}, "X-Twice": {"1", "2"}, "Content-Length": {"6"}}
		if fmt.Sprint(got.header) != fmt.Sprint(want) {
			t.Errorf("header: got %v, want %v", got.header, want)
		}
	})
	t.Run("encoded bytes pass", func(t *testing.T) {
		a := newBackend(t, answers(200, "Content-Encoding: gzip\r\n", "\x1f\x8bnot really"))
		f := start(t, nil, a)
		if got := f.do("GET", "/key"); got.body != "\x1f\x8bnot really" || got.header.Get("Content-Encoding") != "gzip" {
			t.Errorf("got %+v, want the bytes as they were", got)
		}
	})
	t.Run("HEAD keeps the length", func(t *testing.T) {
		a := newBackend(t, answers(200, "Content-Type: x/y\r\n", strings.Repeat("v", 12345)))
		f := start(t, nil, a)
		for range 3 {
			got := f.do("HEAD", "/key")
			if got.status != 200 || got.body != "" || got.header.Get("Content-Length") != "12345" {
				t.Errorf("got %+v, want 200, no body, Content-Length 12345", got)
			}
		}
	})
	t.Run("large body", func(t *testing.T) {
		body := strings.Repeat("0123456789abcdef", 1<<16)
		a := newBackend(t, answers(200, "", body))
		f := start(t, nil, a)
		if got := f.do("GET", "/key"); got.body != body {
			t.Errorf("got %d bytes, want the %d sent", len(got.body), len(body))
		}
	})
	t.Run("pieces of a stream come at once", func(t *testing.T) {
		a := newBackend(t, nil)
		next := make(chan struct{})
		a.set(func(conn net.Conn, _ string) bool {
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
			<-next
			io.WriteString(conn, "3\r\ntwo\r\n0\r\n\r\n")
			return true
		})
		f := start(t, nil, a)
		resp, err := f.client.Get("http://" + f.Addr() + "/key")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		piece := make([]byte, 3)
		if _, err := io.ReadFull(resp.Body, piece); err != nil || string(piece) != "one" {
			t.Errorf("first piece: got %q, %v, want one", piece, err)
		}
		close(next)
		if rest, err := io.ReadAll(resp.Body); err != nil || string(rest) != "two" {
			t.Errorf("rest: got %q, %v, want two", rest, err)
		}
	})
}

// TestNothingIsSmuggled puts writes into bodies, in every way known to have worked with another front. The
// upstream must see no byte of them, and the client's connection must end where its framing is in doubt.
func TestNothingIsSmuggled(t *testing.T) {
	writes := map[string]string{
		"HTTP":      "PUT /count_smug HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nevil",
		"memcached": "set smug 0 0 4\r\nevil\r\n",
		"binary":    "\xc8\x10\x00\x00\x00\x04\x00\x00\x00\x04smugevil",
	}
	for _, method := range []string{"GET", "HEAD", "PATCH", "OPTIONS", "POST", "PUT", "DELETE", "FROB"} {
		for name, write := range writes {
			chunked := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(write), write)
			framings := map[string]string{
				"length":      fmt.Sprintf("HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", len(write), write),
				"chunked":     "HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked,
				"both":        fmt.Sprintf("HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n%s", len(write), chunked),
				"odd coding":  "HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n" + chunked,
				"two lengths": fmt.Sprintf("HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nContent-Length: %d\r\n\r\n%s", len(write), write),
				"expect":      fmt.Sprintf("HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n%s", len(write), write),
			}
			for framing, rest := range framings {
				t.Run(method+"/"+name+"/"+framing, func(t *testing.T) {
					a := newBackend(t, answers(200, "", "x"))
					f := start(t, nil, a)
					got := f.rawExchange(method + " /count_key " + rest)
					want := " 403 "
					if method == "GET" || method == "HEAD" {
						want = " 400 "
					}
					status, _, _ := strings.Cut(got, "\r\n")
					refusedByServer := framing == "odd coding" && strings.Contains(status, " 501 ") ||
						framing == "two lengths" && strings.Contains(status, " 400 ")
					if !refusedByServer && !strings.Contains(status, want) || strings.Count(got, "HTTP/1.1 ") != 1 {
						t.Errorf("got %q, want one reply with%s", got, want)
					}
					f.stop()
					if seen := a.requests(); len(seen) != 0 || len(a.stray) != 0 {
						t.Errorf("upstream saw %q, %q, want nothing", seen, a.stray)
					}
				})
			}
		}
	}
}

// HTTP/1.0 knows no Transfer-Encoding, and net/http drops the header there. What follows must not become a request.
func TestOldProtocolWithBody(t *testing.T) {
	a := newBackend(t, answers(200, "", "x"))
	f := start(t, nil, a)
	got := f.rawExchange("GET /a HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n" +
		"GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n")
	if strings.Count(got, "HTTP/1.") != 1 {
		t.Errorf("got %q, want one reply", got)
	}
	f.stop()
	for _, request := range a.requests() {
		if strings.Contains(request, "smuggled") || strings.Contains(request, "Transfer-Encoding") {
			t.Errorf("upstream saw %q", request)
		}
	}
}

// A host that cannot be sent on is the client's mistake, not a failure of each upstream in turn.
func TestBadHostDoesNotCount(t *testing.T) {
	a := newBackend(t, answers(200, "", "x"))
	b := newBackend(t, answers(200, "", "x"))
	f := start(t, nil, a, b)
	for _, host := range []string{"\xc3\xa4\xc3\xa4", "x\"y", "a b", "xn--\xff"} {
		got := f.rawExchange("GET http://" + host + "/a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
		if !strings.HasPrefix(got, "HTTP/1.1 400 ") {
			t.Errorf("host %q: got %q, want 400", host, got)
		}
	}
	if sa, sb := f.upstreamStatus(0), f.upstreamStatus(1); sa.Failures+sb.Failures != 0 {
		t.Errorf("failures: got %d and %d, want none", sa.Failures, sb.Failures)
	}
}

// An upstream that was restarted has closed the idle connections; no request may notice.
func testStaleConnections(t *testing.T) {
	a := newBackend(t, answers(200, "", "from a"))
	f := start(t, nil, a)
	for i := range 5 {
		if got := f.do("GET", "/key"); got.status != 200 {
			t.Fatalf("request %d: got %+v, want 200", i, got)
		}
		a.stop()
		a.restart()
	}
	if s := f.upstreamStatus(0); s.Failures != 0 {
		t.Errorf("failures: got %d, want 0", s.Failures)
	}
}
