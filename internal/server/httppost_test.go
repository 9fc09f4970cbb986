package server

import (
	"bytes"
	"context"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/futago/futago/internal/memcache"
	"github.com/futago/futago/internal/permit"
	"github.com/futago/futago/internal/tyrant"
)

func TestHTTPFunctions(t *testing.T) {
	multi := "--b\r\nContent-Disposition: form-data; name=\"k\"\r\n\r\nx&=\r\n--b\r\nContent-Disposition: form-data; name=\"v\"; filename=\"f\"\r\n\r\n\x00\xff%41\r\n--b--\r\n"
	script := func(_ context.Context, name string, key, value []byte, lock uint32) ([]byte, bool) {
		return []byte(name + "|" + string(key) + "|" + string(value) + "|" + string(rune('0'+lock))), name != "fails"
	}
	post := func(path, headers, body string) string {
		return strings.Replace(put(path, headers, body), "PUT", "POST", 1)
	}
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		s := startServer(t, openStore(t, nil), func(c *Config) { carrier(c); c.MaxValue, c.Script = 1<<20, script })
		c := dial(t, s)
		for _, x := range []struct {
			name, request string
			status        int
			header, value string
			body          string
		}{
			{"misc put", post("/", "X-TT-MNAME: put\r\n", "key=a%20b&value=1+2"), 200, "Content-Type", formType, ""},
			{"a field without a value", post("/ignored", "X-TT-MNAME: get\r\nContent-Type: application/x-www-form-urlencoded; charset=utf-8\r\n", "a%20b"), 500, "", "", "key not found\n"},
			{"misc get of a field", post("/", "X-TT-MNAME: get\r\n", "k=a%20b"), 200, "Content-Type", formType, "res1=1%202"},
			{"a form in parts", post("/", "X-TT-MNAME: put\r\nContent-Type: multipart/form-data; boundary=b\r\n", multi), 200, "Content-Type", formType, ""},
			{"two results", post("/", "X-TT-MNAME: getlist\r\n", "=x%26%3D&="), 200, "Content-Type", formType, "res1=x%26%3D&res2=%00%FF%2541"},
			{"what fails", post("/", "X-TT-MNAME: get\r\n", "k=none"), 500, "", "", "key not found\n"},
			{"what is unknown", post("/", "X-TT-MNAME: nosuch\r\n", ""), 500, "", "", "no such function\n"},
			{"a bad escape", post("/", "X-TT-MNAME: put\r\n", "a=%zz"), 400, "", "", errForm.Error() + "\n"},
			{"another type", post("/", "X-TT-MNAME: put\r\nContent-Type: application/json\r\n", "{}"), 400, "", "", errForm.Error() + "\n"},
			{"parts without an end", post("/", "X-TT-MNAME: put\r\nContent-Type: multipart/form-data; boundary=b\r\n", "--b\r\n\r\nx"), 400, "", "", errForm.Error() + "\n"},
			{"too large", "POST / HTTP/1.1\r\nHost: h\r\nX-TT-MNAME: put\r\nContent-Length: 10000000\r\nExpect: 100-continue\r\n\r\n", 413, "", "", "value is larger than max-value\n"},
		} {
			if x.name == "too large" {
				c = dial(t, s)
			}
			status, value, body := c.roundTrip(x.request, x.header)
			if status != x.status || value != x.value || body != x.body {
				t.Errorf("%s: got %d, %q, %q, want %d, %q, %q", x.name, status, value, body, x.status, x.value, x.body)
			}
		}
		c = dial(t, s)
		for request, want := range map[string]string{
			post("/the%20key", "X-TT-XNAME: echo\r\nX-TT-XOPTS: 2\r\n", "body"): "echo|the key|body|2", post("/", "X-TT-XNAME: echo\r\n", ""): "echo|||0",
		} {
			if status, kind, body := c.roundTrip(request, "Content-Type"); status != 200 || kind != defaultType || body != want {
				t.Errorf("%.60q: got %d %q %q, want %q", request, status, kind, body, want)
			}
		}
		if status, _, _ := c.roundTrip(post("/k", "X-TT-XNAME: fails\r\n", ""), ""); status != 500 {
			t.Errorf("a function that fails: %d", status)
		}
		tt := dial(t, s)
		tt.send(ask(tyrant.Request{Command: tyrant.Ext, Name: []byte("echo"), Key: []byte("k"), Value: []byte("v"), Options: 1}) +
			ask(tyrant.Request{Command: tyrant.Ext, Name: []byte("fails")}))
		tt.expect(from(`00 0000000a "echo|k|v|1" 01`))
	})
}

