package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/record"
	"github.com/futago/futago/internal/vfs"
)

// wall is a clock that tests move.
type wall struct{ t time.Time }

func (w *wall) now() time.Time { return w.t }

func newWall() *wall { return &wall{time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)} }

func testConfig(node int, fs vfs.FS, w *wall) Config {
	c := DefaultConfig()
	c.FS, c.Node, c.SegmentSize = fs, node, 64<<10
	if w != nil {
		c.Now = w.now
	}
	return c
}

func open(t *testing.T, c Config) *Store {
	t.Helper()
	s, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func openMemory(t *testing.T) *Store {
	s := open(t, testConfig(1, vfs.Memory(), nil))
	t.Cleanup(func() { s.Close() })
	return s
}

func do(t *testing.T, s *Store, req Request) Result {
	t.Helper()
	var res Result
	if err := s.Commit(&req, &res); err != nil {
		t.Fatalf("%v %q: %v", req.Op, req.Key, err)
	}
	return res
}

func set(t *testing.T, s *Store, key, value string) Result {
	t.Helper()
	return do(t, s, Request{Op: Set, Key: []byte(key), Value: []byte(value)})
}

func get(s *Store, key string) (string, bool) {
	var v View
	if !s.Acquire([]byte(key), &v) {
		return "", false
	}
	defer v.Release()
	return string(v.Value), true
}

func wantValue(t *testing.T, s *Store, key, want string) {
	t.Helper()
	if got, ok := get(s, key); !ok || got != want {
		t.Fatalf("get %q: got %q %v, want %q", key, got, ok, want)
	}
}

func wantAbsent(t *testing.T, s *Store, key string) {
	t.Helper()
	if got, ok := get(s, key); ok {
		t.Fatalf("get %q: got %q, want nothing", key, got)
	}
}

func TestOperations(t *testing.T) {
	s := openMemory(t)
	key := []byte("k")
	fails := func(req Request, want error) {
		t.Helper()
		var res Result
		if err := s.Commit(&req, &res); !errors.Is(err, want) {
			t.Fatalf("op %d %q: got %v, want %v", req.Op, req.Key, err, want)
		}
	}
	for _, op := range []Op{Replace, Append, Prepend, CAS, Delete, Incr, Decr, Touch} {
		fails(Request{Op: op, Key: key, Value: []byte("1")}, ErrNotFound)
	}
	do(t, s, Request{Op: Add, Key: key, Value: []byte("b"), Flags: 3})
	fails(Request{Op: Add, Key: key, Value: []byte("c")}, ErrExists)
	do(t, s, Request{Op: Append, Key: key, Value: []byte("c"), Flags: 9})
	do(t, s, Request{Op: Prepend, Key: key, Value: []byte("a")})
	wantValue(t, s, "k", "abc")
	var v View
	if !s.Acquire(key, &v) || v.Flags != 3 {
		t.Fatalf("flags after append: %d", v.Flags)
	}
	token := v.Token
	v.Release()
	fails(Request{Op: CAS, Key: key, CAS: token + 1}, ErrConflict)
	fails(Request{Op: CAS, Key: key, CAS: 0}, ErrConflict)
	res := do(t, s, Request{Op: CAS, Key: key, CAS: token, Value: []byte("7")})
	if res.Token == token {
		t.Fatal("token did not change")
	}
	if res := do(t, s, Request{Op: Incr, Key: key, Delta: 5}); res.Number != 12 {
		t.Fatalf("incr: %d", res.Number)
	}
	if res := do(t, s, Request{Op: Decr, Key: key, Delta: 50}); res.Number != 0 {
		t.Fatalf("decr: %d", res.Number)
	}
	do(t, s, Request{Op: Append, Key: key, Value: []byte("x")})
	wantValue(t, s, "k", "0x")
	fails(Request{Op: Incr, Key: key, Delta: 1}, ErrNotNumeric)
	do(t, s, Request{Op: Delete, Key: key})
	wantAbsent(t, s, "k")
	fails(Request{Op: Delete, Key: key}, ErrNotFound)
	fails(Request{Op: Set}, ErrKey)
	fails(Request{Op: Set, Key: make([]byte, 65536)}, ErrKey)
	fails(Request{Op: Set, Key: key, Value: make([]byte, 64<<20+1)}, ErrTooLarge)
	if st := s.Stats(); st.Items != 0 || st.Tombstones != 1 {
		t.Fatalf("stats %+v", st)
	}
}

func TestLargeValueHasASegmentOfItsOwn(t *testing.T) {
	s := openMemory(t)
	big := make([]byte, 300<<10)
	for i := range big {
		big[i] = byte(i)
	}
	set(t, s, "a", "1")
	set(t, s, "big", string(big))
	set(t, s, "b", "2")
	wantValue(t, s, "big", string(big))
	s.Flush()
	wantValue(t, s, "big", string(big))
	wantValue(t, s, "a", "1")
	wantValue(t, s, "b", "2")
}

func TestExpiry(t *testing.T) {
	w := newWall()
	s := open(t, testConfig(1, vfs.Memory(), w))
	defer s.Close()
	in := func(d time.Duration) uint64 { return uint64(hlc.Millis(w.t.Add(d))) }
	do(t, s, Request{Op: Set, Key: []byte("k"), Value: []byte("1"), Expires: in(time.Second)})
	wantValue(t, s, "k", "1")
	do(t, s, Request{Op: Touch, Key: []byte("k"), Expires: in(3 * time.Second)})
	w.t = w.t.Add(2 * time.Second)
	wantValue(t, s, "k", "1")
	w.t = w.t.Add(time.Second)
	wantAbsent(t, s, "k")
	do(t, s, Request{Op: Add, Key: []byte("k"), Value: []byte("2")})
	wantValue(t, s, "k", "2")
}

func TestFlushAll(t *testing.T) {
	w := newWall()
	s := open(t, testConfig(1, vfs.Memory(), w))
	defer s.Close()
	set(t, s, "a", "1")
	if _, err := s.FlushAll(0); err != nil {
		t.Fatal(err)
	}
	wantAbsent(t, s, "a")
	set(t, s, "b", "1") // in the same millisecond
	wantValue(t, s, "b", "1")
	do(t, s, Request{Op: Add, Key: []byte("a"), Value: []byte("2")})
	wantValue(t, s, "a", "2")
	if _, err := s.FlushAll(uint64(hlc.Millis(w.t.Add(time.Hour)))); err != nil {
		t.Fatal(err)
	}
	wantValue(t, s, "b", "1")
	w.t = w.t.Add(time.Hour)
	wantAbsent(t, s, "b")
	set(t, s, "c", "1")
	wantValue(t, s, "c", "1")
	s.sweepFloor()
	if st := s.Stats(); st.Items != 1 {
		t.Fatalf("after the sweep: %+v", st)
	}
	if n := len(s.Floors()); n != 1 {
		t.Fatalf("%d floors are kept", n)
	}
}

// A random history on a real folder, with restarts, compared with a map.
func TestAgainstMap(t *testing.T) {
	dir := t.TempDir()
	rng := rand.New(rand.NewPCG(7, 7))
	model := map[string]string{}
	openDir := func() *Store {
		fs, err := vfs.OS(dir)
		if err != nil {
			t.Fatal(err)
		}
		c := testConfig(1, fs, nil)
		c.CompactRate = 1 << 30
		return open(t, c)
	}
	s := openDir()
	check := func() {
		t.Helper()
		for k, v := range model {
			wantValue(t, s, k, v)
		}
		if st := s.Stats(); st.Items != int64(len(model)) {
			t.Fatalf("%d items, want %d", st.Items, len(model))
		}
	}
	for step := range 30000 {
		k := fmt.Sprintf("key%d", rng.IntN(500))
		switch op := rng.IntN(100); {
		case op < 60:
			v := strconv.Itoa(rng.IntN(1000))
			set(t, s, k, v)
			model[k] = v
		case op < 80:
			var res Result
			err := s.Commit(&Request{Op: Delete, Key: []byte(k)}, &res)
			if _, ok := model[k]; ok != (err == nil) {
				t.Fatalf("delete %s: %v", k, err)
			}
			delete(model, k)
		case op < 99:
			var res Result
			err := s.Commit(&Request{Op: Incr, Key: []byte(k), Delta: 3}, &res)
			v, ok := model[k]
			if ok != (err == nil) {
				t.Fatalf("incr %s: %v", k, err)
			}
			if ok {
				n, _ := strconv.Atoi(v)
				model[k] = strconv.Itoa(n + 3)
			}
		case step%50 == 0:
			s.Flush()
			s.CompactOnce()
		}
		if step%6000 == 5999 {
			s.Flush()
			check()
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = openDir()
			check()
		}
	}
	for s.CompactOnce() {
	}
	check()
	if st := s.Stats(); st.Compactions == 0 {
		t.Fatalf("nothing was compacted: %+v", st)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openDir()
	check()
	s.Close()
}

func TestCommitAllocatesNothing(t *testing.T) {
	s := openMemory(t)
	req, res, v := Request{Key: []byte("key"), Value: []byte("12345")}, Result{}, View{}
	setUp := Request{Op: Set, Key: req.Key, Value: []byte("5")}
	for _, op := range []Op{Set, Append, Set, Incr, Incr, Touch, Delete} {
		req.Op, req.Delta = op, 1
		run := func() {
			if op != Set {
				if s.Commit(&setUp, &res) != nil {
					t.Fatal("set")
				}
			}
			if err := s.Commit(&req, &res); err != nil {
				t.Fatal(err)
			}
			s.Flush()
			if s.Acquire(req.Key, &v) {
				v.Release()
			}
		}
		run()
		if n := testing.AllocsPerRun(200, run); n != 0 {
			t.Errorf("op %d allocates %v times", op, n)
		}
	}
}

// pair applies everything that each store holds to the other.
func exchange(t *testing.T, from, to *Store) {
	t.Helper()
	exchangeAfter(t, from, to, 0)
}

// exchangeAfter applies what comes behind a position, and returns the new one.
func exchangeAfter(t *testing.T, from, to *Store, seq uint64) uint64 {
	t.Helper()
	from.Flush()
	r, err := from.Log().ReadAfterSeq(seq)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for e, ok := r.Next(); ok; e, ok = r.Next() {
		var rec record.Record
		e.Raw.Into(&rec)
		if _, err := to.Apply([]record.Record{rec}, Feed{Stream: 2}); err != nil {
			t.Fatal(err)
		}
		seq = e.Seq
	}
	return seq
}

func TestTwoStoresConverge(t *testing.T) {
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 1))
		w := newWall()
		a, b := open(t, testConfig(1, vfs.Memory(), w)), open(t, testConfig(2, vfs.Memory(), w))
		stores := []*Store{a, b}
		added := 0
		for range 300 {
			s := stores[rng.IntN(2)]
			k := fmt.Sprintf("k%d", rng.IntN(8))
			req := Request{Key: []byte(k), Value: []byte(strconv.Itoa(rng.IntN(10))), Delta: uint64(rng.IntN(5)), Flags: rng.Uint32N(3)}
			req.Op = []Op{Set, Add, Replace, Append, Delete, Incr, Decr, Touch, Invalidate, CAS}[rng.IntN(10)]
			req.Claim, req.KeepExpires, req.Vivify = rng.IntN(2) == 0, rng.IntN(2) == 0, rng.IntN(2) == 0
			req.Create, req.Retime, req.Remove = rng.IntN(2) == 0, rng.IntN(2) == 0, rng.IntN(4) == 0
			if rng.IntN(4) == 0 {
				req.Unique = 1 + rng.Uint64N(3)
			}
			if req.Op == CAS {
				req.CAS, req.Outdated = 1+rng.Uint64N(3), true
			}
			if rng.IntN(4) == 0 {
				req.Expires = uint64(s.Now()) + rng.Uint64N(3000)
			}
			var res Result
			if s.Commit(&req, &res) == nil {
				added++
			}
			if rng.IntN(40) == 0 {
				s.FlushAll(0)
			}
			if rng.IntN(5) == 0 {
				w.t = w.t.Add(time.Duration(rng.IntN(500)) * time.Millisecond)
			}
			if rng.IntN(20) == 0 {
				exchange(t, a, b)
			}
		}
		for range 2 {
			exchange(t, a, b)
			exchange(t, b, a)
		}
		for i := range 8 {
			k := fmt.Sprintf("k%d", i)
			va, oka := get(a, k)
			vb, okb := get(b, k)
			if va != vb || oka != okb {
				t.Fatalf("seed %d: %s is %q %v and %q %v", seed, k, va, oka, vb, okb)
			}
			var x, y View
			if oka {
				a.Peek([]byte(k), &x)
				x.Release()
				b.Peek([]byte(k), &y)
				y.Release()
			}
			if x.Token != y.Token || x.Stale != y.Stale || x.Won != y.Won || x.Expires != y.Expires || x.Flags != y.Flags {
				t.Fatalf("seed %d: %s differs: %+v and %+v", seed, k, x, y)
			}
		}
		a.Close()
		b.Close()
	}
}

func TestGateGoesSoloAndComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := testConfig(1, vfs.Memory(), nil)
		c.AckPeer, c.AckTimeout = true, 30*time.Millisecond
		s := open(t, c)
		defer s.Close()
		passes := func(seq uint64) {
			t.Helper()
			s.Flush()
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			if err := s.Wait(ctx, seq); err != nil {
				t.Fatalf("write %d: %v", seq, err)
			}
		}
		passes(set(t, s, "a", "1").Seq) // nobody ever connected: solo
		s.Linked(2, true)
		s.Confirm(2, s.Log().Written())
		if s.Acknowledgement().Solo {
			t.Fatal("solo although the peer has all")
		}
		seq := set(t, s, "b", "1").Seq
		s.Flush()
		if ok, _ := s.Passed(seq); ok {
			t.Fatal("passed without the peer")
		}
		s.Confirm(2, seq)
		passes(seq)
		passes(set(t, s, "c", "1").Seq) // silent: solo after the timeout
		if !s.Acknowledgement().Solo {
			t.Fatal("not solo with a silent peer")
		}
		s.Confirm(2, s.Log().Written())
		if s.Acknowledgement().Solo {
			t.Fatal("still solo")
		}
		seq = set(t, s, "d", "1").Seq
		s.Linked(2, false) // closed: solo at once
		s.Flush()
		if ok, _ := s.Passed(seq); !ok {
			t.Fatal("a closed link holds a write")
		}
	})
}

