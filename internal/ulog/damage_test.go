package ulog

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/futago/futago/internal/record"
	"github.com/futago/futago/internal/vfs"
)

// ground is a log on a real disk whose files a test damages under its mappings.
type ground struct {
	*owner
	dir string
	cfg Config
	h   *history
	m   *maker
}

func newGround(t *testing.T) *ground {
	t.Helper()
	dir := t.TempDir()
	fs, err := vfs.OS(dir)
	if err != nil {
		t.Fatal(err)
	}
	cfg := config(fs, Never)
	cfg.SyncInterval = time.Hour // only the test syncs
	return &ground{owner: mustOpen(t, cfg), dir: dir, cfg: cfg, h: &history{}, m: newMaker(3)}
}

// write appends n small values, each of a key of its own, and hands them to the system.
func (g *ground) write(t *testing.T, n int) {
	t.Helper()
	for range n {
		r := value(g.m, fmt.Sprintf("key%d", len(g.h.recs)), "0123456789012345678901234567890123456789")
		if err := g.append(&r, g.h); err != nil {
			t.Fatal(err)
		}
	}
	g.l.Flush()
}

// spoil flips a bit at an offset of an entry's file.
func (g *ground) spoil(t *testing.T, loc uint64, at int64) (name string, off int64) {
	t.Helper()
	seg, off := g.l.locate(loc)
	f, err := os.OpenFile(filepath.Join(g.dir, seg.name()), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], off+at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 4
	if _, err := f.WriteAt(b[:], off+at); err != nil {
		t.Fatal(err)
	}
	return seg.name(), off
}

// loc is where the entry of a sequence lies, of a log of write.
func (g *ground) loc(seq uint64) uint64 {
	return g.keys[g.l.Hash(fmt.Appendf(nil, "key%d", seq-1))]
}

func (g *ground) reopen(t *testing.T) {
	t.Helper()
	g.close(t)
	g.owner = mustOpen(t, g.cfg)
}

// good checks that exactly the entries of the sequences in lost cannot be read, and says so.
func (g *ground) good(t *testing.T, lost ...uint64) {
	t.Helper()
	for i, want := range g.h.recs {
		seq := uint64(i + 1)
		raw, err := g.l.Read(g.loc(seq))
		if slices.Contains(lost, seq) {
			wantCorrupt(t, err)
		} else if err != nil || !bytes.Equal(raw, want) {
			t.Fatalf("entry %d: got %x, %v", seq, []byte(raw), err)
		}
	}
}

// A damaged entry is not streamed: peers behind the end of its segment get a snapshot, those in front of it go on.
func TestStreamMeetsDamage(t *testing.T) {
	for _, at := range []int64{0, 3, 4, 9, 17, 20, 60, 90} { // size, checksum, sequence, distance, record
		g := newGround(t)
		g.write(t, 100)
		g.sealed(t)
		name, off := g.spoil(t, g.loc(50), at)
		seg, _ := g.l.locate(g.loc(50))
		last := seg.last.Load()
		var at []Position
		read := func(p Position) (n uint64, gone bool) {
			r, err := g.l.ReadAfter(p)
			if errors.Is(err, ErrGone) {
				return 0, true
			}
			if err != nil {
				t.Fatalf("flip at %d of %s: read after %d: %v", off, name, p.Seq, err)
			}
			defer r.Close()
			for e, ok := r.Next(); ok; e, ok = r.Next() {
				if !bytes.Equal(e.Raw, g.h.recs[e.Seq-1]) {
					t.Fatalf("entry %d is wrong", e.Seq)
				}
				at = append(at, Position{g.l.Identity(), e.Seq, e.CRC})
				n++
			}
			return n, r.Gone()
		}
		if n, gone := read(Position{g.l.Identity(), last, g.crc(t, last)}); n != 100-last || gone {
			t.Fatalf("a peer behind the damage got %d entries of %d, gone %v", n, 100-last, gone)
		}
		at = nil
		if n, gone := read(Position{}); n != 49 || !gone {
			t.Fatalf("%d entries in front of the damage, gone %v", n, gone)
		}
		if g.l.Damage() != 1 {
			t.Errorf("%d places are counted as damaged", g.l.Damage())
		}
		for range 2 {
			for _, p := range at {
				if _, err := g.l.ReadAfter(p); !errors.Is(err, ErrGone) {
					t.Fatalf("read after %d: got %v, want ErrGone", p.Seq, err)
				}
			}
			if got := g.l.streamFrom.Load(); got != last {
				t.Fatalf("stream begins behind %d, want %d", got, last)
			}
			g.good(t, 50)
			g.reopen(t) // the manifest remembers
		}
		g.close(t)
	}
}

