package server

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/futago/futago/internal/store"
	"github.com/futago/futago/internal/tyrant"
)

// ask is a request in Tokyo Tyrant's protocol.
func ask(r tyrant.Request) string { return string(tyrant.AppendRequest(nil, &r)) }

func list(items ...string) (all [][]byte) {
	for _, i := range items {
		all = append(all, []byte(i))
	}
	return all
}

// from is the bytes of hexadecimal digits; blanks are ignored, and what stands in quotes is text.
func from(text string) string {
	var out strings.Builder
	for i, part := range strings.Split(text, `"`) {
		if i%2 == 1 {
			out.WriteString(part)
			continue
		}
		b, err := hex.DecodeString(strings.Join(strings.Fields(part), ""))
		if err != nil {
			panic(err)
		}
		out.Write(b)
	}
	return out.String()
}

// tyrantDialogue has every command that touches records, with the original's reply when it runs after those before it. What is not the
// original's is said.
var tyrantDialogue = []struct{ name, request, reply string }{
	{"put", `c8 10 00000001 00000001 "kv"`, "00"},
	{"get", `c8 30 00000001 "k"`, `00 00000001 "v"`},
	{"get of nothing", `c8 30 00000002 "no"`, "01"},
	{"putkeep", `c8 11 00000001 00000001 "kx"`, "01"},
	{"putcat", `c8 12 00000001 00000002 "kab"`, "00"},
	{"putcat creates", `c8 12 00000002 00000001 "kcc"`, "00"},
	{"putshl", `c8 13 00000001 00000001 00000002 "kc"`, "00"},
	{"putshl creates whole", `c8 13 00000001 00000005 00000002 "s12345"`, "00"},
	{"putnr and what sees it", `c8 18 00000001 00000002 "rnr" c8 30 00000001 "r"`, `00 00000002 "nr"`},
	{"mget", `c8 31 00000004 00000001 "s" 00000002 "no" 00000001 "k" 00000001 "k"`, `00 00000003 00000001 00000005 "s12345" 00000001 00000002 "kbc" 00000001 00000002 "kbc"`},
	{"mget of none", `c8 31 00000000`, `00 00000000`},
	{"vsiz", `c8 38 00000001 "s"`, "00 00000005"},
	{"vsiz of nothing", `c8 38 00000002 "no"`, "01"},
	{"out", `c8 20 00000001 "s"`, "00"},
	{"out of nothing", `c8 20 00000001 "s"`, "01"},
	{"fwmkeys", `c8 58 00000001 ffffffff "k"`, `00 00000002 00000001 "k" 00000002 "kc"`},
	{"fwmkeys of none", `c8 58 00000001 00000000 "k"`, `00 00000000`},
	{"addint", `c8 60 00000001 00000005 "i" c8 60 00000001 fffffffe "i" c8 30 00000001 "i"`, "00 00000005 00 00000003 00 00000004 03000000"},
	{"addint to a value of another size", `c8 60 00000001 00000005 "k"`, "01"},
	{"adddouble", `c8 61 00000001 0000000000000000 ffffff516137d880 "d"`, "00 0000000000000000 ffffff516137d880"},
	{"adddouble to a value of another size", `c8 61 00000001 0000000000000001 0000000000000000 "k"`, "01"},
	{"iterinit", `c8 50`, "00"},
	{"rnum", `c8 80`, "00 0000000000000005"},
	{"ext without scripts", `c8 68 00000001 00000000 00000001 00000001 "fkv"`, "01"},
	{"sync", `c8 70`, "00"},
	{"optimize", `c8 71 00000000`, "00"},
	{"copy is not allowed", `c8 73 00000001 "@"`, "01"},
	{"restore is not allowed", `c8 74 00000001 0000000000000000 00000000 "x"`, "01"},
	{"setmst is not allowed", `c8 78 00000001 00000001 0000000000000000 00000000 "x"`, "01"},
	{"misc put", `c8 90 00000003 00000000 00000002 "put" 00000001 "m" 00000001 "1"`, "00 00000000"},
	{"misc without a log", `c8 90 00000003 00000001 00000002 "put" 00000001 "m" 00000001 "2"`, "00 00000000"},
	{"misc get", `c8 90 00000003 00000000 00000001 "get" 00000001 "m"`, `00 00000001 00000001 "2"`},
	{"misc getlist", `c8 90 00000007 00000000 00000002 "getlist" 00000002 "no" 00000001 "m"`, `00 00000002 00000001 "m" 00000001 "2"`},
	{"misc range", `c8 90 00000005 00000000 00000003 "range" 00000001 "k" 00000001 "1" 00000001 "l"`, `00 00000002 00000001 "k" 00000002 "bc"`},
	{"misc that is unknown", `c8 90 00000006 00000000 00000000 "nosuch"`, "01 00000000"},
	{"misc with too few arguments", `c8 90 00000003 00000000 00000001 "put" 00000001 "m"`, "01 00000000"},
	{"an empty key is refused, other than there", `c8 10 00000000 00000001 "v"`, "01"},
	{"a key that is too long is refused", `c8 30 00010000 "` + strings.Repeat("k", 1<<16) + `"`, "01"},
	{"vanish", `c8 72`, "00"},
	{"rnum and size behind it", `c8 80 c8 81`, "00 0000000000000000 00 0000000000000000"},
	{"iternext of none", `c8 50 c8 51`, "00 01"},
}

