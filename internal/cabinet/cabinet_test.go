package cabinet

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/futago/futago/internal/store"
)

// open returns a client of an empty store.
func open(t testing.TB, limit int) *Client {
	t.Helper()
	cfg := store.DefaultConfig()
	cfg.MinFree = 0
	st, err := store.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	return New(st, limit).Client(new(Scratch))
}

// misc calls a function and returns the list that it gives with | between, or the error.
func misc(c *Client, name string, args ...string) string {
	list := make([][]byte, len(args))
	for i, a := range args {
		list[i] = []byte(a)
	}
	got, err := c.Misc(context.Background(), name, list)
	if err != nil {
		return "error: " + err.Error()
	}
	return join(got)
}

func join(list [][]byte) string {
	var all []string
	for _, b := range list {
		all = append(all, string(b))
	}
	return strings.Join(all, "|")
}

func value(c *Client, key string) string {
	v, err := c.Get([]byte(key))
	if err != nil {
		return "error: " + err.Error()
	}
	return string(v)
}

func TestPuts(t *testing.T) {
	c := open(t, 1<<20)
	k := []byte("k")
	for _, step := range []struct {
		name string
		err  error
		do   func() error
		want string
	}{
		{"putcat creates", nil, func() error { return c.PutCat(k, []byte("ab")) }, "ab"},
		{"putcat appends", nil, func() error { return c.PutCat(k, []byte("cd")) }, "abcd"},
		{"putkeep keeps", store.ErrExists, func() error { return c.PutKeep(k, []byte("x")) }, "abcd"},
		{"putshl cuts", nil, func() error { return c.PutShl(k, []byte("ef"), 3) }, "def"},
		{"putshl cuts what is added", nil, func() error { return c.PutShl(k, []byte("123456"), 4) }, "3456"},
		{"putshl to a wide value", nil, func() error { return c.PutShl(k, []byte("7"), 9) }, "34567"},
		{"putshl to nothing", nil, func() error { return c.PutShl(k, []byte("7"), 0) }, ""},
		{"out", nil, func() error { return c.Out(k) }, "error: key not found"},
		{"out of nothing", store.ErrNotFound, func() error { return c.Out(k) }, "error: key not found"},
		{"putshl creates whole", nil, func() error { return c.PutShl(k, []byte("12345"), 2) }, "12345"},
		{"put", nil, func() error { return c.Put(k, nil) }, ""},
		{"an empty key", store.ErrKey, func() error { return c.Put(nil, nil) }, ""},
	} {
		before := c.c.store.(*store.Store).Last()
		if err := step.do(); !errors.Is(err, step.err) {
			t.Errorf("%s: %v, want %v", step.name, err, step.err)
		}
		if seq := c.Written(); (seq > before) != (step.err == nil) {
			t.Errorf("%s: waits for %d, the log was at %d", step.name, seq, before)
		}
		if got := value(c, "k"); got != step.want {
			t.Errorf("%s: the value is %q, want %q", step.name, got, step.want)
		}
	}
}

func TestNumbers(t *testing.T) {
	c := open(t, 1<<20)
	k := []byte("n")
	for _, step := range []struct{ add, want int32 }{{0, 0}, {5, 5}, {-7, -2}, {math.MinInt32, math.MaxInt32 - 1}, {2, math.MinInt32}} {
		if got, err := c.AddInt(k, step.add); got != step.want || err != nil {
			t.Errorf("add %d: got %d and %v, want %d", step.add, got, err, step.want)
		}
	}
	if got := value(c, "n"); got != "\x00\x00\x00\x80" {
		t.Errorf("the value is %q", got)
	}
	if _, err := c.AddDouble(k, 1); !errors.Is(err, store.ErrNotNumeric) {
		t.Errorf("adddouble to 4 bytes: %v", err)
	}
	d := []byte("d")
	if _, err := c.AddDouble(d, math.NaN()); !errors.Is(err, store.ErrNotNumeric) || value(c, "d") != value(c, "none") {
		t.Errorf("no number to nothing: %v, and the value is %q", err, value(c, "d"))
	}
	if got, err := c.AddDouble(d, -0.75); got != -0.75 || err != nil {
		t.Errorf("adddouble: %v, %v", got, err)
	}
	if got, err := c.AddDouble(d, math.Inf(1)); !math.IsInf(got, 1) || err != nil {
		t.Errorf("to infinity: %v, %v", got, err)
	}
	if _, err := c.AddDouble(d, math.Inf(-1)); !errors.Is(err, store.ErrNotNumeric) {
		t.Errorf("a sum that is no number: %v", err)
	}
	if got, err := c.AddDouble(d, 1); !math.IsInf(got, 1) || err != nil {
		t.Errorf("behind it: %v, %v", got, err)
	}
	if _, err := c.AddInt(d, 1); !errors.Is(err, store.ErrNotNumeric) {
		t.Errorf("addint to 8 bytes: %v", err)
	}
}

