package server

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// exchange is one request and what must come back. Header values of the answer: "-" means absent, "*" anything.
type exchange struct {
	name    string
	request string
	status  int
	headers map[string]string
	body    string
}

func get(path, headers string) string {
	return "GET " + path + " HTTP/1.1\r\nHost: h\r\n" + headers + "\r\n"
}

func put(path, headers, body string) string {
	return fmt.Sprintf("PUT %s HTTP/1.1\r\nHost: h\r\n%sContent-Length: %d\r\n\r\n%s", path, headers, len(body), body)
}

func plainRequest(method, path, headers string) string {
	return method + " " + path + " HTTP/1.1\r\nHost: h\r\n" + headers + "\r\n"
}

func TestHTTP(t *testing.T) {
	type h = map[string]string
	exchanges := []exchange{
		{"get nothing", get("/a", ""), 404, h{"Content-Type": "text/plain; charset=utf-8"}, "Not Found\n"},
		{"put", put("/a", "", "one"), 201, nil, "Created\n"},
		{"put again", put("/a", "Content-Type: text/x\r\n", "two"), 201, nil, "Created\n"},
		{"get", get("/a", ""), 200, h{"Content-Type": "text/x", "Cache-Control": "no-cache", "Etag": "*", "Date": "*", "Last-Modified": "-", "Content-Length": "3"}, "two"},
		{"head", plainRequest("HEAD", "/a", ""), 200, h{"Content-Length": "3", "Content-Type": "text/x"}, ""},
		{"head nothing", plainRequest("HEAD", "/none", ""), 404, nil, ""},
		{"query is no key", get("/a?x=y", ""), 200, nil, "two"},
		{"absolute form", get("http://other/a", ""), 200, nil, "two"},
		{"range", get("/a", "Range: bytes=1-\r\n"), 206, h{"Content-Range": "bytes 1-2/3", "Content-Type": "text/x"}, "wo"},
		{"range beyond", get("/a", "Range: bytes=9-\r\n"), 416, nil, "invalid range: failed to overlap\n"},
		{"odd key", put("//x%00%2F+y/../z", "", "odd"), 201, nil, "Created\n"},
		{"odd key back", get("/%2Fx%00/%2By/../z", ""), 200, h{"Content-Type": "application/octet-stream"}, "odd"},
		{"odd key is not cleaned", get("/z", ""), 404, nil, "Not Found\n"},
		{"no key", get("/", ""), 400, nil, "the path names no key\n"},
		{"long key", put("/"+strings.Repeat("%6b", 65535), "", "long"), 201, nil, "Created\n"},
		{"too long key", get("/"+strings.Repeat("k", 65536), ""), 414, nil, "the key is longer than 65535 bytes\n"},
		{"empty value", put("/empty", "", ""), 201, nil, "Created\n"},
		{"empty value back", get("/empty", ""), 200, h{"Content-Length": "0"}, ""},
		{"chunked", "PUT /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", 201, nil, "Created\n"},
		{"chunked back", get("/c", ""), 200, nil, "abcde"},
		{"no length", plainRequest("PUT", "/l", ""), 411, nil, "a length is required\n"},
		{"mode 1 creates", put("/m", "X-TT-PDMODE: 1\r\n", "first"), 201, nil, "Created\n"},
		{"mode 1 keeps", put("/m", "X-TT-PDMODE: 1\r\n", "second"), 409, nil, "Conflict\n"},
		{"mode 2 appends", put("/m", "X-TT-PDMODE: 2\r\n", "+"), 201, nil, "Created\n"},
		{"mode 2 appended", get("/m", ""), 200, nil, "first+"},
		{"mode 2 creates", put("/m2", "X-TT-PDMODE: 2\r\n", "new"), 201, nil, "Created\n"},
		{"mode 2 created", get("/m2", ""), 200, nil, "new"},
		{"if none match star", put("/m2", "If-None-Match: *\r\n", "x"), 412, nil, "the condition does not hold\n"},
		{"if none match star creates", put("/m3", "If-None-Match: *\r\n", "x"), 201, nil, "Created\n"},
		{"if match star", put("/m3", "If-Match: *\r\n", "y"), 201, nil, "Created\n"},
		{"if match star and nothing", put("/none", "If-Match: *\r\n", "y"), 412, nil, "the condition does not hold\n"},
		{"if match", put("/m3", "If-Match: \"1\", \"2\"\r\n", "z"), 412, nil, "the condition does not hold\n"},
		{"if match and keep", put("/m3", "If-Match: *\r\nX-TT-PDMODE: 1\r\n", "z"), 400, nil, "X-TT-PDMODE 1 and If-Match exclude each other\n"},
		{"delete if match", plainRequest("DELETE", "/m3", "If-Match: \"1\"\r\n"), 412, nil, "the condition does not hold\n"},
		{"unchanged", get("/m3", ""), 200, nil, "y"},
		{"delete", plainRequest("DELETE", "/m3", ""), 200, nil, "OK\n"},
		{"delete nothing", plainRequest("DELETE", "/m3", ""), 404, nil, "Not Found\n"},
		{"expires", put("/e", "Futago-Expires: 100\r\n", "e"), 201, nil, "Created\n"},
		{"expired at once", put("/e2", "Futago-Expires: -1\r\n", "e"), 201, nil, "Created\n"},
		{"expired", get("/e2", ""), 404, nil, "Not Found\n"},
		{"bad expires", put("/e3", "Futago-Expires: soon\r\n", "e"), 400, nil, "Futago-Expires: want seconds, or a Unix time\n"},
		{"long type", put("/t", "Content-Type: "+strings.Repeat("t", 256)+"\r\n", "e"), 400, nil, "Content-Type is longer than 255 bytes\n"},
		{"options", plainRequest("OPTIONS", "/a", ""), 200, h{"Allow": httpAllow, "Content-Length": "0"}, ""},
		{"options star", plainRequest("OPTIONS", "*", ""), 200, h{"Allow": httpAllow, "Content-Length": "0"}, ""},
		{"post without a function", plainRequest("POST", "/a", "Content-Length: 0\r\n"), 400, nil, "the header X-TT-XNAME or X-TT-MNAME must name a function\n"},
		{"too large", "PUT /big HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 10000000\r\n\r\n", 413, nil, "value is larger than max-value\n"},
	}
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		s := startServer(t, openStore(t, nil), func(c *Config) {
			c.MaxValue = 1 << 20
			carrier(c)
		})
		c := dial(t, s)
		for _, x := range exchanges {
			c.send(x.request)
			method, _, _ := strings.Cut(x.request, " ")
			resp, err := http.ReadResponse(c.r, &http.Request{Method: method})
			if err != nil {
				t.Fatalf("%s: %v", x.name, err)
			}
			body, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != x.status || string(body) != x.body {
				t.Errorf("%s: got %d %.80q and %v, want %d %q", x.name, resp.StatusCode, body, err, x.status, x.body)
			}
			for name, want := range x.headers {
				got, ok := resp.Header[name]
				if want == "-" && ok || want == "*" && !ok || want != "-" && want != "*" && strings.Join(got, ",") != want {
					t.Errorf("%s: header %s: got %q, want %q", x.name, name, got, want)
				}
			}
		}
	})
}