// Clients that do not read what a function has returned leave the turn to others.
func TestHTTPFunctionsTakeTurns(t *testing.T) {
	var called atomic.Int32
	const readers = 4
	s := startServer(t, openStore(t, nil), func(c *Config) {
		c.Script = func(context.Context, string, []byte, []byte, uint32) ([]byte, bool) {
			if called.Add(1) <= readers {
				return make([]byte, 32<<20), true
			}
			return []byte("r"), true
		}
	})
	var slow []*client
	for i := range readers {
		slow = append(slow, dial(t, s))
		slow[i].send(strings.Replace(put("/k", "X-TT-XNAME: f\r\n", ""), "PUT", "POST", 1))
		eventually(t, "it is called", func() bool { return called.Load() == int32(i+1) })
	}
	c := dial(t, s)
	c.send(ask(tyrant.Request{Command: tyrant.Ext, Name: []byte("f")}))
	c.expect(from(`00 00000001 "r"`))
	eventually(t, "what waits to be read is counted", func() bool { return s.pending.Load() >= readers*32<<20 })
	for _, c := range slow {
		c.Close()
	}
	eventually(t, "and no more when the clients have gone", func() bool { return s.pending.Load() < smallBuffer })
}

// A job that waits for another one leaves its turn to it.
func TestIdle(t *testing.T) {
	var started atomic.Pointer[Server]
	waiting, done := make(chan struct{}), make(chan struct{})
	s := startServer(t, openStore(t, nil), func(c *Config) {
		c.Script = func(ctx context.Context, name string, _, _ []byte, _ uint32) ([]byte, bool) {
			if name == "wakes" {
				close(done)
				return nil, false
			}
			started.Load().Idle(ctx, func() { waiting <- struct{}{}; <-done })
			return []byte("r"), true
		}
	})
	started.Store(s)
	var waiters []*client
	for range cap(s.turns) + 1 {
		c := dial(t, s)
		c.send(ask(tyrant.Request{Command: tyrant.Ext, Name: []byte("waits")}))
		<-waiting
		waiters = append(waiters, c)
	}
	c := dial(t, s)
	c.send(ask(tyrant.Request{Command: tyrant.Ext, Name: []byte("wakes")}))
	c.expect(from("01"))
	for _, c := range waiters {
		c.expect(from(`00 00000001 "r"`))
	}
	eventually(t, "all turns are given back", func() bool { return len(s.turns) == 0 })
}

