package backup

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/futago/futago/internal/feed"
	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/record"
	"github.com/futago/futago/internal/store"
	"github.com/futago/futago/internal/vfs"
	"github.com/zeebo/xxh3"
)

func openStore(t testing.TB, adapt func(*store.Config)) *store.Store {
	t.Helper()
	cfg := store.DefaultConfig()
	if adapt != nil {
		adapt(&cfg)
	}
	st, err := store.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	return st
}

// wall is a clock that a test moves.
type wall struct{ past atomic.Int64 }

func (w *wall) now() time.Time {
	return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Add(time.Duration(w.past.Load()))
}

func (w *wall) advance(d time.Duration) time.Time {
	w.past.Add(int64(d))
	return w.now()
}

func do(t testing.TB, st *store.Store, req store.Request) {
	t.Helper()
	var res store.Result
	if err := st.Commit(&req, &res); err != nil {
		t.Fatal(err)
	}
	st.Flush()
}

func set(t testing.TB, st *store.Store, key, value string) {
	t.Helper()
	do(t, st, store.Request{Op: store.Set, Key: []byte(key), Value: []byte(value)})
}

func newSource(st *store.Store, node int) *Source {
	return NewSource(SourceConfig{Store: st, Node: node, Program: "0.1.0"})
}

func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}

// take makes a backup: a full one, or what follows an earlier one.
func take(t testing.TB, s *Source, after []byte) []byte {
	t.Helper()
	b, err := tryTake(s, after)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func tryTake(s *Source, after []byte) ([]byte, error) {
	var req Request
	if after != nil {
		info, err := ReadInfo(bytes.NewReader(after), int64(len(after)))
		if err != nil {
			return nil, err
		}
		from, err := feed.ParsePosition(info.Position)
		if err != nil {
			return nil, err
		}
		req.From, req.Parent = &from, info.ID
	}
	var out bytes.Buffer
	_, err := s.write(context.Background(), &out, req)
	return out.Bytes(), err
}

// restore makes a folder of a chain and opens it as a node.
func restore(t testing.TB, until time.Time, chain ...[]byte) (*store.Store, *Restored) {
	t.Helper()
	fs, done, err := tryRestore(until, chain...)
	if err != nil {
		t.Fatal(err)
	}
	return openStore(t, func(c *store.Config) { c.FS, c.Node, c.SegmentSize = fs, done.Node, 4<<20 }), done
}

func tryRestore(until time.Time, chain ...[]byte) (vfs.FS, *Restored, error) {
	fs := vfs.Memory()
	done, err := Restore(context.Background(), RestoreConfig{To: fs, SegmentSize: 4 << 20, Until: until, Open: func() (io.ReadCloser, error) {
		if len(chain) == 0 {
			return nil, nil
		}
		next := io.NopCloser(bytes.NewReader(chain[0]))
		chain = chain[1:]
		return next, nil
	}})
	return fs, done, err
}

// dump is every record of a store by key, in words, without what a flush has killed.
func dump(st *store.Store) map[string]string {
	all := map[string]string{}
	each(st, func(r *record.Record) { all[string(r.Key)] = describe(r) })
	return all
}

// stamps is the newest stamp of every record by key.
func stamps(st *store.Store) map[string]hlc.Stamp {
	all := map[string]hlc.Stamp{}
	each(st, func(r *record.Record) { all[string(r.Key)] = r.Stamp })
	return all
}

func each(st *store.Store, f func(r *record.Record)) {
	st.SweepFlush()
	st.BeginScan()
	defer st.EndScan()
	for part := range store.ScanParts {
		st.ScanPart(part, func(r *record.Record) bool { f(r); return false }, func() bool { return true })
	}
}

func describe(r *record.Record) string {
	return fmt.Sprintf("%v %v flags %d expires %d unique %d created %v gen %v type %q value of %d, %x, %.40q",
		r.Kind, r.Stamp, r.Flags, r.Expires, r.Unique, r.Created, r.Gen(), r.Type, len(r.Value), xxh3.Hash(r.Value), r.Value)
}

func wantSame(t testing.TB, what string, got, want map[string]string) {
	t.Helper()
	if maps.Equal(got, want) {
		return
	}
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if got[key] != want[key] {
			fmt.Fprintf(&b, "%q\n  got  %.300s\n  want %.300s\n", key, got[key], want[key])
		}
	}
	for _, key := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[key]; !ok {
			fmt.Fprintf(&b, "%q\n  got  %.300s\n  want nothing\n", key, got[key])
		}
	}
	t.Fatalf("%s: %d records, want %d:\n%.3000s", what, len(got), len(want), b.String())
}