// roundTrip sends one request and returns the status, one header and the body.
func (c *client) roundTrip(request, header string) (status int, value, body string) {
	c.t.Helper()
	c.send(request)
	method, _, _ := strings.Cut(request, " ")
	resp, err := http.ReadResponse(c.r, &http.Request{Method: method})
	if err != nil {
		c.t.Fatalf("%.60q: %v", request, err)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatalf("%.60q: read the body: %v", request, err)
	}
	return resp.StatusCode, resp.Header.Get(header), string(b)
}

func TestHTTPEntityTags(t *testing.T) {
	s := startServer(t, openStore(t, nil), nil)
	c := dial(t, s)
	c.roundTrip(put("/k", "Futago-Expires: 100\r\n", "one"), "")
	_, age, _ := c.roundTrip(get("/k", ""), "Cache-Control")
	if age != "max-age=100" && age != "max-age=99" {
		t.Errorf("Cache-Control: got %q, want max-age=100 or 99", age)
	}
	_, tag, _ := c.roundTrip(get("/k", ""), "Etag")
	if status, again, body := c.roundTrip(get("/k", "If-None-Match: "+tag+"\r\n"), "Etag"); status != 304 || again != tag || body != "" {
		t.Errorf("get if none match %s: got %d %q %q, want 304", tag, status, again, body)
	}
	if status, _, _ := c.roundTrip(put("/k", "If-None-Match: W/"+tag+"\r\n", "x"), ""); status != 412 {
		t.Errorf("put if none match %s: got %d, want 412", tag, status)
	}
	if status, _, _ := c.roundTrip(put("/k", "If-Match: W/"+tag+"\r\n", "x"), ""); status != 412 {
		t.Errorf("put if match with a weak tag: got %d, want 412", status)
	}
	if status, _, _ := c.roundTrip(put("/k", `If-Match: "1", `+tag+"\r\n", "two"), ""); status != 201 {
		t.Errorf("put if match %s: got %d, want 201", tag, status)
	}
	if status, _, _ := c.roundTrip(plainRequest("DELETE", "/k", "If-Match: "+tag+"\r\n"), ""); status != 412 {
		t.Errorf("delete if match the old tag: got %d, want 412", status)
	}
	_, tag, _ = c.roundTrip(get("/k", ""), "Etag")
	if status, _, _ := c.roundTrip(plainRequest("DELETE", "/k", "If-Match: "+tag+"\r\n"), ""); status != 200 {
		t.Errorf("delete if match: got %d, want 200", status)
	}
	memcache := dial(t, s)
	memcache.send("set k 7 0 2\r\nmc\r\n")
	memcache.expect("STORED\r\n")
	if _, _, body := c.roundTrip(get("/k", ""), ""); body != "mc" {
		t.Errorf("get of what memcache stored: got %q, want mc", body)
	}
}

