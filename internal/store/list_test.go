package store

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/futago/futago/internal/vfs"
)

// listAll walks over all keys in steps of at most step records.
func listAll(t *testing.T, s *Store, step int, each func(r *Listed)) {
	t.Helper()
	var c Cursor
	for more := true; more; {
		n := 0
		more, _ = s.List(&c, func(r *Listed) bool {
			each(r)
			n++
			return n < step
		})
	}
}

func TestList(t *testing.T) {
	w := newWall()
	s := open(t, testConfig(1, vfs.Memory(), w))
	defer s.Close()
	set(t, s, "plain", "value")
	do(t, s, Request{Op: Set, Key: []byte("number"), Value: []byte("41")})
	do(t, s, Request{Op: Incr, Key: []byte("number"), Delta: 1_000})
	at := uint64(s.Now() + 5_000)
	do(t, s, Request{Op: Set, Key: []byte("timed"), Value: []byte("v"), Expires: at})
	do(t, s, Request{Op: Set, Key: []byte("expired"), Value: []byte("v"), Expires: 1})
	set(t, s, "deleted", "v")
	do(t, s, Request{Op: Delete, Key: []byte("deleted")})
	stored := s.Now() / 1000
	if _, ok := get(s, "plain"); !ok {
		t.Fatal("no record")
	}
	got := map[string]Listed{}
	listAll(t, s, 1, func(r *Listed) { got[string(r.Key)] = *r })
	if len(got) != 3 {
		t.Errorf("listed %d keys, want plain, number and timed: %v", len(got), got)
	}
	for key, want := range map[string]Listed{
		"plain": {Size: 5, Read: true}, "number": {Size: 4}, "timed": {Size: 1, Expires: at},
	} {
		g := got[key]
		if g.Size != want.Size || g.Expires != want.Expires || g.Read != want.Read || g.Accessed != stored || g.Stored <= len(key) {
			t.Errorf("%s: got %+v, want size %d, expires %d, read %v, accessed %d", key, g, want.Size, want.Expires, want.Read, stored)
		}
		var v View
		if !s.Peek([]byte(key), &v) {
			t.Fatalf("no record %s", key)
		}
		if g.Token != v.Token {
			t.Errorf("%s: listed token %d, want %d", key, g.Token, v.Token)
		}
		v.Release()
	}
}

// What is there all the time is listed exactly once, while other keys come and go, it is overwritten, the index grows and
// the log is compacted.
func TestListDuringChanges(t *testing.T) {
	c := testConfig(1, vfs.Memory(), nil)
	c.CompactRate = 1 << 40
	s := open(t, c)
	defer s.Close()
	const kept = 20_000
	for i := range kept {
		set(t, s, "kept"+strconv.Itoa(i), "v")
	}
	stop := make(chan struct{})
	var busy sync.WaitGroup
	defer busy.Wait()
	defer close(stop)
	busy.Go(func() {
		rng := rand.New(rand.NewPCG(1, 1))
		var res Result
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			for _, req := range []Request{
				{Op: Set, Key: fmt.Appendf(nil, "kept%d", rng.IntN(kept)), Value: []byte("w")},
				{Op: Set, Key: fmt.Appendf(nil, "new%d", i), Value: []byte("w")},
				{Op: Delete, Key: fmt.Appendf(nil, "new%d", i/2)},
			} {
				if err := s.Commit(&req, &res); err != nil && err != ErrNotFound {
					t.Errorf("%v: %v", req.Op, err)
					return
				}
			}
			if i%1000 == 0 {
				s.Flush()
				s.CompactOnce()
			}
		}
	})
	before := s.Stats().Compactions
	for end := time.Now().Add(time.Minute); ; {
		got := map[string]int{}
		listAll(t, s, 100, func(r *Listed) { got[string(r.Key)]++ })
		for i := range kept {
			if n := got["kept"+strconv.Itoa(i)]; n != 1 {
				t.Fatalf("kept%d was listed %d times", i, n)
			}
		}
		if s.Stats().Compactions > before+2 {
			return
		}
		if time.Now().After(end) {
			t.Fatal("nothing was compacted")
		}
	}
}

// A walk goes on from the text of its cursor; in the store of another node it repeats a part at most, and misses nothing.
func TestListGoesOnFromText(t *testing.T) {
	w := newWall()
	a, b := open(t, testConfig(1, vfs.Memory(), w)), open(t, testConfig(2, vfs.Memory(), w))
	defer a.Close()
	defer b.Close()
	const keys = 20_000
	for i := range keys {
		set(t, a, strconv.Itoa(i), "v")
		set(t, b, strconv.Itoa(i), "v")
	}
	for _, next := range []*Store{a, b} {
		seen := map[string]int{}
		var c Cursor
		more, s := true, a
		for more {
			n := 0
			more, _ = s.List(&c, func(r *Listed) bool {
				seen[string(r.Key)]++
				n++
				return n < 1000
			})
			text := s.CursorText(c)
			if len(seen) > keys/2 {
				s = next
			}
			var err error
			if c, err = s.ParseCursor(text); err != nil {
				t.Fatal(err)
			}
		}
		again := 0
		for _, n := range seen {
			again += n - 1
		}
		if len(seen) != keys || again > keys/100 || next == a && again > 0 {
			t.Errorf("on a and then %d: got %d keys, %d of them again, want all %d", next.cfg.Node, len(seen), again, keys)
		}
	}
}

func FuzzParseCursor(f *testing.F) {
	s, err := Open(testConfig(1, vfs.Memory(), newWall()))
	if err != nil {
		f.Fatal(err)
	}
	defer s.Close()
	for _, text := range []string{"", "1-2-3", "1024-ffffffff-0", s.CursorText(Cursor{}), s.CursorText(Cursor{part: shardCount}), s.CursorText(Cursor{part: 7, tag: 9})} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := s.ParseCursor(text)
		if err != nil {
			return
		}
		_, _ = s.List(&c, func(*Listed) bool { return true })
		again, err := s.ParseCursor(s.CursorText(c))
		if err != nil || again != c {
			t.Errorf("cursor %+v of %q: read back as %+v, %v", c, text, again, err)
		}
	})
}
