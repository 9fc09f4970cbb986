package httphead

import (
	"bufio"
	"bytes"
	"net/http"
	"strings"
	"testing"
)

var replies = []struct {
	name, in string
	toHead   bool
	verdict  Verdict
	want     Reply // of a plain one
	rest     string
}{
	{"value", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", false, Plain, reply(200, 3, "", "Content-Length: 3\r\n"), "abc"},
	{"no phrase", "HTTP/1.1 404\r\ncontent-LENGTH:0 \r\n\r\n", false, Plain, reply(404, 0, "", "content-LENGTH:0 \r\n"), ""},
	{"long phrase", "HTTP/1.1 500 Not At All\r\nContent-Length: 0\r\n\r\n", false, Plain, reply(500, 0, "", "Content-Length: 0\r\n"), ""},
	{"to HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", true, Plain, reply(200, 0, "", "Content-Length: 3\r\n"), ""},
	{"to HEAD without a length", "HTTP/1.1 200 OK\r\nA: b\r\n\r\n", true, Plain, reply(200, 0, "", "A: b\r\n"), ""},
	{"204", "HTTP/1.1 204 No Content\r\n\r\n", false, Plain, reply(204, 0, "", ""), ""},
	{"304", "HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\n\r\nHTTP", false, Plain, reply(304, 0, "", "ETag: \"1\"\r\n"), "HTTP"},
	{"close", "HTTP/1.1 200 OK\r\nA: b\r\nConnection: Close\r\nContent-Length: 1\r\n\r\n", false, Plain,
		Reply{Status: 200, Length: 1, Close: true, Before: []byte("A: b\r\n"), After: []byte("Content-Length: 1\r\n")}, ""},
	{"keep-alive first", "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\nDate: x\r\n\r\n", false, Plain,
		Reply{Status: 200, Length: 1, Dated: true, After: []byte("Content-Length: 1\r\nDate: x\r\n")}, ""},

	{"nothing", "", false, Partial, Reply{}, ""},
	{"part of a line", "HTTP/1.1 20", false, Partial, Reply{}, ""},
	{"part of a head", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n", false, Partial, Reply{}, ""},

	{"memcached", "ERROR\r\n", false, Other, Reply{}, ""},
	{"HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\n", false, Other, Reply{}, ""},
	{"100", "HTTP/1.1 100 Continue\r\n\r\n", false, Other, Reply{}, ""},
	{"101", "HTTP/1.1 101 Switching Protocols\r\nContent-Length: 0\r\n\r\n", false, Other, Reply{}, ""},
	{"600", "HTTP/1.1 600 X\r\nContent-Length: 0\r\n\r\n", false, Other, Reply{}, ""},
	{"four digits", "HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n", false, Other, Reply{}, ""},
	{"two digits", "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n", false, Other, Reply{}, ""},
	{"no digits", "HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n", false, Other, Reply{}, ""},
	{"NUL in the phrase", "HTTP/1.1 200 \x00\r\nContent-Length: 0\r\n\r\n", false, Other, Reply{}, ""},
	{"no length", "HTTP/1.1 200 OK\r\n\r\n", false, Other, Reply{}, ""},
	{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n", false, Other, Reply{}, ""},
	{"two lengths in one", "HTTP/1.1 200 OK\r\nContent-Length: 3, 3\r\n\r\n", false, Other, Reply{}, ""},
	{"signed length", "HTTP/1.1 200 OK\r\nContent-Length: +3\r\n\r\n", false, Other, Reply{}, ""},
	{"empty length", "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n", false, Other, Reply{}, ""},
	{"long length", "HTTP/1.1 200 OK\r\nContent-Length: 0000000000000000003\r\n\r\n", false, Other, Reply{}, ""},
	{"chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", false, Other, Reply{}, ""},
	{"length and chunks", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\ntransfer-encoding: chunked\r\n\r\n", false, Other, Reply{}, ""},
	{"chunks to HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", true, Other, Reply{}, ""},
	{"204 with a length", "HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\nabc", false, Other, Reply{}, ""},
	{"304 with a length", "HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n", false, Other, Reply{}, ""},
	{"304 with a type", "HTTP/1.1 304 Not Modified\r\nContent-Type: a/b\r\n\r\n", false, Other, Reply{}, ""},
	{"names lines", "HTTP/1.1 200 OK\r\nConnection: X-Secret\r\nContent-Length: 0\r\n\r\n", false, Other, Reply{}, ""},
	{"two connections", "HTTP/1.1 200 OK\r\nConnection: close\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n", false, Other, Reply{}, ""},
	{"keep-alive", "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5\r\nContent-Length: 0\r\n\r\n", false, Other, Reply{}, ""},
	{"trailer", "HTTP/1.1 200 OK\r\nTrailer: A\r\nContent-Length: 0\r\n\r\n", false, Other, Reply{}, ""},
	{"upgrade", "HTTP/1.1 426 X\r\nUpgrade: h2c\r\nContent-Length: 0\r\n\r\n", false, Other, Reply{}, ""},
	{"proxy", "HTTP/1.1 407 X\r\nProxy-Authenticate: x\r\nContent-Length: 0\r\n\r\n", false, Other, Reply{}, ""},
	{"pragma", "HTTP/1.1 200 OK\r\nPragma: no-cache\r\nContent-Length: 0\r\n\r\n", false, Other, Reply{}, ""},
	{"no colon", "HTTP/1.1 200 OK\r\nno colon\r\n\r\n", false, Other, Reply{}, ""},
	{"space behind a name", "HTTP/1.1 200 OK\r\nContent-Length : 1\r\n\r\n", false, Other, Reply{}, ""},
	{"continued line", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n 2\r\n\r\n", false, Other, Reply{}, ""},
	{"line ends without CR", "HTTP/1.1 200 OK\nContent-Length: 1\n\n", false, Other, Reply{}, ""},
	{"line end in a value", "HTTP/1.1 200 OK\r\nA: b\rc\r\nContent-Length: 1\r\n\r\n", false, Other, Reply{}, ""},
	{"long line", "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("k", MaxSize), false, Other, Reply{}, ""},
}

func reply(status int, length int64, before, after string) Reply {
	return Reply{Status: status, Length: length, Before: []byte(before), After: []byte(after)}
}

func TestDecodeReply(t *testing.T) {
	for _, h := range replies {
		t.Run(h.name, func(t *testing.T) {
			var r Reply
			n, v := DecodeReply([]byte(h.in), h.toHead, &r)
			if v != h.verdict {
				t.Fatalf("got verdict %d, want %d", v, h.verdict)
			}
			if v != Plain {
				return
			}
			if w := &h.want; r.Status != w.Status || r.Length != w.Length || r.Close != w.Close || r.Dated != w.Dated ||
				!bytes.Equal(r.Before, w.Before) || !bytes.Equal(r.After, w.After) {
				t.Errorf("got %+v, want %+v", r, h.want)
			}
			if head := h.in[:n]; !strings.HasSuffix(head, "\r\n\r\n") {
				t.Errorf("the head ends with %q", head[max(0, n-4):])
			}
			for i := range h.in[:n] {
				if _, v := DecodeReply([]byte(h.in[:i]), h.toHead, &r); v != Partial {
					t.Fatalf("the first %d bytes: got verdict %d, want %d", i, v, Partial)
				}
			}
		})
	}
}

func TestDecodeReplyAllocatesNothing(t *testing.T) {
	var r Reply
	in := []byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nETag: \"1\"\r\nConnection: keep-alive\r\nContent-Length: 100\r\n\r\n")
	if n := testing.AllocsPerRun(100, func() { DecodeReply(in, false, &r) }); n != 0 {
		t.Errorf("got %v allocations, want none", n)
	}
}

// What is plain must mean the same to net/http: where the head ends, where the body ends, and what lines there are.
func FuzzDecodeReply(f *testing.F) {
	for _, h := range replies {
		f.Add([]byte(h.in), h.toHead)
	}
	f.Fuzz(func(t *testing.T, in []byte, toHead bool) {
		var r Reply
		n, v := DecodeReply(in, toHead, &r)
		if v != Plain {
			return
		}
		if n > MaxSize || r.Length < 0 {
			t.Fatalf("a head of %d bytes before %d more is plain", n, r.Length)
		}
		source := bufio.NewReaderSize(bytes.NewReader(in[:n]), n+16)
		request := &http.Request{Method: http.MethodGet}
		if toHead {
			request.Method = http.MethodHead
		}
		theirs, err := http.ReadResponse(source, request)
		if err != nil {
			t.Fatalf("net/http: %v", err)
		}
		if left := source.Buffered(); left != 0 {
			t.Fatalf("net/http leaves %d bytes", left)
		}
		bodiless := toHead || r.Status == 204 || r.Status == 304
		switch {
		case theirs.StatusCode != r.Status, theirs.Close != r.Close, !theirs.ProtoAtLeast(1, 1):
			t.Fatalf("net/http reads %+v, not %+v", theirs, r)
		case len(theirs.TransferEncoding) > 0, len(theirs.Trailer) > 0:
			t.Fatalf("net/http sees more than a plain reply in %q", in[:n])
		case !bodiless && theirs.ContentLength != r.Length, bodiless && (r.Length != 0 || theirs.Body != http.NoBody):
			t.Fatalf("body: got %d bytes, net/http %d", r.Length, theirs.ContentLength)
		case r.Dated != (theirs.Header["Date"] != nil):
			t.Fatalf("a date is there: got %v", r.Dated)
		}
		ours := make(http.Header)
		for _, lines := range [][]byte{r.Before, r.After} {
			for len(lines) > 0 {
				var name, value []byte
				name, value, lines = CutLine(lines)
				canonical := string(AppendName(nil, name))
				ours[canonical] = append(ours[canonical], string(value))
			}
		}
		delete(theirs.Header, "Connection")
		if len(ours) != len(theirs.Header) {
			t.Fatalf("got lines %q, net/http %q", ours, theirs.Header)
		}
		for name, values := range theirs.Header {
			if strings.Join(values, "\n") != strings.Join(ours[name], "\n") {
				t.Fatalf("%s: got %q, net/http %q", name, ours[name], values)
			}
		}
	})
}
