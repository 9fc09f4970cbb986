package bench

import (
	"strings"
	"testing"

	"github.com/futago/futago/internal/tyrant"
)

var scanTests = []struct {
	name     string
	protocol string
	multiGet int
	stream   string
	want     counts // replies, errors, misses
	err      string // part of the error; "" for none
}{
	{"hit", Memcache, 1, "VALUE k 0 3\r\nabc\r\nEND\r\n", counts{replies: 1}, ""},
	{"hit with cas", Memcache, 1, "VALUE k 0 3 77\r\nabc\r\nEND\r\n", counts{replies: 1}, ""},
	{"miss", Memcache, 1, "END\r\n", counts{replies: 1, misses: 1}, ""},
	{"value that looks like a reply", Memcache, 1, "VALUE k 0 10\r\nEND\r\nEND\r\n\r\nEND\r\n", counts{replies: 1}, ""},
	{"empty value", Memcache, 1, "VALUE k 0 0\r\n\r\nEND\r\nSTORED\r\n", counts{replies: 2}, ""},
	{"two of three", Memcache, 3, "VALUE a 0 1\r\nx\r\nVALUE b 0 1\r\ny\r\nEND\r\n", counts{replies: 1, misses: 1}, ""},
	{"values are counted anew", Memcache, 2, "VALUE a 0 1\r\nx\r\nVALUE b 0 1\r\ny\r\nEND\r\nEND\r\n", counts{replies: 2, misses: 2}, ""},
	{"refused set", Memcache, 1, "SERVER_ERROR out of memory\r\nSTORED\r\n", counts{replies: 2, errors: 1}, ""},
	{"value without size", Memcache, 1, "VALUE k 0\r\n", counts{}, "has no size"},
	{"huge value", Memcache, 1, "VALUE k 0 99999999999999999999\r\n", counts{}, "bad size"},
	{"negative value", Memcache, 1, "VALUE k 0 -1\r\n", counts{}, "bad size"},
	{"endless line", Memcache, 1, strings.Repeat("x", maxReplyLine+1), counts{}, "longer than"},

	{"increment", Memcache, 1, "12\r\n0  \r\nNOT_FOUND\r\n", counts{replies: 3, misses: 1}, ""},
	{"no number", Memcache, 1, "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n", counts{replies: 1, errors: 1}, ""},

	{"hit", "meta mg", 1, "VA 3\r\nabc\r\n", counts{replies: 1}, ""},
	{"hit with flags", "meta mg", 1, "VA 3 s3 f0\r\nabc\r\n", counts{replies: 1}, ""},
	{"miss", "meta mg", 1, "EN\r\n", counts{replies: 1, misses: 1}, ""},
	{"value that looks like a reply", "meta mg", 1, "VA 8\r\nEN\r\nMN\r\n\r\nEN\r\n", counts{replies: 2, misses: 1}, ""},
	{"set and increment", "meta ms ma", 1, "HD\r\nHD\r\nHD\r\nNF\r\n", counts{replies: 4, misses: 1}, ""},
	{"refused set", "meta ms", 1, "SERVER_ERROR out of memory\r\nNS\r\n", counts{replies: 2, errors: 2}, ""},
	{"two of three", "meta mg", 3, "VA 1\r\nx\r\nVA 0\r\n\r\nMN\r\n", counts{replies: 1, misses: 1}, ""},
	{"values are counted anew", "meta mg", 2, "VA 1\r\nx\r\nVA 1\r\ny\r\nMN\r\nMN\r\n", counts{replies: 2, misses: 2}, ""},
	{"error in place of a value", "meta mg ms", 2, "VA 1\r\nx\r\nSERVER_ERROR busy\r\nMN\r\nHD\r\n", counts{replies: 2, errors: 1}, ""},
	{"unknown command", "meta mg ms", 2, "ERROR\r\nERROR\r\nERROR\r\nHD\r\n", counts{replies: 2, errors: 3}, ""},
	{"unasked", "meta", 1, "HD\r\n", counts{}, "more replies"},
	{"huge value", "meta mg", 1, "VA 99999999999\r\n", counts{}, "bad size"},
	{"no size", "meta mg", 1, "VA\r\n", counts{}, "bad size"},

	{"hit", Binary, 1, reply(0x00, 0, "\x00\x00\x00\x00", "", "abc"), counts{replies: 1}, ""},
	{"empty value", Binary, 1, reply(0x00, 0, "\x00\x00\x00\x00", "", "") + reply(0x01, 0, "", "", ""), counts{replies: 2}, ""},
	{"miss", Binary, 1, reply(0x00, 1, "", "", "Not found"), counts{replies: 1, misses: 1}, ""},
	{"set and increment", Binary, 1, reply(0x01, 0, "", "", "") + reply(0x05, 0, "", "", "\x00\x00\x00\x00\x00\x00\x00\x07"), counts{replies: 2}, ""},
	{"refused set", Binary, 1, reply(0x01, 0x82, "", "", "Out of memory") + reply(0x01, 1, "", "", ""), counts{replies: 2, errors: 2}, ""},
	{"two of three", Binary, 3, reply(0x0d, 0, "\x00\x00\x00\x00", "a", "x") + reply(0x0d, 0, "\x00\x00\x00\x00", "b", "") + reply(0x0a, 0, "", "", ""),
		counts{replies: 1, misses: 1}, ""},
	{"nothing of two", Binary, 2, reply(0x0a, 0, "", "", "") + reply(0x01, 0, "", "", ""), counts{replies: 2, misses: 2}, ""},
	{"error in place of a value", Binary, 2, reply(0x0d, 0x82, "", "", "") + reply(0x0a, 0, "", "", ""), counts{replies: 1, errors: 1, misses: 1}, ""},
	{"huge body", Binary, 1, "\x81\x00\x00\x00\x00\x00\x00\x00\xff\xff\xff\xff" + strings.Repeat("\x00", 12), counts{}, "4294967295 bytes"},
	{"other protocol", Binary, 1, "ERROR\r\n" + strings.Repeat("ERROR\r\n", 3), counts{}, "not memcached's binary protocol"},

	{"set", Redis, 1, "+OK\r\n", counts{replies: 1}, ""},
	{"get", Redis, 1, "$3\r\nabc\r\n", counts{replies: 1}, ""},
	{"get with line ends", Redis, 1, "$6\r\n+O\r\n\r\n\r\n+OK\r\n", counts{replies: 2}, ""},
	{"empty", Redis, 1, "$0\r\n\r\n", counts{replies: 1}, ""},
	{"miss", Redis, 1, "$-1\r\n", counts{replies: 1, misses: 1}, ""},
	{"mget", Redis, 3, "*3\r\n$1\r\na\r\n$-1\r\n$0\r\n\r\n+OK\r\n", counts{replies: 2, misses: 1}, ""},
	{"empty array", Redis, 3, "*0\r\n:1\r\n", counts{replies: 2}, ""},
	{"error", Redis, 1, "-ERR wrong\r\n", counts{replies: 1, errors: 1}, ""},
	{"nested array", Redis, 1, "*1\r\n*1\r\n", counts{}, "within an array"},
	{"other protocol", Redis, 1, "ERROR\r\n", counts{}, "not RESP"},
	{"empty line", Redis, 1, "\r\n", counts{}, "empty line"},
	{"wrong length", Redis, 1, "$1\r\nabc\r\n", counts{}, "after a value"},
	{"bad length", Redis, 1, "$x\r\n", counts{}, "bad size"},

	{"set and wait", redisWaiting, 1, "+OK\r\n:1\r\n+OK\r\n:2\r\n", counts{replies: 2}, ""},
	{"no replica", redisWaiting, 1, "+OK\r\n:0\r\n", counts{replies: 1, errors: 1}, ""},
	{"refused set before a wait", redisWaiting, 1, "-OOM\r\n:1\r\n", counts{replies: 1, errors: 1}, ""},
	{"bad number of replicas", redisWaiting, 1, "+OK\r\n:-1\r\n", counts{}, "bad size"},

	{"get", "tyrant get", 1, "\x00\x00\x00\x00\x03abc", counts{replies: 1}, ""},
	{"empty value", "tyrant get", 1, "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x01", counts{replies: 2}, ""},
	{"miss", "tyrant get", 1, "\x01\x00\x00\x00\x00\x01\x00\x01", counts{replies: 3, misses: 2}, ""},
	{"put", "tyrant put", 1, "\x00\x00", counts{replies: 2}, ""},
	{"refused put", "tyrant put", 1, "\x01\x00", counts{replies: 2, errors: 1}, ""},
	{"get and put", "tyrant get put", 1, "\x00\x00\x00\x00\x01\x01\x00\x01\x00", counts{replies: 4, misses: 1}, ""},
	{"mget", "tyrant mget", 2, tyrantMGetReply, counts{replies: 1}, ""},
	{"mget with a miss", "tyrant mget", 3, tyrantMGetReply, counts{replies: 1, misses: 1}, ""},
	{"mget of nothing there", "tyrant mget", 3, "\x00\x00\x00\x00\x00", counts{replies: 1, misses: 3}, ""},
	{"refused mget", "tyrant mget", 3, "\x01\x00\x00\x00\x00" + tyrantMGetReply, counts{replies: 2, errors: 1, misses: 4}, ""},
	{"mget with too many", "tyrant mget", 1, tyrantMGetReply, counts{}, "2 records for 1 keys"},
	{"addint", "tyrant addint get", 1, "\x00\x00\x00\x00\x07\x01\x01\x01", counts{replies: 4, errors: 1, misses: 2}, ""},
	{"fwmkeys", "tyrant fwmkeys put", 1, "\x00\x00\x00\x00\x03\x00\x00\x00\x01a\x00\x00\x00\x00\x00\x00\x00\x02bb\x00", counts{replies: 2}, ""},
	{"huge value", "tyrant get", 1, "\x00\xff\xff\xff\xff", counts{}, "4294967295 bytes"},
	{"huge key", "tyrant mget", 1, "\x00\x00\x00\x00\x01\xff\xff\xff\xff\x00\x00\x00\x00", counts{}, "4294967295 bytes"},
	{"other protocol", "tyrant get", 1, "ERROR\r\n", counts{}, "not Tokyo Tyrant's"},
	{"unasked", "tyrant", 1, "\x00", counts{}, "more replies"},

	{"get", HTTP, 1, "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 3\r\n\r\nabc", counts{replies: 1}, ""},
	{"folded name", HTTP, 1, "HTTP/1.1 200 OK\r\ncontent-LENGTH:0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", counts{replies: 2}, ""},
	{"miss", HTTP, 1, "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone", counts{replies: 1, misses: 1}, ""},
	{"no content", HTTP, 1, "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n", counts{replies: 2}, ""},
	{"interim", HTTP, 1, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n", counts{replies: 1}, ""},
	{"error", HTTP, 1, "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", counts{replies: 1, errors: 1}, ""},
	{"no length", HTTP, 1, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", counts{}, "no Content-Length"},
	{"old version", HTTP, 1, "HTTP/1.0 200 OK\r\n", counts{}, "not HTTP/1.1"},
	{"no status", HTTP, 1, "HTTP/1.1 2x0 OK\r\n", counts{}, "no status"},
	{"no colon", HTTP, 1, "HTTP/1.1 200 OK\r\nfoo\r\n", counts{}, "no colon"},
	{"bad length", HTTP, 1, "HTTP/1.1 200 OK\r\nContent-Length: 1,2\r\n\r\n", counts{}, "bad size"},
}

// redisWaiting is Redis with a WAIT for one replica after each SET.
const redisWaiting = "redis and wait"

// tyrantMGetReply has the records a, 1 byte, and b, none.
const tyrantMGetReply = "\x00\x00\x00\x00\x02\x00\x00\x00\x01\x00\x00\x00\x01ax\x00\x00\x00\x01\x00\x00\x00\x00b"

// testScanner knows redisWaiting, too, and Tyrant and Meta with the names of the requests that were sent over and over.
func testScanner(protocol string, multiGet int) scanner {
	words := strings.Fields(protocol)
	if len(words) > 0 && (words[0] == Tyrant || words[0] == Meta) {
		s := newScanner(&Config{Protocol: words[0], MultiGet: multiGet})
		for range manyRequests {
			for _, name := range words[1:] {
				if words[0] == Meta {
					s.sent([]byte(name + " k"))
				} else if command, ok := tyrantNames[name]; ok {
					s.sent(tyrant.AppendRequest(nil, &tyrant.Request{Command: command}))
				}
			}
		}
		return s
	}
	if protocol == redisWaiting {
		return newScanner(&Config{Protocol: Redis, MultiGet: multiGet, WaitReplicas: 1})
	}
	return newScanner(&Config{Protocol: protocol, MultiGet: multiGet})
}

// manyRequests is above what any test has replies for.
const manyRequests = 500

var tyrantNames = map[string]tyrant.Command{"get": tyrant.Get, "put": tyrant.Put, "mget": tyrant.MGet, "addint": tyrant.AddInt, "fwmkeys": tyrant.FwmKeys}

// scanIn feeds a stream in pieces of size bytes.
func scanIn(protocol string, multiGet int, stream []byte, size int) (counts, error) {
	s := testScanner(protocol, multiGet)
	var c counts
	for len(stream) > 0 {
		n := min(size, len(stream))
		replies, err := s.scan(stream[:n], &c)
		c.replies += uint64(replies)
		if err != nil {
			return c, err
		}
		stream = stream[n:]
	}
	return c, nil
}

func TestScan(t *testing.T) {
	for _, tt := range scanTests {
		t.Run(tt.protocol+"/"+tt.name, func(t *testing.T) {
			for size := 1; size <= len(tt.stream); size++ {
				if size > 100 && size < len(tt.stream) {
					continue // long streams: small pieces and whole
				}
				got, err := scanIn(tt.protocol, tt.multiGet, []byte(tt.stream), size)
				if tt.err != "" {
					if err == nil || !strings.Contains(err.Error(), tt.err) {
						t.Fatalf("pieces of %d: got error %v, want one with %q", size, err, tt.err)
					}
					continue
				}
				if err != nil {
					t.Fatalf("pieces of %d: %v", size, err)
				}
				if (got.errors > 0) != (got.firstError != "") {
					t.Errorf("pieces of %d: got %d errors and first error %q", size, got.errors, got.firstError)
				}
				got.firstError = ""
				if got != tt.want {
					t.Errorf("pieces of %d: got %+v want %+v", size, got, tt.want)
				}
			}
		})
	}
}

// TestScanTruncated cuts every stream at every byte: the replies before the cut count, and no more.
func TestScanTruncated(t *testing.T) {
	for _, tt := range scanTests {
		if tt.err != "" {
			continue
		}
		for cut := range len(tt.stream) {
			got, err := scanIn(tt.protocol, tt.multiGet, []byte(tt.stream[:cut]), cut+1)
			if err != nil {
				t.Errorf("%s/%s cut at %d: %v", tt.protocol, tt.name, cut, err)
			}
			if got.replies >= tt.want.replies {
				t.Errorf("%s/%s cut at %d: got %d replies, want fewer than %d", tt.protocol, tt.name, cut, got.replies, tt.want.replies)
			}
		}
	}
}

func TestScanDoesNotAllocate(t *testing.T) {
	for _, tt := range scanTests {
		if tt.err != "" || tt.want.errors > 0 {
			continue
		}
		s := testScanner(tt.protocol, tt.multiGet)
		stream := []byte(tt.stream)
		var c counts
		n := testing.AllocsPerRun(100, func() {
			if _, err := s.scan(stream, &c); err != nil {
				t.Fatal(err)
			}
		})
		// A miss keeps the status line; that buffer is taken once.
		if n != 0 {
			t.Errorf("%s/%s: scan allocates %v times, want 0", tt.protocol, tt.name, n)
		}
	}
}

// FuzzScan checks that a stream means the same in one piece and in many, and that memory stays bounded.
func FuzzScan(f *testing.F) {
	for _, tt := range scanTests {
		f.Add(tt.protocol, uint8(tt.multiGet), uint8(1), []byte(tt.stream))
		f.Add(tt.protocol, uint8(tt.multiGet), uint8(7), []byte(tt.stream))
	}
	f.Fuzz(func(t *testing.T, protocol string, multiGet, size uint8, stream []byte) {
		whole, errWhole := scanIn(protocol, int(multiGet), stream, len(stream)+1)
		pieces, errPieces := scanIn(protocol, int(multiGet), stream, int(size)+1)
		if whole != pieces {
			t.Errorf("whole: %+v, in pieces of %d: %+v", whole, int(size)+1, pieces)
		}
		if (errWhole == nil) != (errPieces == nil) {
			t.Errorf("whole: error %v, in pieces of %d: error %v", errWhole, int(size)+1, errPieces)
		}
		if whole.replies > uint64(len(stream)) {
			t.Errorf("got %d replies in %d bytes", whole.replies, len(stream))
		}
	})
}

// TestTyrantRequestsDoNotAllocate sends and answers batches, and then one request for each reply.
func TestTyrantRequestsDoNotAllocate(t *testing.T) {
	s := newScanner(&Config{Protocol: Tyrant, MultiGet: 1})
	get := tyrant.AppendRequest(nil, &tyrant.Request{Command: tyrant.Get, Key: []byte("k")})
	put := tyrant.AppendRequest(nil, &tyrant.Request{Command: tyrant.Put, Key: []byte("k")})
	reply := []byte("\x00\x00\x00\x00\x01v\x00")
	var c counts
	exchange := func() {
		for range 16 {
			s.sent(get)
			s.sent(put)
		}
		for range 100 {
			if n, err := s.scan(reply, &c); n != 2 || err != nil {
				t.Fatalf("got %d replies and error %v, want 2 and none", n, err)
			}
			s.sent(get)
			s.sent(put)
		}
		for range 16 {
			if n, err := s.scan(reply, &c); n != 2 || err != nil {
				t.Fatalf("got %d replies and error %v, want 2 and none", n, err)
			}
		}
	}
	if n := testing.AllocsPerRun(100, exchange); n != 0 {
		t.Errorf("requests and replies allocate %v times, want 0", n)
	}
	if _, err := s.scan(reply, &c); err == nil {
		t.Error("a reply to nothing: got no error")
	}
}
