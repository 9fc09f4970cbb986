package server

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// forNetHTTP is a line that means nothing and is not plain.
const forNetHTTP = "Keep-Alive: timeout=5\r\n"

var dateLine = regexp.MustCompile(`Date: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\r\n`)

// Whoever answers, the bytes are the same.
func TestPlainHTTPAnswersAsNetHTTP(t *testing.T) {
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		s := startServer(t, openStore(t, nil), carrier)
		c := dial(t, s)
		for _, p := range []string{
			put("/a", "", "one"),
			put("/empty", "Content-Type: text/x; charset=utf-8\r\n", ""),
			put("/e%20%00", "Futago-Expires: 1000\r\n", "escaped"),
			put("/big", "", strings.Repeat("0123456789", 30_000)),
		} {
			c.send(p)
			readResponse(t, c.r, http.MethodPut)
		}
		for _, path := range []string{"/a", "/a?x=y", "/empty", "/e%20%00", "/E%20", "/none", "/big", "/", "/a/../b", "//a"} {
			for _, method := range []string{"GET", "HEAD"} {
				plain, theirs := dial(t, s), dial(t, s)
				plain.send(plainRequest(method, path, ""))
				theirs.send(plainRequest(method, path, forNetHTTP))
				got, want := readResponse(t, plain.r, method), readResponse(t, theirs.r, method)
				if got != want {
					t.Errorf("%s %s: got %.200q, net/http answers %.200q", method, path, got, want)
				}
			}
		}
	})
}

// readResponse reads the bytes of one response, without its date.
func readResponse(t testing.TB, r *bufio.Reader, method string) string {
	t.Helper()
	var head strings.Builder
	for !strings.HasSuffix(head.String(), "\r\n\r\n") {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("behind %.300q: %v", head.String(), err)
		}
		head.WriteString(line)
	}
	resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader(head.String())), &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	var body []byte
	if method != http.MethodHead {
		body = make([]byte, max(resp.ContentLength, 0))
	}
	if _, err := io.ReadFull(r, body); err != nil {
		t.Fatal(err)
	}
	text := head.String() + string(body)
	if n := len(dateLine.FindAllString(text, -1)); n != 1 {
		t.Fatalf("%d dates in %.300q", n, text)
	}
	return dateLine.ReplaceAllString(text, "")
}

// A connection goes to net/http in the midst of a pipeline, behind the answers to what came before, and nothing is lost or run twice.
func TestPlainHTTPLeavesInAPipeline(t *testing.T) {
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		s := startServer(t, openStore(t, nil), carrier)
		c := dial(t, s)
		go c.send(get("/k", "") + put("/k", "", "v") + get("/k", "") + get("/k", "If-None-Match: *\r\n") + get("/k", ""))
		for _, want := range []int{404, 201, 200, 304, 200} {
			resp, err := http.ReadResponse(c.r, nil)
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != want {
				t.Fatalf("got %d, want %d", resp.StatusCode, want)
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// However a request is cut, it is answered once.
func TestPlainHTTPCutAnywhere(t *testing.T) {
	s := startServer(t, openStore(t, nil), nil)
	c := dial(t, s)
	c.send(put("/k", "", "v"))
	readResponse(t, c.r, http.MethodPut)
	request := get("/k", "Accept: */*\r\n")
	for i := range request {
		c := dial(t, s)
		c.send(request[:i])
		c.send(request[i:] + request)
		for range 2 {
			if got := readResponse(t, c.r, http.MethodGet); !strings.HasSuffix(got, "\r\n\r\nv") {
				t.Fatalf("cut at %d: got %q", i, got)
			}
		}
	}
}

// A client that never reads gets no more than its share, and hinders nobody.
func TestPlainHTTPUnreadAnswersAreBounded(t *testing.T) {
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		s := startServer(t, openStore(t, nil), carrier)
		c := dial(t, s)
		const size = 900_000
		c.send(put("/k", "", strings.Repeat("v", size)))
		readResponse(t, c.r, http.MethodPut)
		greedy := dial(t, s)
		const n = 100
		go greedy.send(strings.Repeat(get("/k", ""), n))
		for range 20 {
			if got := readResponse(t, c.r2(get("/k", "")), http.MethodGet); len(got) < size {
				t.Fatalf("got %d bytes", len(got))
			}
			if held := s.pending.Load(); held > 4*s.cfg.MaxPending {
				t.Fatalf("%d bytes are held for a client that does not read", held)
			}
		}
		for range n {
			if got := readResponse(t, greedy.r, http.MethodGet); len(got) < size {
				t.Fatalf("got %d bytes", len(got))
			}
		}
	})
}

// r2 sends a request and returns the reader of its answer.
func (c *client) r2(request string) *bufio.Reader {
	c.t.Helper()
	c.send(request)
	return c.r
}

func TestPlainHTTPAllocatesNothing(t *testing.T) {
	cfg := testConfig(t, "127.0.0.1:0")
	cfg.Goroutines = true
	s, err := New(cfg, openStore(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	w := newWorker(s, new(totals))
	se := &session{peer: &peer{}, proto: isMemcache}
	se.dec.MaxValue = 1000
	in := []byte("set count_key1 0 0 3\r\nabc\r\n")
	if n := se.feed(&w, in); n != len(in) {
		t.Fatalf("the set: %d bytes are taken", n)
	}
	w.flush()
	web := &session{peer: &peer{}, proto: isHTTP}
	requests := []byte(get("/count_key1", "Accept: */*\r\nUser-Agent: x\r\n") + plainRequest("HEAD", "/count%5Fkey1", "") + get("/none", ""))
	run := func() {
		if n := web.feed(&w, requests); n != len(requests) || web.leaving {
			t.Fatalf("%d of %d bytes are taken", n, len(requests))
		}
		web.out, web.sent = web.out[:0], 0
	}
	run()
	if n := testing.AllocsPerRun(200, run); n != 0 {
		t.Errorf("got %v allocations for three requests, want none", n)
	}
}

func TestPlainHTTPCounts(t *testing.T) {
	s := startServer(t, openStore(t, nil), nil)
	c := dial(t, s)
	c.send(get("/none", "") + plainRequest("HEAD", "/none", ""))
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		readResponse(t, c.r, method)
	}
	const want = "gets 1, heads 1, keys 2, misses 2, hits 0"
	eventually(t, want, func() bool { // a loop hands its counts on behind the replies
		n := s.sum()
		return want == fmt.Sprintf("gets %d, heads %d, keys %d, misses %d, hits %d", n[httpGet], n[httpHead], n[cmdGet], n[getMisses], n[getHits])
	})
}