// crc is the checksum of the entry of a sequence.
func (g *ground) crc(t *testing.T, seq uint64) uint32 {
	t.Helper()
	seg, off := g.l.locate(g.loc(seq))
	e, err := seg.entryAt(g.l.sums, off, seg.size)
	if err != nil {
		t.Fatal(err)
	}
	return e.CRC
}

// In the segment that is being written to, the stream goes on with what is appended after the damage was met, and a start
// refuses.
func TestStreamMeetsDamageInTheTail(t *testing.T) {
	for _, at := range []int64{0, 9, 60} {
		g := newGround(t)
		g.write(t, 20)
		g.spoil(t, g.loc(10), at)
		end := g.l.End()
		r, err := g.l.ReadAfterSeq(0)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, ok := r.Next(); ok; _, ok = r.Next() {
			n++
		}
		if n != 9 || !r.Gone() {
			t.Fatalf("%d entries, gone %v", n, r.Gone())
		}
		r.Close()
		r, err = g.l.ReadAfterSeq(end.Seq) // as a snapshot begins
		if err != nil {
			t.Fatal(err)
		}
		g.write(t, 5)
		for want := uint64(21); want <= 25; want++ {
			if e, ok := r.Next(); !ok || e.Seq != want {
				t.Fatalf("got %d %v, want %d", e.Seq, ok, want)
			}
		}
		r.Close()
		r, err = g.l.ReadAfter(Position{end.Life, 22, g.crc(t, 22)})
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := r.Next(); !ok || e.Seq != 23 {
			t.Fatalf("got %d %v, want 23", e.Seq, ok)
		}
		r.Close()
		g.close(t)
		_, err = openOwned(g.cfg)
		if ce := wantCorrupt(t, err); ce.Seq != 10 {
			t.Fatal(err)
		}
	}
}

// A segment that is damaged before it has its hint is sealed without what is lost, and the next life knows of the hole.
func TestSealMeetsDamage(t *testing.T) {
	for _, at := range []int64{0, 9, 60} {
		for _, seqs := range [][]uint64{{1}, {7}, {7, 8, 20}, {0}} {
			g := newGround(t)
			g.write(t, 100)
			seg, _ := g.l.locate(g.loc(1))
			for i := range seqs {
				if seqs[i] == 0 {
					seqs[i] = seg.last.Load()
				}
				g.spoil(t, g.loc(seqs[i]), at)
			}
			g.sealed(t)
			if g.l.Hole() {
				t.Fatal("a hole of this life is reported")
			}
			g.good(t, seqs...)
			life := g.l.Identity()
			for range 2 {
				g.reopen(t)
				if !g.l.Hole() || g.l.Identity() == life || !g.l.Renewed() {
					t.Fatalf("hole %v, life %v, was %v", g.l.Hole(), g.l.Identity(), life)
				}
				g.l.manMu.Lock()
				h := g.l.man.Holes[0]
				g.l.manMu.Unlock()
				if h.First != seqs[0] || h.Last != seqs[len(seqs)-1] || h.Life != life {
					t.Fatalf("hole %+v, lost are %v", h, seqs)
				}
				if len(g.keys) != 100-len(seqs) {
					t.Fatalf("%d keys, lost are %v", len(g.keys), seqs)
				}
			}
			second := g.l.Identity()
			if err := g.l.CloseHole(); err != nil || g.l.Hole() {
				t.Fatalf("close hole: %v, still there %v", err, g.l.Hole())
			}
			g.reopen(t)
			if g.l.Hole() || g.l.Identity() != second {
				t.Fatal("the hole came back")
			}
			g.close(t)
		}
	}
}