// All of it in one piece, byte by byte, and request by request: the same replies in the same order.
func TestTyrant(t *testing.T) {
	var requests, replies strings.Builder
	for _, d := range tyrantDialogue {
		requests.WriteString(from(d.request))
		replies.WriteString(from(d.reply))
	}
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		for _, way := range []string{"one by one", "at once", "in bytes"} {
			s := startServer(t, openStore(t, nil), carrier)
			c := dial(t, s)
			switch way {
			case "one by one":
				for _, d := range tyrantDialogue {
					t.Log(d.name)
					c.send(from(d.request))
					c.expect(from(d.reply))
				}
			case "at once":
				c.send(requests.String())
				c.expect(replies.String())
			case "in bytes":
				go func() {
					for i := range len(requests.String()) {
						if _, err := io.WriteString(c.Conn, requests.String()[i:i+1]); err != nil {
							return
						}
					}
				}()
				c.expect(replies.String())
			}
		}
	})
}

// What is no request ends the connection without a reply, after the replies to what stood in front.
func TestTyrantBadRequests(t *testing.T) {
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		s := startServer(t, openStore(t, nil), func(c *Config) {
			carrier(c)
			c.MaxValue = 1 << 10
		})
		for name, bad := range map[string]string{
			"unknown command": "c8 99", "another protocol": `"get k"`, "negative width": `c8 13 00000001 00000001 ffffffff "kv"`,
			"negative port": `c8 78 00000001 ffffffff 0000000000000000 00000000 "x"`, "gigantic key": "c8 30 7fffffff",
			"gigantic list": "c8 31 7fffffff", "long name": "c8 90 00000400 00000000 00000000",
		} {
			c := dial(t, s)
			c.send(from("c8 80" + bad))
			c.expect(from("00 0000000000000000"))
			if rest, _ := io.ReadAll(c.r); len(rest) > 0 {
				t.Errorf("%s: got %q", name, rest)
			}
		}
		c := dial(t, s)
		c.send(ask(tyrant.Request{Command: tyrant.Put, Key: []byte("k"), Value: make([]byte, 2<<10)}) +
			ask(tyrant.Request{Command: tyrant.Misc, Name: []byte("put"), Args: [][]byte{[]byte("k"), make([]byte, 2<<20)}}) +
			ask(tyrant.Request{Command: tyrant.PutNR, Key: []byte("k"), Value: make([]byte, 2<<10)}) + from("c8 80"))
		c.expect(from("01 01 00000000 00 0000000000000000"))
	})
}

// What one protocol stores the others read.
func TestTyrantBesideOtherProtocols(t *testing.T) {
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		testTyrantBesideOtherProtocols(t, startServer(t, openStore(t, nil), carrier))
	})
}

