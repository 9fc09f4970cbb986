package gateway

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// Everything that concerns what becomes of a request holds on both ways.
func TestBothWays(t *testing.T) {
	for _, way := range []string{"plain", netWay} {
		for name, test := range map[string]func(*testing.T){
			"rules": testRulesOverHTTP, "retry": testRetry, "passed through": testPassedThrough, "cut in the body": testCutInTheBody,
			"all fail": testAllFail, "back at once": testBackAtOnceWhenAllWereOut, "client gone": testClientGoneDoesNotCount,
			"reply": testReplyIsNotAltered, "stale connections": testStaleConnections, "user": testUpstreamUser, "reload": testReload,
			"shutdown": testShutdown, "unix socket": testUpstreamAtUnixSocket,
		} {
			t.Run(way+"/"+name, test)
		}
	}
}

// netWay in the name of a test makes its client send what is not plain.
const netWay = "net-http"

// wayTransport adds a line that changes nothing, and is not plain.
type wayTransport struct{ *http.Transport }

func (w wayTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("TE", "trailers")
	return w.Transport.RoundTrip(r)
}

// wayReplies are what an upstream may say, plain and not. BODY is left out for HEAD.
var wayReplies = []struct {
	head, body string
	ends       bool
}{
	{"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", "body", false},
	{"HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\ncontent-type:  text/x  \r\nX-Twice: 1\r\nConnection: keep-alive\r\nx-twice: 2\r\nContent-Length: 4\r\nETag: \"1\"\r\n\r\n", "body", false},
	{"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\n", "body", true},
	{"HTTP/1.1 404 Nobody Knows\r\nContent-Length: 0\r\n\r\n", "", false},
	{"HTTP/1.1 500\r\nContent-Length: 1\r\n\r\n", "x", false},
	{"HTTP/1.1 299 Odd\r\nContent-Length: 1\r\n\r\n", "x", false},
	{"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-0/9\r\nContent-Length: 1\r\n\r\n", "x", false},
	{"HTTP/1.1 204 No Content\r\nX: 1\r\n\r\n", "", false},
	{"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", "", false},
	{"HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\n\r\n", "", false},
	{"HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\nContent-Type: a/b\r\nContent-Length: 7\r\n\r\n", "", false},
	{"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", strings.Repeat("0123456789", 10000), false},
	{"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n", "abc", false},
	{"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5\r\nContent-Length: 3\r\n\r\n", "abc", false},
	{"HTTP/1.1 200 OK\r\nConnection: X-Secret\r\nX-Secret: 1\r\nContent-Length: 3\r\n\r\n", "abc", false},
	{"HTTP/1.1 200 OK\r\nPragma: no-cache\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 3\r\n\r\n", "abc", false},
	{"HTTP/1.1 200 OK\r\nX-Bytes: \xc3\xa4\r\nContent-Length: 3\r\n\r\n", "abc", false},
	{"HTTP/1.1 200 OK\r\nX-Long: " + strings.Repeat("x", 10000) + "\r\nContent-Length: 3\r\n\r\n", "abc", false},
	{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\n\r\n", false},
	{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-End\r\n\r\n", "1\r\na\r\n0\r\nX-End: 1\r\n\r\n", false},
	{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", "0\r\n\r\n", false},
	{"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\n\r\n", "until the end", true},
	{"HTTP/1.0 200 OK\r\n\r\n", "until the end", true},
	{"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\n", "old", true},
	{"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\n", "old", false},
	{"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "abc", false},
	{"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "abc", false},
	{"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 2\r\n\r\n", "no", false},
	{"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "", true},
	{"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "", true},
	{"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n", "", true},
	{"ERROR\r\n", "", true},
	{"", "", true},
}

var (
	wayTargets = []string{"/", "/a", "/a?b=c", "/a?", "/a%2Fb%20c?x=%41&&y", "/%63ount", "/a//b", "/../a", "/a/./b", "/a%00", "//a", "/a/", "/forbidden", "/a;b=c,d"}
	wayHosts   = []string{"h", "example.test:81", "[::1]:80", "127.0.0.1", "a_b", "h:", ":"}
	wayLines   = []string{
		"User-Agent: u", "user-agent:", "USER-AGENT: second", "Accept: */*", "accept:text/html", "X-Empty:", "x-odd_NAME-x9:  spaced out\t ",
		"X-TT-PDMODE: 1", "x-tt-xname: echo", "X-Ttx: kept", "X-Forwarded-For: 10.0.0.1", "x-forwarded-for: 10.0.0.2, 10.0.0.3", "Cookie: a=1", "Cookie: b=2",
		"Range: bytes=1-2", "If-None-Match: \"x\"", "Accept-Encoding: br", "Connection: keep-alive", "Connection: Keep-Alive", "Authorization: Basic Zm9vOmJhcg==",
		"authorization: x", "Pragma: no-cache", "Cache-Control: max-age=0", "Via: 1.1 x", "Forwarded: for=x", "Date: x", "Content-Type: a/b", "X-Quote: \"\\", "_: x", "1-a-B: x",
	}
)

// plainRequest returns a request that is mostly plain, without its last empty line.
func plainRequest(r *rand.Rand, reply int) (method, head string) {
	pick := func(from []string) string { return from[r.IntN(len(from))] }
	method = pick([]string{"GET", "GET", "HEAD"})
	lines := []string{"Host: " + pick(wayHosts), fmt.Sprint("X-Reply: ", reply)}
	for range r.IntN(8) {
		lines = append(lines, pick(wayLines))
	}
	r.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
	return method, method + " " + pick(wayTargets) + " HTTP/1.1\r\n" + strings.Join(lines, "\r\n") + "\r\n"
}

// wayResult is what one request came to on one way.
type wayResult struct {
	upstream []string // the requests there, each with its lines sorted
	status   string
	header   http.Header
	body     string
	unsized  bool
	err      string
}

// The plain path and net/http make the same of a request, upstream and for the client.
func TestWaysAreEqual(t *testing.T) {
	for name, user := range map[string]string{"with a user": "gate", "without": ""} {
		t.Run(name, func(t *testing.T) {
			a := newBackend(t, func(conn net.Conn, request string) bool {
				var n int
				_, after, _ := strings.Cut(request, "X-Reply: ")
				fmt.Sscan(after, &n)
				reply := wayReplies[n]
				io.WriteString(conn, reply.head)
				if strings.HasPrefix(request, "GET ") {
					io.WriteString(conn, reply.body)
				}
				return !reply.ends
			})
			f := start(t, func(cfg *Config) {
				cfg.User, cfg.Password, cfg.AllowPaths = user, "word", []string{"/a", "/count", "~/"}
			}, a)
			r := rand.New(rand.NewPCG(1, uint64(len(user))))
			plain := 0
			for i := range 20 * len(wayReplies) {
				reply := i % len(wayReplies)
				method, head := plainRequest(r, reply)
				byItself := f.way(a, method, head+"\r\n", func() {
					if f.plainConnections() == 1 {
						plain++
					}
				})
				byNet := f.way(a, method, head+"TE: trailers\r\n\r\n", func() {
					eventually(t, "the connection has left the plain path", func() bool { return f.plainConnections() == 0 })
				})
				if byItself.unsized || byNet.unsized { // then net/http decides by what it sees first
					byItself.header.Del("Content-Length")
					byNet.header.Del("Content-Length")
				}
				byItself.unsized, byNet.unsized = false, false
				if got, want := fmt.Sprintf("%+v", byItself), fmt.Sprintf("%+v", byNet); got != want {
					t.Fatalf("request %q, reply %q:\nplain    %s\nnet/http %s", head, wayReplies[reply].head, got, want)
				}
			}
			if total := 20 * len(wayReplies); plain < total/2 {
				t.Errorf("got %d plain requests of %d, want most", plain, total)
			}
		})
	}
}

// way sends one request on a connection of its own, and calls look while that is still open.
func (f *fixture) way(a *backend, method, request string, look func()) (result wayResult) {
	f.t.Helper()
	eventually(f.t, "the connection before is gone", func() bool { return f.plainConnections() == 0 })
	before := len(a.requests())
	c := f.dial()
	defer c.Close()
	c.send(request)
	resp, err := http.ReadResponse(c.r, &http.Request{Method: method})
	if err != nil {
		f.t.Fatalf("reply to %q: %v", request, err)
	}
	body, err := io.ReadAll(resp.Body)
	result = wayResult{
		status: resp.Status, header: resp.Header, body: string(body), unsized: resp.ContentLength < 0, err: fmt.Sprint(err, resp.Close),
	}
	if date := resp.Header.Get("Date"); !strings.Contains(date, "1970") {
		result.header.Set("Date", fmt.Sprint(len(date)))
	}
	for _, seen := range a.requests()[before:] {
		lines := strings.Split(strings.TrimSuffix(seen, "\r\n\r\n"), "\r\n")
		// Lines of one name keep their order.
		slices.SortStableFunc(lines[1:], func(a, b string) int {
			a, _, _ = strings.Cut(a, ":")
			b, _, _ = strings.Cut(b, ":")
			return strings.Compare(a, b)
		})
		result.upstream = append(result.upstream, strings.Join(lines, "\n"))
	}
	// An upstream that closes a kept connection without a word is asked once more on another.
	result.upstream = slices.Compact(result.upstream)
	look()
	return result
}
