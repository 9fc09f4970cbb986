package server

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/futago/futago/internal/memcache"
	"github.com/futago/futago/internal/store"
)

// farStore is a store that is reached by round trips, which it counts.
type farStore struct {
	*store.Store
	trips atomic.Int64
	fail  func(req *store.Request) error // of a write; nil: none fails
}

func (f *farStore) Commit(req *store.Request, res *store.Result) error {
	f.trips.Add(1)
	return f.commit(req, res)
}

func (f *farStore) commit(req *store.Request, res *store.Result) error {
	if f.fail != nil {
		if err := f.fail(req); err != nil {
			return err
		}
	}
	err := f.Store.Commit(req, res)
	res.Seq = 0
	return err
}

func (f *farStore) Acquire(key []byte, v *store.View) bool {
	f.trips.Add(1)
	return f.acquire(key, v)
}

func (f *farStore) Peek(key []byte, v *store.View) bool { return f.Acquire(key, v) }

func (f *farStore) acquire(key []byte, v *store.View) bool {
	if !f.Store.Peek(key, v) {
		return false
	}
	value, kind := strings.Clone(string(v.Value)), strings.Clone(string(v.Type))
	shown := *v
	v.Release()
	*v = store.View{
		Value: []byte(value), Type: []byte(kind), Flags: shown.Flags, Expires: shown.Expires, Token: shown.Token, Stamp: shown.Stamp, Stale: shown.Stale, Won: shown.Won,
	}
	return true
}

func (f *farStore) Together(reads []store.Read, most int, writes []store.Write) {
	f.trips.Add(1)
	// Writes first: whoever reads what one of them writes shows it.
	for i := range writes {
		writes[i].Err = f.commit(writes[i].Request, writes[i].Result)
	}
	for i := range reads {
		r := &reads[i]
		if r.Found = f.acquire(r.Key, &r.View); r.Found && len(r.View.Value) >= most {
			r.View, r.Found = store.View{Fault: store.ErrTooLarge}, false
		}
	}
}

func startFar(t *testing.T) (*farStore, *Server) {
	f := &farStore{Store: openStore(t, nil)}
	return f, startServer(t, f, func(c *Config) { c.Goroutines = true })
}

// TestTogether sends requests at once, and counts the round trips that they take.
func TestTogether(t *testing.T) {
	var sets, gets, getsReply, quiet, packets strings.Builder
	for i := range 16 {
		fmt.Fprintf(&sets, "set k%d 0 0 2\r\n%02d\r\n", i, i)
		fmt.Fprintf(&gets, "get k%d\r\n", i)
		fmt.Fprintf(&getsReply, "VALUE k%d 0 2\r\n%02d\r\nEND\r\n", i, i)
		fmt.Fprintf(&quiet, "ms q%d 2 q\r\n%02d\r\n", i, i)
		packets.WriteString(setPacket(memcache.OpcodeSetQ, uint32(i), fmt.Sprintf("b%d", i), "v"))
	}
	many := strings.Repeat(" none", 3*aheadKeys)
	for _, test := range []struct {
		name, send, want string
		trips            int64
	}{
		{"sets", sets.String(), strings.Repeat("STORED\r\n", 16), 1},
		{"gets", gets.String(), getsReply.String(), 1},
		{"gets and sets", "get k1 k2\r\nset k3 0 0 1\r\nx\r\nmg k4 v\r\nincr k5 1\r\n", "VALUE k1 0 2\r\n01\r\nVALUE k2 0 2\r\n02\r\nEND\r\nSTORED\r\nVA 2\r\n04\r\n6\r\n", 1},
		{"quiet", quiet.String() + "mn\r\n", "MN\r\n", 1},
		{"noreply", "set k1 0 0 1 noreply\r\nx\r\nset k2 0 0 1 noreply\r\ny\r\nget k1 k2\r\n", "VALUE k1 0 1\r\nx\r\nVALUE k2 0 1\r\ny\r\nEND\r\n", 2},
		{"one key", strings.Repeat("incr k9 1\r\n", 3), "10\r\n11\r\n12\r\n", 3},
		{"read behind write", "set k1 0 0 1\r\n1\r\nget k1\r\nset k1 0 0 1\r\n2\r\nget k1\r\n", "STORED\r\nVALUE k1 0 1\r\n1\r\nEND\r\nSTORED\r\nVALUE k1 0 1\r\n2\r\nEND\r\n", 4},
		{"two at once, one in two steps", "ms j1 1 MA N0\r\nx\r\nms j2 1 MA N0\r\ny\r\nms k1 1 MA\r\nz\r\n", "HD\r\nHD\r\nHD\r\n", 2},
		{"many keys", "get" + many + "\r\n", "END\r\n", 3},
		{"wrong in the middle", "set k1 0 0 1\r\nx\r\nset k2 0 0 1\r\ny\r\nset\r\nset k3 0 0 1\r\nz\r\nset k4 0 0 1\r\nz\r\n", "STORED\r\nSTORED\r\nERROR\r\nSTORED\r\nSTORED\r\n", 2},
		{"flush_all in the middle", "set k1 0 0 1\r\nx\r\nset k2 0 0 1\r\ny\r\nflush_all\r\nadd k1 0 0 1\r\nz\r\nget k2\r\n", "STORED\r\nSTORED\r\nOK\r\nSTORED\r\nEND\r\n", 2},
		{"keys in base64", "mg eA== b k v\r\nmg eQ== b k v\r\nms eA== 1 b\r\nx\r\nms eQ== 1 b\r\ny\r\nmg eA== b k v\r\nmg eQ== b k v\r\n", "EN keA== b\r\nEN keQ== b\r\nHD\r\nHD\r\nVA 1 keA== b\r\nx\r\nVA 1 keQ== b\r\ny\r\n", 3},
		{"quit", "set k1 0 0 1\r\nx\r\nset k2 0 0 1\r\ny\r\nquit\r\nset k1 0 0 1\r\nz\r\n", "STORED\r\nSTORED\r\n", 1},
		{"binary", packets.String() + noopPacket(99), noopReply(99), 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, s := startFar(t)
			c := dial(t, s)
			c.send(sets.String())
			c.expect(strings.Repeat("STORED\r\n", 16))
			if strings.HasPrefix(test.send, "\x80") {
				c = dial(t, s)
			}
			before := f.trips.Load()
			c.send(test.send)
			c.expect(test.want)
			if n := f.trips.Load() - before; n != test.trips {
				t.Errorf("%d round trips, want %d", n, test.trips)
			}
		})
	}
}

