package httphead

import (
	"bufio"
	"bytes"
	"net/http"
	"strings"
	"testing"
)

var heads = []struct {
	name, in string
	verdict  Verdict
	want     Request // of a plain one
	rest     string  // behind it
}{
	{"get", "GET /k HTTP/1.1\r\nHost: h\r\n\r\n", Plain, req(false, "/k", "h", "Host: h\r\n", 0), ""},
	{"head", "HEAD /k?a=b HTTP/1.1\r\nhOST:\t h:80 \r\n\r\n", Plain, req(true, "/k?a=b", "h:80", "hOST:\t h:80 \r\n", 0), ""},
	{"escapes", "GET /%2f%00 HTTP/1.1\r\nHost: h\r\n\r\nGET", Plain, req(false, "/%2f%00", "h", "Host: h\r\n", 0), "GET"},
	{"usual lines", "GET / HTTP/1.1\r\nHost: h\r\nConnection: Keep-Alive\r\nAccept: */*\r\nX-A:\r\n\r\n", Plain,
		req(false, "/", "h", "Host: h\r\nConnection: Keep-Alive\r\nAccept: */*\r\nX-A:\r\n", 0), ""},
	{"flags", "GET / HTTP/1.1\r\nRange: x\r\nAuthorization: y\r\nX-Forwarded-For: z\r\nX-Tt-Pdmode: 1\r\nHost: h\r\n\r\n", Plain,
		req(false, "/", "h", "Range: x\r\nAuthorization: y\r\nX-Forwarded-For: z\r\nX-Tt-Pdmode: 1\r\nHost: h\r\n", Conditional|Authorized|Forwarded|Tyrant), ""},
	{"condition", "GET / HTTP/1.1\r\nIF-None-Match: x\r\nHost: h\r\n\r\n", Plain,
		req(false, "/", "h", "IF-None-Match: x\r\nHost: h\r\n", Conditional), ""},

	{"nothing", "", Partial, Request{}, ""},
	{"part of a method", "HE", Partial, Request{}, ""},
	{"part of a line", "GET /k", Partial, Request{}, ""},
	{"part of a head", "GET /k HTTP/1.1\r\nHost: h\r\n\r", Partial, Request{}, ""},

	{"another method at its first byte", "P", Other, Request{}, ""},
	{"lower case", "get / HTTP/1.1\r\nHost: h\r\n\r\n", Other, Request{}, ""},
	{"post", "POST / HTTP/1.1\r\nHost: h\r\n\r\n", Other, Request{}, ""},
	{"HTTP/1.0", "GET / HTTP/1.0\r\nHost: h\r\n\r\n", Other, Request{}, ""},
	{"no version", "GET /\r\nHost: h\r\n\r\n", Other, Request{}, ""},
	{"no path", "GET  HTTP/1.1\r\nHost: h\r\n\r\n", Other, Request{}, ""},
	{"absolute form", "GET http://h/ HTTP/1.1\r\nHost: h\r\n\r\n", Other, Request{}, ""},
	{"space in the path", "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", Other, Request{}, ""},
	{"fragment", "GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n", Other, Request{}, ""},
	{"bad escape", "GET /%zz HTTP/1.1\r\nHost: h\r\n\r\n", Other, Request{}, ""},
	{"half an escape", "GET /%2 HTTP/1.1\r\nHost: h\r\n\r\n", Other, Request{}, ""},
	{"byte above ASCII", "GET /\xff HTTP/1.1\r\nHost: h\r\n\r\n", Other, Request{}, ""},
	{"no host", "GET / HTTP/1.1\r\n\r\n", Other, Request{}, ""},
	{"empty host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", Other, Request{}, ""},
	{"two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", Other, Request{}, ""},
	{"odd host", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", Other, Request{}, ""},
	{"line ends without CR", "GET / HTTP/1.1\nHost: h\n\n", Other, Request{}, ""},
	{"line end in a value", "GET / HTTP/1.1\r\nHost: h\r\nA: b\rc\r\n\r\n", Other, Request{}, ""},
	{"NUL in a value", "GET / HTTP/1.1\r\nHost: h\r\nA: \x00\r\n\r\n", Other, Request{}, ""},
	{"continued line", "GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n c\r\n\r\n", Other, Request{}, ""},
	{"no colon", "GET / HTTP/1.1\r\nHost: h\r\nA\r\n\r\n", Other, Request{}, ""},
	{"no name", "GET / HTTP/1.1\r\nHost: h\r\n: b\r\n\r\n", Other, Request{}, ""},
	{"space behind a name", "GET / HTTP/1.1\r\nHost: h\r\nContent-Length : 1\r\n\r\n", Other, Request{}, ""},
	{"length", "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", Other, Request{}, ""},
	{"chunks", "GET / HTTP/1.1\r\nHost: h\r\ntransfer-encoding: chunked\r\n\r\n", Other, Request{}, ""},
	{"expectation", "GET / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n\r\n", Other, Request{}, ""},
	{"upgrade", "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: h2c\r\n\r\n", Other, Request{}, ""},
	{"close", "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", Other, Request{}, ""},
	{"named by Connection", "GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, x\r\n\r\n", Other, Request{}, ""},
	{"proxy", "GET / HTTP/1.1\r\nHost: h\r\nProxy-Authorization: x\r\n\r\n", Other, Request{}, ""},
	{"long line", "GET /" + strings.Repeat("k", MaxSize), Other, Request{}, ""},
	{"many lines", "GET / HTTP/1.1\r\nHost: h\r\n" + strings.Repeat("A: b\r\n", MaxSize/6) + "\r\n", Other, Request{}, ""},
}

func req(head bool, target, host, fields string, f Flags) Request {
	return Request{head, []byte(target), []byte(host), []byte(fields), f}
}

func TestDecode(t *testing.T) {
	for _, h := range heads {
		t.Run(h.name, func(t *testing.T) {
			var r Request
			n, v := Decode([]byte(h.in), &r)
			if v != h.verdict {
				t.Fatalf("got verdict %d, want %d", v, h.verdict)
			}
			if v != Plain {
				return
			}
			if rest := h.in[n:]; rest != h.rest {
				t.Errorf("behind the head: got %q, want %q", rest, h.rest)
			}
			if !equal(&r, &h.want) {
				t.Errorf("got %+v, want %+v", r, h.want)
			}
			for i := range h.in[:n] {
				if _, v := Decode([]byte(h.in[:i]), &r); v != Partial {
					t.Fatalf("the first %d bytes: got verdict %d, want %d", i, v, Partial)
				}
			}
		})
	}
}

func equal(a, b *Request) bool {
	return a.Head == b.Head && a.Flags == b.Flags &&
		bytes.Equal(a.Target, b.Target) && bytes.Equal(a.Host, b.Host) && bytes.Equal(a.Fields, b.Fields)
}

func TestDecodeAllocatesNothing(t *testing.T) {
	var r Request
	in := []byte("GET /count_key1?x HTTP/1.1\r\nHost: h\r\nUser-Agent: u\r\nAccept: */*\r\nIf-None-Match: \"1\"\r\n\r\n")
	if n := testing.AllocsPerRun(100, func() { Decode(in, &r) }); n != 0 {
		t.Errorf("got %v allocations, want none", n)
	}
}

// What is plain must mean the same to net/http, which ends the head at the same byte.
func FuzzDecode(f *testing.F) {
	for _, h := range heads {
		f.Add([]byte(h.in))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var r Request
		n, v := Decode(in, &r)
		if v != Plain {
			return
		}
		if n > MaxSize {
			t.Fatalf("a head of %d bytes is plain", n)
		}
		source := bufio.NewReaderSize(bytes.NewReader(in[:n]), n+16)
		theirs, err := http.ReadRequest(source)
		if err != nil {
			t.Fatalf("net/http: %v", err)
		}
		if left := source.Buffered(); left != 0 {
			t.Fatalf("net/http leaves %d bytes", left)
		}
		method := http.MethodGet
		if r.Head {
			method = http.MethodHead
		}
		conditional := false
		for name := range theirs.Header {
			conditional = conditional || name == "Range" || strings.HasPrefix(name, "If-")
		}
		switch {
		case theirs.Method != method, theirs.RequestURI != string(r.Target), theirs.Host != string(r.Host), !theirs.ProtoAtLeast(1, 1):
			t.Fatalf("net/http reads %s %s of %s, not %+v", theirs.Method, theirs.RequestURI, theirs.Host, r)
		case theirs.ContentLength != 0, len(theirs.TransferEncoding) > 0, theirs.Close, len(theirs.Trailer) > 0, theirs.Header.Get("Expect") != "":
			t.Fatalf("net/http sees more than a plain request in %q", in[:n])
		case conditional != (r.Flags&Conditional != 0):
			t.Fatalf("conditional: got %v, want %v", !conditional, conditional)
		case (theirs.Header.Get("Authorization") != "") && r.Flags&Authorized == 0:
			t.Fatal("an authorization is not seen")
		}
	})
}

func TestGlance(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "GET": "", "GET /": "", "GET / HTTP/1.1\r\n": "", "GET /key HTTP/1.1\r\n": "key", "PUT /a%20b/c?d=1 HTTP/1.1\r\n": "a%20b/c", "HEAD /key\r\n": "key",
		"GET /" + strings.Repeat("k", 1000) + " HTTP/1.1\r\n": "", "GET http://host/key HTTP/1.1\r\n": "",
	} {
		if got := Glance([]byte(in)); string(got) != want {
			t.Errorf("glance at %.40q: got %q, want %q", in, got, want)
		}
	}
}