// Arithmetic that may create an absent key begins with the initial number, and two nodes that do so make one counter.
func TestArithmeticCreates(t *testing.T) {
	a, b := open(t, testConfig(1, vfs.Memory(), nil)), open(t, testConfig(2, vfs.Memory(), nil))
	defer a.Close()
	defer b.Close()
	create := Request{Op: Decr, Key: []byte("n"), Delta: 3, Create: true, Initial: 10, Flags: 7}
	for _, s := range []*Store{a, b} {
		if res := do(t, s, create); res.Number != 10 || !res.Fresh {
			t.Fatalf("created: got %d, fresh %v, want the initial 10", res.Number, res.Fresh)
		}
		if res := do(t, s, create); res.Number != 7 || res.Fresh {
			t.Fatalf("counted: got %d, fresh %v, want 7", res.Number, res.Fresh)
		}
	}
	exchange(t, a, b)
	exchange(t, b, a)
	for _, s := range []*Store{a, b} {
		if got, _ := get(s, "n"); got != "4" {
			t.Errorf("node %d after the exchange: got %q, want 10 - 3 - 3", s.cfg.Node, got)
		}
	}
	var res Result
	missing := Request{Op: Incr, Key: []byte("other"), Delta: 1}
	if err := a.Commit(&missing, &res); !errors.Is(err, ErrNotFound) {
		t.Errorf("without Create: got %v, want %v", err, ErrNotFound)
	}
}