func testTyrantBesideOtherProtocols(t *testing.T, s *Server) {
	tt, text := dial(t, s), dial(t, s)
	tt.send(from(`c8 10 00000001 00000002 "k41"`))
	tt.expect("\x00")
	text.send("get k\r\nincr k 1\r\nset m 7 0 3\r\nabc\r\n")
	text.expect("VALUE k 0 2\r\n41\r\nEND\r\n42\r\nSTORED\r\n")
	tt.send(from(`c8 30 00000001 "k" c8 30 00000001 "m" c8 12 00000001 00000001 "md"`))
	tt.expect(from(`00 00000002 "42" 00 00000003 "abc" 00`))
	text.send("get m\r\n")
	text.expect("VALUE m 7 4\r\nabcd\r\nEND\r\n")
	tt.send(from(`c8 10 00000001 00000001 "mx"`))
	tt.expect("\x00")
	text.send("get m\r\n")
	text.expect("VALUE m 0 1\r\nx\r\nEND\r\n")
	resp, err := http.Get("http://" + s.Addrs()[0] + "/k")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if string(body) != "42" {
		t.Errorf("HTTP reads %q", body)
	}
	tt.send(from(`c8 60 00000001 00000001 "i"`))
	tt.expect(from("00 00000001"))
	text.send("get i\r\nincr i 1\r\n")
	text.expect("VALUE i 0 4\r\n\x01\x00\x00\x00\r\nEND\r\nCLIENT_ERROR cannot increment or decrement non-numeric value\r\n")
}

// A list that is large, and commands that take long, do not change the order of replies.
func TestTyrantLists(t *testing.T) {
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		s := startServer(t, openStore(t, nil), carrier)
		c := dial(t, s)
		const n = 3000
		var in, keys, records strings.Builder
		var names []string
		for i := range n {
			key := fmt.Sprintf("key%05d", i)
			names = append(names, key)
			in.WriteString(ask(tyrant.Request{Command: tyrant.PutNR, Key: []byte(key), Value: []byte("v")}))
			keys.WriteString("\x00\x00\x00\x08" + key)
			records.WriteString("\x00\x00\x00\x08\x00\x00\x00\x01" + key + "v")
		}
		for range 3 {
			in.WriteString(ask(tyrant.Request{Command: tyrant.MGet, Args: list(names...)}) + ask(tyrant.Request{Command: tyrant.FwmKeys, Key: []byte("key"), Max: -1}) +
				ask(tyrant.Request{Command: tyrant.RNum}))
		}
		c.send(in.String())
		for range 3 {
			c.expect("\x00\x00\x00\x0b\xb8" + records.String())
			c.expect("\x00\x00\x00\x0b\xb8" + keys.String())
			c.expect("\x00\x00\x00\x00\x00\x00\x00\x0b\xb8")
		}
	})
}

// With ack=strict a write that nobody confirms fails, in its place; one without a reply has none.
func TestTyrantStrict(t *testing.T) {
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		st, _ := strictStore(t, 100*time.Millisecond)
		s := startServer(t, st, carrier)
		c := dial(t, s)
		c.send(from(`c8 30 00000001 "k" c8 10 00000001 00000001 "kv" c8 18 00000001 00000001 "rv" c8 30 00000001 "k" c8 60 00000001 00000001 "i"
			c8 90 00000003 00000000 00000002 "put" 00000001 "m" 00000001 "1" c8 80`))
		c.expect(from(`01 01 00 00000001 "v" 01 01 00000000 00 0000000000000004`))
		eventually(t, "the store counts them", func() bool { return st.Acknowledgement().Unconfirmed == 3 })
		st.Linked(2, false)
		eventually(t, "nobody could confirm", func() bool { return st.Acknowledgement().Refusal != "" })
		c.send(from(`c8 10 00000001 00000001 "kw" c8 72 c8 30 00000001 "k"`))
		c.expect(from(`01 01 00 00000001 "v"`))
	})
}