// Nothing in a body may run as a request, whatever the method.
func TestHTTPBodiesAreNotExecuted(t *testing.T) {
	evil := "set k 0 0 4\r\nevil\r\ndelete k\r\nflush_all\r\nDELETE /k HTTP/1.1\r\nHost: h\r\n\r\nPUT /k HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nevil"
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		s := startServer(t, openStore(t, nil), func(c *Config) {
			c.MaxValue = 100
			carrier(c)
		})
		dial(t, s).roundTrip(put("/k", "", "good"), "")
		for _, method := range []string{"GET", "HEAD", "OPTIONS", "DELETE", "POST", "PATCH", "PUT"} {
			for _, length := range []string{
				fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(evil), evil),
				fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(evil), evil),
				fmt.Sprintf("Content-Length: 5\r\nContent-Length: 6\r\n\r\n%s", evil),
				fmt.Sprintf("Content-Length: -1\r\n\r\n%s", evil),
				fmt.Sprintf("Transfer-Encoding: xchunked\r\n\r\n%s", evil),
				fmt.Sprintf("Content-Length: %d\r\nX-TT-PDMODE\r\n\r\n%s", len(evil), evil),
			} {
				c := dial(t, s)
				c.send(method + " /other HTTP/1.1\r\nHost: h\r\nConnection: close\r\n" + length)
				_, _ = io.Copy(io.Discard, c)
			}
		}
		if status, _, body := dial(t, s).roundTrip(get("/k", ""), ""); status != 200 || body != "good" {
			t.Errorf("after all: got %d %q, want 200 good", status, body)
		}
	})
}

// The protocol is fixed by the first byte.
func TestNoProtocolIsChanged(t *testing.T) {
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		s := startServer(t, openStore(t, nil), carrier)
		c := dial(t, s)
		c.send("ADD k\r\nset k 0 0 1\r\nx\r\n\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || resp.StatusCode != 400 {
			t.Errorf("upper-case line: got %v and %v, want 400", resp, err)
		}
		m := dial(t, s)
		m.send("version\r\nGET /k HTTP/1.1\r\nHost: h\r\n\r\nset k 0 0 1\r\nx\r\n")
		m.expect("VERSION 0.1.0\r\n")
		m.expectEnd()
		r := dial(t, s)
		r.send("\x16")
		r.expectEnd()
		y := dial(t, s)
		y.send("\xc8\x80version\r\n")
		y.expect("\x00\x00\x00\x00\x00\x00\x00\x00\x00")
		y.expectEnd()
		b := dial(t, s)
		b.send(noopPacket(1) + "set k 0 0 1\r\nx\r\nset k 0 0 1\r\nx\r\n")
		b.expect(noopReply(1))
		b.expectEnd()
		v := dial(t, s)
		v.send("get k\r\n")
		v.expect("END\r\n")
	})
}
