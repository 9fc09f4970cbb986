package ulog

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/record"
	"github.com/futago/futago/internal/vfs"
)

// history is all that was appended: entry i has sequence i+1.
type history struct {
	mu   sync.Mutex
	recs [][]byte
}

func (h *history) add(raw []byte) {
	h.mu.Lock()
	h.recs = append(h.recs, raw)
	h.mu.Unlock()
}

func (h *history) upTo(seq uint64) [][]byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.recs[:min(seq, uint64(len(h.recs)))]
}

// cut forgets what a crash took.
func (h *history) cut(seq uint64) *history {
	return &history{recs: slices.Clone(h.upTo(seq))}
}

// owner is what the store is to a log: the index of live entries.
type owner struct {
	l *Log

	mu      sync.Mutex
	keys    map[uint64]uint64 // hash to location
	special map[string]uint64 // mark by name, floor: the newest
	specSeq map[string]uint64
	reading sync.RWMutex // held by who reads at a location
}

// name is the identity of a floor or mark.
func name(raw record.Raw) (string, bool) {
	switch raw.Kind() {
	case record.Floor:
		return "floor", true
	case record.Mark:
		return "mark " + string(raw.Key()), true
	}
	return "", false
}

// config of a log that rotates often.
func config(fs vfs.FS, p Policy) Config {
	return Config{FS: fs, Node: 1, SegmentSize: 4096, Policy: p, SyncInterval: time.Millisecond}
}

// openOwned opens a log and rebuilds its index.
func openOwned(cfg Config) (*owner, error) {
	o := &owner{keys: map[uint64]uint64{}, special: map[string]uint64{}, specSeq: map[string]uint64{}}
	cfg.Quiesce = func() {
		o.reading.Lock()
		//lint:ignore SA2001 passing the lock is the point
		o.reading.Unlock()
	}
	l, err := Open(cfg, Recovery{
		Opened: func(l *Log) { o.l = l },
		Hint: func(hash, loc uint64, size int64, tombstone bool) {
			o.mu.Lock()
			defer o.mu.Unlock()
			if _, twice := o.keys[hash]; twice {
				panic(fmt.Sprintf("hash %x was recovered twice", hash))
			}
			o.keys[hash] = loc
		},
		Entry: func(e Entry) {
			o.mu.Lock()
			defer o.mu.Unlock()
			o.takeLocked(e.Raw, e.Seq, e.Loc)
		},
	})
	if err != nil {
		return nil, err
	}
	o.l = l
	return o, nil
}

// takeLocked points the index to an entry.
func (o *owner) takeLocked(raw record.Raw, seq, loc uint64) {
	if n, ok := name(raw); ok {
		if seq > o.specSeq[n] {
			o.special[n], o.specSeq[n] = loc, seq
		}
		return
	}
	h := o.l.Hash(raw.Key())
	if old, ok := o.keys[h]; ok {
		raw, _ := o.l.Read(old) // damaged: the books are wrong by one entry
		o.l.AddLive(old, -int64(len(raw)))
	}
	o.keys[h] = loc
	o.l.AddLive(loc, int64(len(raw)))
}

// append appends a record and indexes it.
func (o *owner) append(r *record.Record, h *history) error {
	o.reading.RLock()
	defer o.reading.RUnlock()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.l.Lock()
	seq, loc, err := o.l.Append(r)
	if err == nil && h != nil {
		h.add(r.Append(nil))
	}
	o.l.Unlock()
	if err != nil {
		return err
	}
	o.takeLocked(record.Raw(r.Append(nil)), seq, loc)
	return nil
}

func (o *owner) compaction() Compaction {
	return Compaction{
		Live: func(e Entry) bool {
			o.mu.Lock()
			defer o.mu.Unlock()
			if n, ok := name(e.Raw); ok {
				return o.special[n] == e.Loc
			}
			return o.keys[o.l.Hash(e.Raw.Key())] == e.Loc
		},
		Indexed: func(hash, loc uint64) bool {
			o.mu.Lock()
			defer o.mu.Unlock()
			return o.keys[hash] == loc
		},
		Moved: func(raw record.Raw, old, new uint64) bool {
			o.mu.Lock()
			defer o.mu.Unlock()
			if n, ok := name(raw); ok {
				if o.special[n] != old {
					return false
				}
				o.special[n] = new
				return true
			}
			h := o.l.Hash(raw.Key())
			if o.keys[h] != old {
				return false
			}
			o.keys[h] = new
			o.l.AddLive(old, -int64(len(raw)))
			o.l.AddLive(new, int64(len(raw)))
			return true
		},
		Pace: func(int64) bool { return true },
	}
}