func TestCompactionMeetsDamage(t *testing.T) {
	for _, hint := range []bool{true, false} {
		g := newGround(t)
		g.write(t, 150)
		g.sealed(t)
		first, _ := g.l.locate(g.loc(1))
		lost := []uint64{5, 6, 12, first.last.Load()}
		for _, seq := range lost {
			g.spoil(t, g.loc(seq), 60)
		}
		if !hint {
			if err := os.Truncate(filepath.Join(g.dir, hintName(1)), 10); err != nil {
				t.Fatal(err)
			}
		}
		if err := g.l.Compact([]uint64{1}, g.compaction()); wantCorrupt(t, err).Seq != 5 {
			t.Fatal(err)
		}
		g.good(t, lost...)

		c, life := g.compaction(), g.l.Identity()
		var parts []string
		c.Damaged = func(first, last uint64) {
			parts = append(parts, fmt.Sprint(first, "-", last))
			g.mu.Lock()
			defer g.mu.Unlock()
			maps.DeleteFunc(g.keys, func(_, loc uint64) bool { return first <= loc && loc <= last })
		}
		c.Pace = func(int64) bool { return false }
		if err := g.l.Compact([]uint64{1}, c); err != nil || len(parts) != 0 {
			t.Fatalf("a stopped compaction: %v, %v", err, parts)
		}
		c.Pace = func(int64) bool { return true }
		if err := g.l.Compact([]uint64{1}, c); err != nil {
			t.Fatal(err)
		}
		if len(parts) != 3 || g.l.Damage() != 3 {
			t.Fatalf("damaged were %v, counted %d", parts, g.l.Damage())
		}
		for range 2 {
			if len(g.keys) != 150-len(lost) {
				t.Fatalf("%d keys", len(g.keys))
			}
			for i, want := range g.h.recs {
				loc, ok := g.keys[g.l.Hash(fmt.Appendf(nil, "key%d", i))]
				if ok == slices.Contains(lost, uint64(i+1)) {
					t.Fatalf("entry %d is there: %v", i+1, ok)
				}
				if raw, err := g.l.Read(loc); ok && (err != nil || !bytes.Equal(raw, want)) {
					t.Fatalf("entry %d: %v", i+1, err)
				}
			}
			g.reopen(t)
			if !g.l.Hole() || g.l.Identity() == life {
				t.Fatal("no hole, or no new life")
			}
		}
		g.close(t)
	}
}

// richLog has every kind of file: sealed and compacted segments, hints, an end that was cut and what it was, an open end.
func richLog(t testing.TB) (image, *history) {
	t.Helper()
	disk := newCrashDisk()
	cfg := config(disk, Never)
	o, h, m := mustOpen(t, cfg), &history{}, newMaker(8)
	fill(t, o, h, m, 120)
	if err := o.compact(func(s SegmentInfo) bool { return s.Live*2 < s.Size }); err != nil {
		t.Fatal(err)
	}
	fill(t, o, h, m, 10)
	rng := rand.New(rand.NewPCG(1, 1))
	for i := uint64(0); ; i++ {
		r := m.next()
		if err := o.append(&r, h); err != nil {
			t.Fatal(err)
		}
		o.l.Flush()
		if i < 10 {
			continue
		}
		cfg.FS = disk.crash(50, rng)
		torn := mustOpen(t, cfg)
		if torn.l.Cut() == nil {
			torn.close(t)
			continue
		}
		o.close(t)
		o, h = torn, h.cut(torn.l.Last())
		fill(t, o, h, m, 60)
		img := imageOf(t, cfg.FS.(*crashDisk))
		o.close(t)
		for _, kind := range []string{".log", ".compacted", ".hint"} {
			if len(img.names(kind)) == 0 {
				t.Fatalf("no file %s", kind)
			}
		}
		return img, h
	}
}