// What a restore and a script have written is told of once the gate has passed it.
func TestTyrantHoldsWhatOthersWrite(t *testing.T) {
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		st, confirm := strictStore(t, time.Hour)
		write := func() bool {
			var res store.Result
			return st.Commit(&store.Request{Op: store.Set, Key: []byte("k"), Value: []byte("v")}, &res) == nil
		}
		s := startServer(t, st, func(c *Config) {
			carrier(c)
			c.Restore = func(context.Context, string, int64, bool) error { write(); return nil }
			c.Script = func(context.Context, string, []byte, []byte, uint32) ([]byte, bool) { return []byte("r"), write() }
		})
		for request, reply := range map[string]string{
			ask(tyrant.Request{Command: tyrant.Restore, Text: []byte("/x")}): "00", ask(tyrant.Request{Command: tyrant.Ext, Name: []byte("f")}): `00 00000001 "r"`,
		} {
			c, held := dial(t, s), s.sum()[repliesHeld]
			c.send(request)
			eventually(t, "the reply is held", func() bool { return s.sum()[repliesHeld] > held })
			confirm()
			c.expect(from(reply))
		}
	})
}

// A drain ends a copy, whose client is answered.
func TestTyrantCopyEndsWithTheDrain(t *testing.T) {
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		began := make(chan struct{})
		s := startServer(t, openStore(t, nil), func(c *Config) {
			carrier(c)
			c.Copy = func(ctx context.Context, _ string) error {
				close(began)
				<-ctx.Done()
				return ctx.Err()
			}
		})
		c := dial(t, s)
		c.send(ask(tyrant.Request{Command: tyrant.Copy, Text: []byte("/x")}))
		<-began
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		c.expect("\x01")
		c.expectEnd()
	})
}

// Requests that wait for their turn count among what connections hold.
func TestTyrantCountsWhatWaits(t *testing.T) {
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		release := make(chan struct{})
		s := startServer(t, openStore(t, nil), func(c *Config) {
			carrier(c)
			c.Script = func(context.Context, string, []byte, []byte, uint32) ([]byte, bool) { <-release; return nil, true }
		})
		const clients, size = 8, 1 << 20
		var all []*client
		for range clients {
			c := dial(t, s)
			c.send(ask(tyrant.Request{Command: tyrant.Ext, Name: []byte("f"), Value: make([]byte, size)}))
			all = append(all, c)
		}
		eventually(t, "all are counted", func() bool {
			return s.sum()[cmdTyrant+counter(tyrant.Ext.Index())] == clients && s.pending.Load() >= clients*size
		})
		close(release)
		for _, c := range all {
			c.expect(from("00 00000000"))
		}
		eventually(t, "nothing is counted", func() bool { return s.pending.Load() < size })
	})
}

// A walk of a client who sees no key ends, without a loop having to go through all.
func TestTyrantIteratesUnseenKeys(t *testing.T) {
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		st := openStore(t, nil)
		var res store.Result
		for i := range 10_000 {
			if err := st.Commit(&store.Request{Op: store.Set, Key: fmt.Appendf(nil, "k%d", i)}, &res); err != nil {
				t.Fatal(err)
			}
		}
		s := startServer(t, st, func(c *Config) {
			carrier(c)
			c.Users, _ = openUsers(t, "foo prefix=none")
		})
		c := dial(t, s)
		c.send(login("foo", "secret") + from(`c8 50 c8 51 c8 51 c8 50`) + ask(tyrant.Request{Command: tyrant.Misc, Name: []byte("iternext")}) + from("c8 80"))
		c.expect(from(`00 00000000 00 01 01 00 01 00000000 00 0000000000002710`))
	})
}

func TestTyrantMask(t *testing.T) {
	mask, err := tyrant.ParseMask("put,vanish,mget,rnum,stat,repl")
	if err != nil {
		t.Fatal(err)
	}
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		s := startServer(t, openStore(t, nil), func(c *Config) { carrier(c); c.Mask = mask })
		c := dial(t, s)
		c.send(from(`c8 10 00000001 00000001 "kv" c8 11 00000001 00000001 "kv" c8 72 c8 31 00000001 00000001 "k" c8 80 c8 88
			c8 90 00000003 00000000 00000002 "put" 00000001 "m" 00000001 "1" c8 90 00000006 00000000 00000000 "vanish" c8 30 00000001 "k"`))
		c.expect(from(`01 00 01 01 00000000 00 0000000000000000 00 00000000 01 00000000 01 00000000 00 00000001 "v"`))
		for _, before := range []string{"", "c8 72"} { // nothing that a follower would take for an id
			c := dial(t, s)
			c.send(from(before) + ask(tyrant.Request{Command: tyrant.Repl, Time: 1, SID: 9}))
			if before != "" {
				c.expect(from("01"))
			}
			c.expectEnd()
		}
	})
}