// compact compacts the sealed segments that keep picks; none is no error.
func (o *owner) compact(keep func(s SegmentInfo) bool) error {
	var ids []uint64
	room := o.l.cfg.SegmentSize * 3 / 4
	for _, s := range o.l.Sealed() {
		if keep(s) && s.Live <= room {
			room -= s.Live
			ids = append(ids, s.ID)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	return o.l.Compact(ids, o.compaction())
}

// check compares all that the log holds with what was appended: the index with the newest entry of each key, the stream
// with every entry in order.
func (o *owner) check(h *history) error {
	last := o.l.Last()
	recs := h.upTo(last)
	if uint64(len(recs)) != last {
		return fmt.Errorf("log ends at %d, only %d entries were appended", last, len(recs))
	}
	o.reading.RLock()
	defer o.reading.RUnlock()
	o.mu.Lock()
	defer o.mu.Unlock()
	newest, special := map[uint64][]byte{}, map[string][]byte{}
	for _, raw := range recs {
		if n, ok := name(raw); ok {
			special[n] = raw
		} else {
			newest[o.l.Hash(record.Raw(raw).Key())] = raw
		}
	}
	for hash, want := range newest {
		loc, ok := o.keys[hash]
		if !ok {
			return fmt.Errorf("key %q is lost", record.Raw(want).Key())
		}
		if got := o.l.At(loc); !bytes.Equal(got, want) {
			return fmt.Errorf("key %q: got %x want %x", record.Raw(want).Key(), []byte(got), want)
		}
	}
	for n, want := range special {
		loc, ok := o.special[n]
		if !ok {
			return fmt.Errorf("%s is lost", n)
		}
		if got := o.l.At(loc); !bytes.Equal(got, want) {
			return fmt.Errorf("%s: got %x want %x", n, []byte(got), want)
		}
	}
	if len(o.keys) != len(newest) || len(o.special) != len(special) {
		return fmt.Errorf("%d keys and %d specials, want %d and %d", len(o.keys), len(o.special), len(newest), len(special))
	}
	return o.checkStream(recs)
}

func (o *owner) checkStream(recs [][]byte) error {
	from := o.l.streamFrom.Load()
	if o.l.Written() <= from {
		return nil
	}
	r, err := o.l.ReadAfterSeq(from)
	if err != nil {
		return fmt.Errorf("read after %d: %w", from, err)
	}
	defer r.Close()
	next := from + 1
	for e, ok := r.Next(); ok && e.Seq <= uint64(len(recs)); e, ok = r.Next() {
		if e.Seq != next {
			return fmt.Errorf("stream: got sequence %d, want %d", e.Seq, next)
		}
		if want := recs[e.Seq-1]; !bytes.Equal(e.Raw, want) {
			return fmt.Errorf("stream at %d: got %x want %x", e.Seq, []byte(e.Raw), want)
		}
		next++
	}
	if end := min(o.l.Written(), uint64(len(recs))); next != end+1 {
		return fmt.Errorf("stream ended at %d, written is %d", next-1, end)
	}
	return nil
}

func (o *owner) close(t testing.TB) {
	t.Helper()
	if err := o.l.Close(); err != nil {
		t.Fatal(err)
	}
}

func mustOpen(t testing.TB, cfg Config) *owner {
	t.Helper()
	o, err := openOwned(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// maker makes records.
type maker struct {
	rng   *rand.Rand
	clock hlc.Stamp
	keys  int
}

func newMaker(seed uint64) *maker {
	return &maker{rng: rand.New(rand.NewPCG(seed, 99)), clock: hlc.Make(1, 0, 1), keys: 40}
}

func (m *maker) stamp() hlc.Stamp {
	m.clock += 1 << 10
	return m.clock
}

// next makes a random record; one in a hundred does not fit a segment of config.
func (m *maker) next() record.Record {
	r := record.Record{Kind: record.Value, Stamp: m.stamp(), Flags: m.rng.Uint32(), Key: fmt.Appendf(nil, "key%d", m.rng.IntN(m.keys))}
	switch p := m.rng.IntN(100); {
	case p < 10:
		r.Kind, r.Flags = record.Tombstone, 0
	case p < 20:
		return m.counter(r)
	case p < 23:
		return record.NewFloor(r.Stamp, r.Stamp)
	case p < 26:
		return record.Record{Kind: record.Mark, Key: fmt.Appendf(nil, "m%d", m.rng.IntN(3)), Value: strconv.AppendUint(nil, m.rng.Uint64(), 10)}
	case p < 27:
		r.Value = m.bytes(4000 + m.rng.IntN(4000))
	case p < 30:
		r.Value, r.Type = m.bytes(m.rng.IntN(2000)), []byte("text/plain")
	default:
		r.Value, r.Expires = m.bytes(m.rng.IntN(200)), uint64(m.rng.IntN(1000))
	}
	return r
}

func (m *maker) counter(r record.Record) record.Record {
	base := record.Record{Kind: record.Value, Stamp: r.Stamp, Key: r.Key, Value: []byte("5")}
	r, _ = record.Contribute(&base, record.Author{Stamp: m.stamp(), Epoch: 7}, true, 3, nil)
	return r
}

func (m *maker) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(m.rng.Uint32())
	}
	return b
}

// seeds are the runs of a random test: n, or as many as FUTAGO_SEEDS says.
func seeds(t *testing.T, n uint64) []uint64 {
	t.Helper()
	if s := os.Getenv("FUTAGO_SEEDS"); s != "" {
		v, err := strconv.ParseUint(s, 10, 32)
		if err != nil {
			t.Fatalf("FUTAGO_SEEDS: %v", err)
		}
		n = v
	}
	list := make([]uint64, n)
	for i := range list {
		list[i] = uint64(i)
	}
	return list
}

// until waits for a condition that the log's own goroutines bring about.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(50 * time.Microsecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// safe waits until all that was appended is durable.
func (o *owner) safe(t testing.TB) {
	t.Helper()
	o.l.Flush()
	if err := o.l.Sync(); err != nil {
		t.Fatal(err)
	}
}

func wantCorrupt(t *testing.T, err error) *CorruptError {
	t.Helper()
	var ce *CorruptError
	if !errors.As(err, &ce) {
		t.Fatalf("open: got %v, want a *CorruptError", err)
	}
	return ce
}