func TestMisc(t *testing.T) {
	c := open(t, 1<<20)
	for _, step := range []struct{ call, want string }{
		{"put one 1", ""}, {"putkeep one 2", "error: key exists"}, {"putcat one 1", ""}, {"get one", "11"}, {"get two", "error: key not found"},
		{"error", "22: no record found"}, {"get one", "11"}, {"error", "0: success"},
		{"putlist a 1 b 2 c 3 odd", ""}, {"getlist c a none a", "c|3|a|1|a|1"}, {"outlist a none", ""}, {"getlist a b", "b|2"},
		{"out b", ""}, {"out b", "error: key not found"}, {"put part 0123456789", ""}, {"getpart part", "0123456789"}, {"getpart part 3", "3456789"},
		{"getpart part 3 4", "3456"}, {"getpart part 9 9", "9"}, {"getpart part 3 0", ""}, {"getpart part 10", "error: invalid arguments"},
		{"getpart part -3 2", "01"}, {"getpart none", "error: key not found"},
		{"range b 0 p", "c|3|one|11"}, {"range b 1", "c|3"}, {"range", "c|3|one|11|part|0123456789"}, {"range p", "part|0123456789"},
		{"regex ^(one|c)$", "c|3|one|11"}, {"regex . 1", "c|3"}, {"regex *^ONE$", "one|11"}, {"regex ^ONE$", ""}, {"regex *PART", "part|0123456789"},
		{"sync", ""}, {"optimize bnum=1", ""}, {"defrag", ""}, {"cacheclear", ""},
		{"iternext", "error: no more keys"}, {"iterinit none", "error: key not found"}, {"iterinit one", ""},
		{"nosuch", "error: no such function"}, {"putdup a 1", "error: no such function"}, {"put one", "error: invalid arguments"}, {"PUT a b", "error: no such function"},
		{"vanish", ""}, {"range", ""}, {"iterinit", ""}, {"iternext", "error: no more keys"},
	} {
		words := strings.Fields(step.call)
		if got := misc(c, words[0], words[1:]...); got != step.want {
			t.Errorf("%s: got %q, want %q", step.call, got, step.want)
		}
	}
	if n, size := c.RNum(), c.Size(); n != 0 || size != 0 {
		t.Errorf("after vanish there are %d records of %d bytes", n, size)
	}
	if got := misc(c, "regex", "(("); !strings.HasPrefix(got, "error: invalid arguments") {
		t.Errorf("a bad pattern: %q", got)
	}
}

// Every key comes once, whatever happens to others; what is deleted before it comes does not come.
func TestCursor(t *testing.T) {
	c := open(t, 1<<20)
	const n = 3000
	for i := range n {
		if err := c.Put(fmt.Appendf(nil, "key %d", i), []byte("v")); err != nil {
			t.Fatal(err)
		}
	}
	other := c.c.Client(new(Scratch))
	if err := c.IterInit(); err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for {
		key, err := c.IterNext()
		if errors.Is(err, ErrEnd) {
			break
		}
		seen[string(key)]++
		if len(seen) == 100 {
			for i := range n {
				if gone := fmt.Sprintf("key %d", i); i%2 == 0 && seen[gone] == 0 {
					other.Out([]byte(gone))
				}
			}
		}
	}
	for key, times := range seen {
		if times != 1 {
			t.Errorf("%s came %d times", key, times)
		}
	}
	for i := range n {
		key := fmt.Sprintf("key %d", i)
		if _, there := seen[key]; there == (value(c, key) != "v") && !there {
			t.Errorf("%s: came %v, is there %v", key, there, value(c, key))
		}
	}
	if len(seen) < n/2 || len(seen) > n/2+100 {
		t.Errorf("%d keys came", len(seen))
	}
	if err := c.IterInitAt([]byte("key 1")); err != nil {
		t.Fatal(err)
	}
	if got := misc(c, "iternext"); got != "key 1|v" {
		t.Errorf("from a key on: %q", got)
	}
}