// Whatever single byte of whatever file is changed: the start is refused with the place, or every record is right or
// known to be damaged, and so is the stream.
func TestEveryByteOfEveryFile(t *testing.T) {
	img, h := richLog(t)
	rng, few := rand.New(rand.NewPCG(2, 9)), os.Getenv("FUTAGO_SEEDS") == ""
	outcome := map[string]int{}
	for _, name := range slices.Sorted(maps.Keys(img)) {
		for i := range img[name] {
			if few && rng.IntN(32) != 0 || isZero(img[name][i:]) && i%64 != 0 { // what was never written is alike
				continue
			}
			b := bytes.Clone(img[name])
			switch rng.IntN(4) {
			case 0:
				b[i] = 0xff
			case 1:
				b[i] = 0
			default:
				b[i] ^= 1 << rng.IntN(8)
			}
			boot := []string{"boot 0+", otherBoot}[rng.IntN(2)]
			outcome[survey(t, fmt.Sprintf("%s at %d, %s", name, i, boot), img.disk(boot, image{name: b}), h)]++
		}
	}
	t.Log(outcome)
	if len(outcome) != 4 {
		t.Fatalf("not all outcomes were met: %v", outcome)
	}
}

// survey opens a damaged log and reads all of it.
func survey(t *testing.T, what string, disk *crashDisk, h *history) string {
	t.Helper()
	o, err := openOwned(config(disk, Never))
	if err != nil {
		if ce := wantCorrupt(t, err); ce.Segment == "" {
			t.Fatalf("%s: %v names no file", what, err)
		}
		return "refused"
	}
	defer o.close(t)
	outcome := "harmless"
	if o.l.Cut() != nil {
		outcome = "cut"
	} else if o.l.Last() != uint64(len(h.recs)) {
		t.Fatalf("%s: log ends at %d of %d, and nothing is reported", what, o.l.Last(), len(h.recs))
	}
	recs := h.upTo(o.l.Last())
	newest := map[uint64][]byte{}
	for _, raw := range recs {
		if _, special := name(raw); !special {
			newest[o.l.Hash(record.Raw(raw).Key())] = raw
		}
	}
	if len(newest) != len(o.keys) {
		t.Fatalf("%s: %d keys, want %d", what, len(o.keys), len(newest))
	}
	for hash, want := range newest {
		raw, err := o.l.Read(o.keys[hash])
		switch {
		case err != nil:
			wantCorrupt(t, err)
			outcome = "detected"
		case !bytes.Equal(raw, want):
			t.Fatalf("%s: key %q: got %x want %x", what, record.Raw(want).Key(), []byte(raw), want)
		}
		if !o.l.MayHaveKey(o.keys[hash], record.Raw(want).Key()) {
			t.Fatalf("%s: key %q is not found", what, record.Raw(want).Key())
		}
	}
	r, err := o.l.ReadAfterSeq(o.l.streamFrom.Load())
	if err != nil {
		if !errors.Is(err, ErrGone) {
			t.Fatalf("%s: %v", what, err)
		}
		return "detected"
	}
	defer r.Close()
	next := r.next
	for e, ok := r.Next(); ok; e, ok = r.Next() {
		if e.Seq != next || !bytes.Equal(e.Raw, recs[e.Seq-1]) {
			t.Fatalf("%s: entry %d of the stream is wrong, %d is next", what, e.Seq, next)
		}
		next++
	}
	if r.Gone() {
		return "detected"
	}
	if next != o.l.Written()+1 {
		t.Fatalf("%s: stream ends at %d of %d", what, next-1, o.l.Written())
	}
	return outcome
}