func TestHTTPOptionsShowStat(t *testing.T) {
	s := startServer(t, openStore(t, nil), func(c *Config) { c.Node = 3 })
	c := dial(t, s)
	c.roundTrip(put("/a", "", "1"), "")
	for name, want := range map[string]string{"X-Tt-Rnum": "", "X-TT-RNUM": "1", "X-TT-SID": "3", "X-TT-VERSION": "1.1.41", "X-TT-BIGEND": "0", "Allow": httpAllow} {
		c.send(plainRequest("OPTIONS", "/", ""))
		got := ""
		for line := ""; line != "\r\n"; {
			var err error
			if line, err = c.r.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
			if value, ok := strings.CutPrefix(line, name+": "); ok {
				got = strings.TrimSpace(value)
			}
		}
		if got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

// A masked command is refused in every protocol.
func TestMaskInEveryProtocol(t *testing.T) {
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		mask, err := tyrant.ParseMask("allwrite,stat")
		if err != nil {
			t.Fatal(err)
		}
		s := startServer(t, openStore(t, nil), func(c *Config) { carrier(c); c.Mask = mask })
		text, web, binary := dial(t, s), dial(t, s), dial(t, s)
		text.send("set k 0 0 1\r\nx\r\nadd k 0 0 1 noreply\r\nx\r\nincr k 1\r\ndelete k\r\ngat 0 k\r\nflush_all\r\nms k 1\r\nx\r\nmd k\r\nma k N0\r\nmg k N0\r\nmg k v\r\nget k\r\nstats\r\nversion\r\nmn\r\n")
		text.expect(strings.Repeat(replyForbidden, 9) + "EN\r\nEND\r\n" + strings.Repeat(replyForbidden, 2) + "MN\r\n")
		for _, request := range []string{
			put("/k", "", "v"), plainRequest("DELETE", "/k", ""), strings.Replace(put("/", "X-TT-MNAME: put\r\n", "k=k&v=v"), "PUT", "POST", 1),
			strings.Replace(put("/", "X-TT-XNAME: f\r\n", ""), "PUT", "POST", 1),
		} {
			if status, _, body := web.roundTrip(request, ""); status != 403 || body != "Forbidden\n" {
				t.Errorf("%.40q: got %d %q", request, status, body)
			}
		}
		if status, allow, _ := web.roundTrip(plainRequest("OPTIONS", "/", ""), "Allow"); status != 200 || allow != "GET, HEAD, POST" {
			t.Errorf("options: %d %q", status, allow)
		}
		if status, _, _ := web.roundTrip(get("/k", ""), ""); status != 404 {
			t.Errorf("get: %d", status)
		}
		binary.send(setPacket(0x01, 1, "k", "v") + noopPacket(2))
		binary.expectReplies(`set 1 0x4 "`+permit.BinaryDenied+`"`, `noop 2 0x0 ""`)
	})
}

// A value too large deletes what is there, but not where storing is masked.
func TestMaskedValueTooLarge(t *testing.T) {
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		mask, err := tyrant.ParseMask("put")
		if err != nil {
			t.Fatal(err)
		}
		st := openStore(t, nil)
		fillStore(t, st, 1, "")
		s := startServer(t, st, func(c *Config) { carrier(c); c.Mask, c.MaxValue = mask, 4 })
		text, binary := dial(t, s), dial(t, s)
		text.send("set 0 0 0 5\r\nlarge\r\nms 0 5\r\nlarge\r\nget 0\r\n")
		text.expect(replyForbidden + replyForbidden + "VALUE 0 0 1\r\n0\r\nEND\r\n")
		binary.send(setPacket(memcache.OpcodeSet, 1, "0", "large") + keyPacket(memcache.OpcodeGet, 2, "0"))
		binary.expectReplies(`set 1 0x3 "Too large."`, `get 2 0x0 "0"`)
	})
}

func FuzzFormFields(f *testing.F) {
	f.Add("", []byte("a=1&b=%20"))
	f.Add("multipart/form-data; boundary=b", []byte("--b\r\n\r\nx\r\n--b--\r\n"))
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		list, err := formFields(contentType, body)
		if err != nil {
			return
		}
		size := 0
		for _, b := range list {
			size += len(b)
		}
		if size > len(body) {
			t.Errorf("%d bytes of %d", size, len(body))
		}
		var again []byte
		for i, b := range list {
			if i > 0 {
				again = append(again, '&')
			}
			again = appendEscaped(append(again, '='), b)
		}
		if len(list) == 0 || len(list) == 1 && len(list[0]) == 0 {
			return
		}
		if back, err := formFields("", again); err != nil || !reflect.DeepEqual(back, list) && !bytes.Equal(bytes.Join(back, nil), bytes.Join(list, nil)) {
			t.Errorf("%q comes back as %q, %v", list, back, err)
		}
	})
}