func TestKeysInOrder(t *testing.T) {
	c := open(t, 1<<20)
	const n = 5000
	var all []string
	for i := range n {
		key := fmt.Sprintf("k%06d", i*7919%n)
		all = append(all, key)
		if err := c.Put([]byte(key), nil); err != nil {
			t.Fatal(err)
		}
	}
	c.Put([]byte("other"), nil)
	slices.Sort(all)
	for _, most := range []int{-1, 0, 1, 10, 700, n, n + 1} {
		got, err := c.FwmKeys(t.Context(), []byte("k"), most)
		want := all
		if most >= 0 {
			want = all[:min(most, n)]
		}
		if err != nil || join(got) != strings.Join(want, "|") {
			t.Errorf("%d: got %d keys and %v, want %d", most, len(got), err, len(want))
		}
	}
	c.Sees = func(key []byte) bool { return key[len(key)-1] == '3' }
	if got, _ := c.FwmKeys(t.Context(), nil, 2); join(got) != "k000003|k000013" {
		t.Errorf("of those that are seen: %q", join(got))
	}
}

// Lists that would take more than they may fail, and take no more meanwhile.
func TestLimit(t *testing.T) {
	c := open(t, 256<<10)
	big := make([]byte, 200<<10)
	for _, key := range []string{"a", "b"} {
		if err := c.Put([]byte(key), big); err != nil {
			t.Fatal(err)
		}
	}
	if got := misc(c, "getlist", "a", "b"); got != "error: "+ErrTooMuch.Error() {
		t.Errorf("getlist: %.60q", got)
	}
	if got := misc(c, "getlist", "a"); len(got) != 2+len(big) {
		t.Errorf("one: %.60q", got)
	}
	for i := range 10_000 {
		c.Put(fmt.Appendf(nil, "%032d", i), nil)
	}
	if _, err := c.FwmKeys(t.Context(), nil, -1); !errors.Is(err, ErrTooMuch) {
		t.Errorf("fwmkeys of all: %v", err)
	}
	if keys, err := c.FwmKeys(t.Context(), nil, 100); len(keys) != 100 || err != nil {
		t.Errorf("fwmkeys of 100: %d, %v", len(keys), err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.FwmKeys(ctx, nil, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("called off: %v", err)
	}
}

func FuzzPattern(f *testing.F) {
	for _, p := range []string{"a", "*^A.*z$", "((", "[[:alpha:]]+", "a{1000}{1000}", "\xff"} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p string) {
		re, err := Pattern(p)
		if (re == nil) == (err == nil) {
			t.Errorf("%q: %v, %v", p, re, err)
		}
	})
}

// A cursor says beforehand whether it has a key at hand, and looks for one no longer than a step.
func TestCursorIsReady(t *testing.T) {
	c := open(t, 1<<20)
	for i := range 10_000 {
		if err := c.Put(fmt.Appendf(nil, "k%d", i), nil); err != nil {
			t.Fatal(err)
		}
	}
	if !c.Ready() {
		t.Error("before the beginning: want ready, there is no key")
	}
	for _, sees := range []bool{true, false} {
		c.Sees = func([]byte) bool { return sees }
		if err := c.IterInit(); err != nil {
			t.Fatal(err)
		}
		if got := c.Ready(); got != sees {
			t.Errorf("keys that are seen are %v: ready is %v", sees, got)
		}
		if _, err := c.IterNext(); (err == nil) != sees {
			t.Errorf("keys that are seen are %v: next is %v", sees, err)
		}
	}
}
