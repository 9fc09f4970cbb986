//go:build e2e && linux

package rediscluster

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/futago/futago/internal/record"
	"github.com/futago/futago/internal/rediscluster/clustertest"
	"github.com/futago/futago/internal/store"
)

const (
	testMaxValue = 1000
	testTimeout  = 20 * time.Second
)

// open connects a front to a cluster.
func open(t testing.TB, c *clustertest.Cluster, change func(*Config)) *Store {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Addrs, cfg.MaxValue, cfg.Timeout, cfg.Lease = c.Addrs(), testMaxValue, testTimeout, 50*time.Millisecond
	if change != nil {
		change(&cfg)
	}
	s, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// openPair opens the other store: what it makes of an operation is what the cluster must make of it.
func openPair(t testing.TB) *store.Store {
	t.Helper()
	cfg := store.DefaultConfig()
	cfg.MinFree, cfg.MaxValue = 0, testMaxValue
	s, err := store.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// TestStore runs in one cluster, which takes seconds to start.
func TestStore(t *testing.T) {
	c := clustertest.Start(t, clustertest.Config{NodeTimeout: 5 * time.Second})
	for name, test := range map[string]func(*testing.T, *clustertest.Cluster){
		"like a pair": testLikeAPair, "arithmetic": testArithmetic, "counting at once": testCountingAtOnce, "flush": testFlush,
		"list": testList, "several at once": testSeveral, "foreign": testForeign, "expiry": testExpiry,
	} {
		t.Run(name, func(t *testing.T) { test(t, c) })
	}
}

// testLikeAPair runs random operations at a pair's store and at the cluster: they agree in everything but the tokens, and in which
// tokens are the same.
func testLikeAPair(t *testing.T, c *clustertest.Cluster) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	near, far := openPair(t), open(t, c, func(cfg *Config) { cfg.Prefix = "{a}:" })
	tokens := map[uint64]uint64{}   // of the pair: of the cluster
	ofNear := map[string][]uint64{} // by key: only of one key are they comparable
	values := []string{"", "0", "7", " 12", "12 ", "+5", "18446744073709551615", "18446744073709551616", "99999999999999999999", "9007199254740993",
		"00000000000000000000000000000042", "12x", "1\x002", "\x01\x00\x00\x00", "\x00\x00\x00\x00\x00\x00\xf0\x3f", "\xff\xff\xff\xff\xff\xff\xff\x7f", "value"}
	numbers := []uint64{1, 9, // of a pair, adding 0 leaves blanks around a number alone
		math.MaxUint32, 1 << 53, 1<<53 + 1, math.MaxUint64, math.MaxUint64 - 1, 1e10, 1e10 - 1, 18446744070000000000}
	pick := func(p float64) bool { return r.Float64() < p }
	for step := range 6000 {
		op := store.Op(1 + r.IntN(int(store.AddDouble)))
		q := store.Request{
			Op: op, Key: fmt.Appendf(nil, "key%d", r.IntN(6)),
			Flags: r.Uint32(), Delta: numbers[r.IntN(len(numbers))], Initial: numbers[r.IntN(len(numbers))], Create: pick(.4),
			Int: int32(r.Uint32()), Double: []float64{1.5, -0.1, math.Inf(1), math.Inf(-1), math.NaN(), 1e300, math.Copysign(0, -1)}[r.IntN(7)], Width: r.IntN(40),
			KeepExpires: pick(.5), Retime: pick(.3), Claim: pick(.5), Outdated: op == store.CAS && pick(.3), Remove: pick(.5),
		}
		switch q.Op {
		case store.Set, store.Add, store.Replace, store.Append, store.Prepend, store.Shift, store.CAS:
			if q.Value = []byte(values[r.IntN(len(values))]); pick(.05) {
				q.Value = bytes.Repeat([]byte("x"), testMaxValue-r.IntN(3)+1)
			}
			if pick(.3) {
				q.Type = []byte("text/plain")
			}
			q.Vivify = q.Op == store.Add && pick(.2)
			if q.Vivify {
				q.Value = nil
			}
		}
		if pick(.3) {
			q.Expires = uint64(near.Now()) + uint64(3600_000+r.IntN(1000)*1000)
		}
		if pick(.3) {
			q.RetimeTo = uint64(near.Now()) + uint64(7200_000+r.IntN(1000)*1000)
		}
		if pick(.1) {
			q.Unique = 1 + r.Uint64N(1000) // below all that a store chooses, or above
			if pick(.5) {
				q.Unique |= 1 << 62
			}
		}
		var a, b store.Result
		q2 := q
		if past := ofNear[string(q.Key)]; len(past) > 0 && (q.Op == store.CAS || pick(.2)) {
			q.CAS = past[max(0, len(past)-1-r.IntN(min(len(past), 4)))]
			q2.CAS = tokens[q.CAS]
			// Those of a pair's counters are in no order.
			newest := past[len(past)-1]
			q.Outdated = q.Outdated && (q.CAS < newest) == (q2.CAS < tokens[newest])
			q2.Outdated = q.Outdated
		}
		what := fmt.Sprintf("step %d, %+v", step, q)
		err, err2 := near.Commit(&q, &a), far.Commit(&q2, &b)
		if !errors.Is(err2, err) || a.Number != b.Number || a.Int != b.Int || math.Float64bits(a.Double) != math.Float64bits(b.Double) ||
			a.Fresh != b.Fresh || a.Expires != b.Expires && q.Op != store.Delete {
			t.Fatalf("%s: the pair says %v %+v, the cluster %v %+v", what, err, a, err2, b)
		}
		same := func(x, y uint64) {
			t.Helper()
			if known, ok := tokens[x]; ok && known != y {
				t.Fatalf("%s: a token of the pair is %d at the cluster, and was %d", what, y, known)
			}
			tokens[x] = y
			past := slices.DeleteFunc(ofNear[string(q.Key)], func(known uint64) bool { return known == x })
			ofNear[string(q.Key)] = append(past, x)
		}
		if err == nil && q.Op != store.Delete {
			same(a.Token, b.Token)
		}
		var v, w store.View
		here, there := near.Acquire(q.Key, &v), far.Acquire(q.Key, &w)
		was := v
		if here { // what is held must be let go of before a test may fail
			was.Value, was.Type = bytes.Clone(v.Value), bytes.Clone(v.Type)
			v.Release()
			v = was
		}
		if here != there || w.Fault != nil {
			t.Fatalf("%s: is there: %v, at the cluster %v, %v", what, here, there, w.Fault)
		}
		if !here {
			continue
		}
		if (q.Op == store.Incr || q.Op == store.Decr) && !bytes.Equal(v.Value, w.Value) {
			// A pair leaves blanks around a number alone when nothing changes.
			if x, ok := record.ParseNumber(v.Value); ok {
				v.Value = strconv.AppendUint(nil, x, 10)
			}
			for _, s := range []interface {
				Commit(*store.Request, *store.Result) error
			}{near, far} {
				if err := s.Commit(&store.Request{Op: store.Delete, Key: q.Key}, new(store.Result)); err != nil {
					t.Fatal(err)
				}
			}
		}
		if !bytes.Equal(v.Value, w.Value) || !bytes.Equal(v.Type, w.Type) || v.Flags != w.Flags || v.Expires != w.Expires || v.Stale != w.Stale || v.Won != w.Won {
			t.Fatalf("%s:\n%+v\nat the cluster\n%+v", what, v, w)
		}
		same(v.Token, w.Token)
		w.Release()
	}
}

// testArithmetic looks at every edge of unsigned 64 bit numbers, of which a script has none.
func testArithmetic(t *testing.T, c *clustertest.Cluster) {
	far := open(t, c, func(cfg *Config) { cfg.Prefix = "b:" })
	edges := []uint64{0, 1, 2, 9, 10, 1e10 - 1, 1e10, 1e10 + 1, 1<<31 - 1, 1 << 32, 1<<53 - 1, 1 << 53, 1<<53 + 1, 1<<63 - 1, 1 << 63, math.MaxUint64 - 1, math.MaxUint64}
	for _, a := range edges {
		for _, b := range edges {
			var res store.Result
			key := []byte("n")
			for _, up := range []bool{true, false} {
				if err := far.Commit(&store.Request{Op: store.Set, Key: key, Value: strconv.AppendUint(nil, a, 10)}, &res); err != nil {
					t.Fatal(err)
				}
				op, want := store.Incr, a+b
				if !up {
					op, want = store.Decr, a-min(a, b)
				}
				var v store.View
				if err := far.Commit(&store.Request{Op: op, Key: key, Delta: b}, &res); err != nil || res.Number != want || !far.Acquire(key, &v) || string(v.Value) != strconv.FormatUint(want, 10) {
					t.Errorf("%d with %d, up %v: got %d, stored %q, %v, want %d", a, b, up, res.Number, v.Value, err, want)
				}
			}
		}
	}
}

// testCountingAtOnce has two fronts count one key, with many clients each.
func testCountingAtOnce(t *testing.T, c *clustertest.Cluster) {
	fronts := []*Store{open(t, c, nil), open(t, c, nil)}
	const clients, times = 8, 50
	var group sync.WaitGroup
	for i := range clients {
		group.Go(func() {
			for range times {
				var res store.Result
				if err := fronts[i%2].Commit(&store.Request{Op: store.Incr, Key: []byte("hits"), Delta: 1, Create: true, Initial: 1}, &res); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	var v store.View
	if !fronts[0].Acquire([]byte("hits"), &v) || string(v.Value) != strconv.Itoa(clients*times) {
		t.Errorf("counted %q, %v, want %d", v.Value, v.Fault, clients*times)
	}
}

func set(t *testing.T, s *Store, key, value string) {
	t.Helper()
	if err := s.Commit(&store.Request{Op: store.Set, Key: []byte(key), Value: []byte(value)}, new(store.Result)); err != nil {
		t.Fatalf("set %s: %v", key, err)
	}
}

func has(t *testing.T, s *Store, key string) bool {
	t.Helper()
	var v store.View
	ok := s.Acquire([]byte(key), &v)
	if v.Fault != nil {
		t.Fatalf("get %s: %v", key, v.Fault)
	}
	return ok
}

// testFlush flushes at one front while the other one reads and writes: what it wrote afterwards is there.
func testFlush(t *testing.T, c *clustertest.Cluster) {
	own := func(cfg *Config) { cfg.Prefix = "f:" }
	one, two := open(t, c, own), open(t, c, own)
	other := open(t, c, nil)
	set(t, other, "kept", "x")
	for round := range 5 {
		for i := range 20 {
			set(t, one, fmt.Sprintf("old%d", i), "x")
		}
		if _, err := one.FlushAll(0); err != nil {
			t.Fatal(err)
		}
		for i := range 20 {
			if key := fmt.Sprintf("old%d", i); has(t, two, key) || has(t, one, key) {
				t.Fatalf("round %d: %s is there after the flush", round, key)
			}
		}
		if err := two.Commit(&store.Request{Op: store.Replace, Key: []byte("old1")}, new(store.Result)); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("replace of a flushed record: %v", err)
		}
		if err := two.Commit(&store.Request{Op: store.Add, Key: []byte("old2"), Value: []byte("y")}, new(store.Result)); err != nil {
			t.Errorf("add where a flushed record was: %v", err)
		}
		set(t, two, "new", "x")
		if !has(t, one, "new") || !has(t, one, "old2") {
			t.Fatal("a write behind the flush is gone")
		}
	}
	if !has(t, other, "kept") {
		t.Error("a flush reached keys of another prefix")
	}
	// In the background the dead ones are removed.
	deadline := time.Now().Add(testTimeout)
	for one.Counts().Swept < 18 && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	if n := one.Counts().Swept; n < 18 {
		t.Errorf("%d dead records were removed", n)
	}
	late := open(t, c, own)
	if has(t, late, "old5") || !has(t, late, "new") {
		t.Error("a front that came later does not know of the flush")
	}
	// A flush of later.
	if _, err := one.FlushAll(uint64(one.Now() + 700)); err != nil {
		t.Fatal(err)
	}
	if !has(t, two, "new") {
		t.Error("a flush of later was one of now")
	}
	for has(t, two, "new") && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	set(t, two, "newer", "x")
	if has(t, one, "new") || !has(t, one, "newer") {
		t.Error("the flush of later did not come, or took what was written behind it")
	}
}

// testSeveral reads keys of all masters at once, in order, among them some that are not there.
func testSeveral(t *testing.T, c *clustertest.Cluster) {
	far := open(t, c, func(cfg *Config) { cfg.Prefix = "m:" })
	var keys [][]byte
	for i := range 40 {
		key := fmt.Sprintf("key%d", i)
		if keys = append(keys, []byte(key)); i%3 != 0 {
			set(t, far, key, key)
		}
	}
	reads, large := make([]store.Read, len(keys)), bytes.Repeat([]byte("x"), 100)
	for i, key := range keys {
		reads[i].Key = key
	}
	writes := []store.Write{
		{Request: &store.Request{Op: store.Set, Key: []byte("large"), Value: large}, Result: new(store.Result)},
		{Request: &store.Request{Op: store.Incr, Key: []byte("number"), Delta: 1, Create: true, Initial: 7}, Result: new(store.Result)},
		{Request: &store.Request{Op: store.Replace, Key: []byte("none")}, Result: new(store.Result)},
		{Request: &store.Request{Op: store.Set}, Result: new(store.Result)},
	}
	far.Together(reads, 100, writes)
	for i, key := range keys {
		if r := &reads[i]; r.View.Fault != nil || r.Found != (i%3 != 0) || r.Found && !bytes.Equal(r.View.Value, key) {
			t.Errorf("%s: found %v, %q, %v", key, r.Found, r.View.Value, r.View.Fault)
		}
	}
	for i, want := range []error{nil, nil, store.ErrNotFound, store.ErrKey} {
		if !errors.Is(writes[i].Err, want) {
			t.Errorf("write %d: %v, want %v", i, writes[i].Err, want)
		}
	}
	if n := writes[1].Result.Number; n != 7 {
		t.Errorf("number: %d, want 7", n)
	}
	reads = []store.Read{{Key: []byte("large")}, {Key: []byte("number")}, {}}
	far.Together(reads, 100, nil)
	if r := &reads[0]; r.Found || r.View.Fault != store.ErrTooLarge {
		t.Errorf("large: found %v, %v", r.Found, r.View.Fault)
	}
	if r := &reads[1]; !r.Found || string(r.View.Value) != "7" || reads[2].Found || reads[2].View.Fault != nil {
		t.Errorf("number: found %v, %q, %v; no key: %v", r.Found, r.View.Value, r.View.Fault, reads[2].Found)
	}
}

func testList(t *testing.T, c *clustertest.Cluster) {
	far := open(t, c, func(cfg *Config) { cfg.Prefix = "l[*]:" })
	const n = 5000
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for k := i; k < n; k += 8 {
				set(t, far, fmt.Sprintf("key%d", k), "value")
			}
		})
	}
	group.Wait()
	seen := map[string]int{}
	var place store.Cursor
	for more := true; more; {
		var err error
		if more, err = far.List(&place, func(r *store.Listed) bool {
			if seen[string(r.Key)]++; r.Size != len("value") {
				t.Errorf("%s has %d bytes", r.Key, r.Size)
			}
			return true
		}); err != nil {
			t.Fatal(err)
		}
		if place, err = far.ParseCursor(far.CursorText(place)); err != nil {
			t.Fatal(err)
		}
	}
	if len(seen) != n {
		t.Errorf("listed %d keys, want %d", len(seen), n)
	}
	if more, err := far.List(&place, func(*store.Listed) bool { t.Error("a key behind the last one"); return true }); more || err != nil {
		t.Errorf("behind the end: %v, %v", more, err)
	}
	if _, err := far.ParseCursor("12-34"); err == nil {
		t.Error("a cursor that is none was accepted")
	}
}

// testForeign has something else under the keys.
func testForeign(t *testing.T, c *clustertest.Cluster) {
	far := open(t, c, func(cfg *Config) { cfg.Prefix = "{x}" })
	owner := c.MasterOf(c.SlotOf("{x}"))
	for i, command := range [][]any{{"SET", "{x}k:a", "plain"}, {"LPUSH", "{x}k:b", "1"}} {
		if _, err := owner.Do(command[0].(string), command[1:]...); err != nil {
			t.Fatal(err)
		}
		key := []byte{byte('a' + i)}
		var v store.View
		if far.Acquire(key, &v) || !errors.Is(v.Fault, store.ErrForeign) {
			t.Errorf("get %s: %v", key, v.Fault)
		}
		for _, op := range []store.Op{store.Set, store.Add, store.Incr, store.Append, store.Delete, store.Touch} {
			if err := far.Commit(&store.Request{Op: op, Key: key, Value: []byte("x")}, new(store.Result)); !errors.Is(err, store.ErrForeign) {
				t.Errorf("operation %d on %s: %v", op, key, err)
			}
		}
	}
	set(t, far, "ours", "x")
	if n, err := walk(far); n != 1 || err != nil {
		t.Errorf("list: %d keys, %v", n, err)
	}
}

func testExpiry(t *testing.T, c *clustertest.Cluster) {
	far := open(t, c, func(cfg *Config) { cfg.Prefix = "e:" })
	for name, expires := range map[string]uint64{"past": 1, "now": uint64(far.Now())} {
		if err := far.Commit(&store.Request{Op: store.Set, Key: []byte(name), Expires: expires}, new(store.Result)); err != nil || has(t, far, name) {
			t.Errorf("a record that has expired %s: %v, is there", name, err)
		}
	}
	set(t, far, "k", "x")
	if err := far.Commit(&store.Request{Op: store.Touch, Key: []byte("k"), Expires: uint64(far.Now() + 100)}, new(store.Result)); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(testTimeout); has(t, far, "k"); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a touched record does not expire")
		}
	}
}