func login(user, password string) string {
	return ask(tyrant.Request{Command: tyrant.Misc, Name: []byte("login"), Args: list(user, password)})
}

func TestTyrantUsers(t *testing.T) {
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		people, _ := openUsers(t, "foo")
		s := startServer(t, openStore(t, nil), func(c *Config) { carrier(c); c.Users = people })
		c := dial(t, s)
		c.send(from(`c8 10 00000001 00000001 "kv"`) + login("foo", "wrong") + login("foo", "secret") + from(`c8 10 00000001 00000001 "kv" c8 30 00000001 "k"`))
		c.expect(from(`01 01 00000000 00 00000000 00 00 00000001 "v"`))
	})
}

func TestTyrantStat(t *testing.T) {
	s := startServer(t, openStore(t, nil), func(c *Config) { c.Node, c.Version = 7, "1.6.18 futago-9.8.7" })
	c, text := dial(t, s), dial(t, s)
	text.send("set a 0 0 1\r\n1\r\nget a\r\nget b\r\nincr a 1\r\n")
	text.expect("STORED\r\nVALUE a 0 1\r\n1\r\nEND\r\nEND\r\n2\r\n")
	c.send(from(`c8 10 00000001 00000001 "kv" c8 11 00000001 00000001 "kv" c8 30 00000001 "k" c8 20 00000001 "x" c8 88`))
	c.expect(from(`00 01 00 00000001 "v" 01 00`))
	size := make([]byte, 4)
	if _, err := io.ReadFull(c.r, size); err != nil {
		t.Fatal(err)
	}
	stat := make([]byte, int(size[2])<<8|int(size[3]))
	if _, err := io.ReadFull(c.r, stat); err != nil {
		t.Fatal(err)
	}
	var names []string
	got := map[string]string{}
	for line := range strings.Lines(string(stat)) {
		name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if !ok {
			t.Errorf("line %q", line)
		}
		names = append(names, name)
		got[name] = value
	}
	for name, want := range map[string]string{
		"version": "1.1.41 futago-9.8.7", "libver": "324", "protver": "0.91", "sid": "7", "rnum": "2", "type": "hash", "bigend": "0", "cnt_put": "2",
		"cnt_putkeep": "1", "cnt_get": "3", "cnt_out": "1", "cnt_addint": "1", "cnt_stat": "1", "cnt_put_miss": "1", "cnt_out_miss": "1", "cnt_get_miss": "1",
		"cnt_vanish": "0",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
	if order := strings.Join(names[len(names)-29:], " "); order != "cnt_put cnt_putkeep cnt_putcat cnt_putshl cnt_putnr cnt_out cnt_get cnt_mget cnt_vsiz cnt_iterinit "+
		"cnt_iternext cnt_fwmkeys cnt_addint cnt_adddouble cnt_ext cnt_sync cnt_optimize cnt_vanish cnt_copy cnt_restore cnt_setmst cnt_rnum cnt_size cnt_stat "+
		"cnt_misc cnt_repl cnt_put_miss cnt_out_miss cnt_get_miss" {
		t.Errorf("counters are %s", order)
	}
}

func TestTyrantAllocatesNothing(t *testing.T) {
	st := openStore(t, nil)
	s, err := New(testConfig(t, "127.0.0.1:0"), st)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	w := newWorker(s, s.totals[0])
	session := &session{peer: &peer{}}
	session.speak(isTyrant, s)
	in := []byte(from(`c8 10 00000001 00000001 "kv" c8 30 00000001 "k" c8 30 00000001 "x" c8 18 00000001 00000001 "kw" c8 38 00000001 "k"` +
		`c8 31 00000003 00000001 "k" 00000001 "x" 00000001 "k"`))
	if n := testing.AllocsPerRun(1000, func() {
		if session.feed(&w, in) != len(in) {
			t.Fatal("not all was executed")
		}
		w.flush()
		if err := session.decide(&w, false); err != nil {
			t.Fatal(err)
		}
		session.advance(len(session.sendable()))
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