// TestTogetherLikeAlone sends random requests at once, and one after the other: the answers are the same.
func TestTogetherLikeAlone(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	requests := []string{
		"get %s\r\n", "get %s %s %s\r\n", "set %s 5 0 2\r\nxy\r\n", "set %s 0 0 1\r\n7\r\n", "set %s 0 0 1 noreply\r\n3\r\n", "add %s 0 0 1\r\n1\r\n", "append %s 0 0 1\r\n0\r\n",
		"incr %s 5\r\n", "decr %s 1 noreply\r\n", "delete %s\r\n", "touch %s 100\r\n", "gat 100 %s %s\r\n", "cas %s 0 0 1 1\r\n1\r\n", "verbosity 1\r\n", "rubbish\r\n", "mn\r\n",
		"mg %s v k t\r\n", "mg %s v N30 t\r\n", "mg %s T50 t q\r\n", "ms %s 2 T90 k\r\nab\r\n", "ms %s 1 q\r\n9\r\n", "md %s q\r\n", "md %s I T20\r\n", "ma %s N0 J13 v\r\n", "ma %s t T60\r\n", "flush_all\r\n",
		"set %s 0 0 100000\r\n" + strings.Repeat("v", 100000) + "\r\n", "set %s 0 0 2\r\nwrong\r\n",
	}
	f, s := startFar(t)
	near := startServer(t, &farStore{Store: openStore(t, nil)}, func(c *Config) { c.Goroutines = true })
	for range 200 {
		one, many := dial(t, near), dial(t, s)
		var sent strings.Builder
		var want []string
		for range 1 + r.IntN(60) {
			text := requests[r.IntN(len(requests))]
			args := make([]any, strings.Count(text, "%s"))
			for i := range args {
				args[i] = fmt.Sprintf("k%d", r.IntN(12))
			}
			text = fmt.Sprintf(text, args...)
			sent.WriteString(text)
			one.send(text + "version\r\n")
			reply := ""
			for line := ""; line != "VERSION 0.1.0\r\n"; reply += line {
				var err error
				if line, err = one.r.ReadString('\n'); err != nil {
					t.Fatal(err)
				}
			}
			want = append(want, strings.TrimSuffix(reply, "VERSION 0.1.0\r\n"))
		}
		many.send(sent.String())
		for _, reply := range want {
			many.expect(reply)
		}
		one.Close()
		many.Close()
	}
	if f.trips.Load() == 0 {
		t.Error("nothing was executed")
	}
}

// TestTogetherFails has some of several writes fail: the others are executed, and each has its own reply.
func TestTogetherFails(t *testing.T) {
	f, s := startFar(t)
	f.fail = func(req *store.Request) error {
		switch string(req.Key) {
		case "lost":
			return store.ErrUnknown
		case "down":
			return store.ErrUnreached
		}
		return nil
	}
	c := dial(t, s)
	c.send("set a 0 0 1\r\n1\r\nset lost 0 0 1\r\n1\r\nms down 1 q\r\n1\r\nset down2 0 0 1 noreply\r\n1\r\nset b 0 0 1\r\n1\r\nget a b\r\n")
	c.expect("STORED\r\nSERVER_ERROR " + store.ErrUnknown.Error() + "\r\nSERVER_ERROR " + store.ErrUnreached.Error() + "\r\nSTORED\r\nVALUE a 0 1\r\n1\r\nVALUE b 0 1\r\n1\r\nEND\r\n")
}

// TestTogetherPauses has replies that are too many to be made at once stand between writes: what was executed ahead is answered once,
// and not executed again. Values that are not read ahead are read all the same.
func TestTogetherPauses(t *testing.T) {
	for _, size := range []int{1000, feedStep / 3, 900_000} {
		f, s := startFar(t)
		value := strings.Repeat("v", size)
		c := dial(t, s)
		c.send(fmt.Sprintf("set big 0 0 %d\r\n%s\r\n", size, value))
		c.expect("STORED\r\n")
		var writes atomic.Int64
		f.fail = func(*store.Request) error {
			writes.Add(1)
			return nil
		}
		const n = 25
		var send strings.Builder
		for i := range n {
			fmt.Fprintf(&send, "get big\r\nmg big s\r\nma k%d N0 J1 v\r\nget none%d\r\n", i, i)
		}
		for range 2 {
			c.send(send.String())
		}
		for number := 1; number <= 2; number++ {
			for range n {
				c.expect(fmt.Sprintf("VALUE big 0 %d\r\n%s\r\nEND\r\nHD s%d\r\nVA 1\r\n%d\r\nEND\r\n", size, value, size, number))
			}
		}
		if w := writes.Load(); w != 2*n {
			t.Errorf("values of %d: %d writes, want %d", size, w, 2*n)
		}
		eventually(t, "nothing is held", func() bool { return s.pending.Load() < 3<<20 })
	}
}
