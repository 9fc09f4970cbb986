package ulog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/futago/futago/internal/vfs"
)

// image is all files of a closed or killed log.
type image map[string][]byte

func imageOf(t testing.TB, d *crashDisk) image {
	t.Helper()
	d = d.kill() // the log may still run
	names, err := d.List()
	if err != nil {
		t.Fatal(err)
	}
	img := image{}
	for _, n := range names {
		if n == "LOCK" || strings.HasSuffix(n, ".tmp") {
			continue
		}
		b, err := d.mem.UnsafeGetFileDataBuffer(n)
		if err != nil {
			t.Fatal(err)
		}
		img[n] = bytes.Clone(b)
	}
	return img
}

// disk makes a disk of the image on which other files have replaced those of the same name; nil removes one.
func (img image) disk(boot string, other image) *crashDisk {
	d := newCrashDisk()
	d.boot = boot
	files := maps.Clone(img)
	maps.Copy(files, other)
	for name, b := range files {
		if b == nil {
			continue
		}
		f, err := d.Create(name)
		if err == nil {
			_, err = f.WriteAt(b, 0)
		}
		if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
			panic(err)
		}
	}
	d.SyncDir()
	return d
}

func (img image) names(suffix string) (names []string) {
	for n := range img {
		if strings.HasSuffix(n, suffix) {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	return names
}

const (
	sameBoot  = "boot 0" // the process was killed
	otherBoot = "boot 1" // the power went
)

// place says where an entry lies.
type place struct {
	name string
	off  int64
	size int64
	seq  uint64
}

// places lists the entries of a segment file.
func places(img image, name string) (list []place) {
	m, err := decodeManifest(img[manifestName])
	if err != nil {
		panic(err)
	}
	k, b := newSums(m.Seed), img[name]
	for off := int64(segmentHeader); ; {
		e, err := k.checkEntry(b[off:])
		if e == nil || err != nil {
			return list
		}
		n := align(int64(len(e)))
		list = append(list, place{name, off, n, entryOf(e, 0).Seq})
		off += n
	}
}

// written makes a log of n small records and returns its files as a killed process leaves them. Entries up to synced were
// made durable; beyond, no sync ever ran, so no segment is sealed.
func written(t testing.TB, size int64, synced, n int) (image, *history) {
	t.Helper()
	disk := newCrashDisk()
	cfg := config(disk, Never)
	cfg.SegmentSize, cfg.SyncInterval = size, time.Hour
	o, h, m := mustOpen(t, cfg), &history{}, newMaker(4)
	for i := range n {
		r := value(m, fmt.Sprintf("key%d", i%7), fmt.Sprintf("value %d", i))
		if err := o.append(&r, h); err != nil {
			t.Fatal(err)
		}
		if i+1 == synced {
			o.safe(t)
		}
	}
	o.l.Flush()
	img := imageOf(t, disk)
	o.close(t)
	return img, h
}

// opened recovers a damaged log. Whatever the damage, the records that it shows are right, and a shorter log is reported
// and has a new identity.
func opened(t testing.TB, d *crashDisk, size int64, h *history) (found, error) {
	t.Helper()
	cfg := config(d, Never)
	cfg.SegmentSize = size
	o, err := openOwned(cfg)
	if err != nil {
		return found{}, err
	}
	f := found{o.l.Last(), o.l.Cut()}
	if err := o.check(h.cut(o.l.Last())); err != nil {
		t.Fatalf("wrong records after the damage: %v", err)
	}
	if cut := o.l.Cut(); cut != nil && (cut.After != o.l.Last() || len(cut.Kept) == 0 || !o.l.Renewed()) {
		t.Fatalf("cut %+v of a log that ends at %d, renewed %v", cut, o.l.Last(), o.l.Renewed())
	}
	if o.l.Last() < uint64(len(h.recs)) && o.l.Cut() == nil {
		t.Fatalf("log ends at %d of %d, and nothing is reported", o.l.Last(), len(h.recs))
	}
	// It goes on, also after another start.
	m := newMaker(77)
	m.clock += 1 << 40
	after := h.cut(o.l.Last())
	r := value(m, "after", "the damage")
	if err := o.append(&r, after); err != nil {
		t.Fatal(err)
	}
	o.close(t)
	o = mustOpen(t, cfg)
	if err := o.check(after); err != nil {
		t.Fatalf("after the damage and another start: %v", err)
	}
	o.close(t)
	return f, nil
}

// found is what a recovery showed.
type found struct {
	last uint64
	cut  *Cut
}

// The last entries are damaged at every byte.
func TestTornTail(t *testing.T) {
	const size, n = 16 << 10, 40
	img, h := written(t, size, 0, n)
	seg := segmentName(1, kindLog)
	list := places(img, seg)
	if len(list) != n {
		t.Fatalf("%d entries, want %d", len(list), n)
	}
	end := list[n-1].off + list[n-1].size
	for _, p := range list[n-2:] {
		for off := p.off; off < p.off+p.size; off++ {
			padding := off >= p.off+int64(sizeOf(img[seg][p.off:]))
			for what, damage := range map[string]func(b []byte){
				"zeros from": func(b []byte) { clear(b[off:]) },
				"zero at":    func(b []byte) { b[off] = 0 },
				"flip at":    func(b []byte) { b[off] ^= 0x10 },
				"block lost": func(b []byte) { clear(b[off:min(off+100, end)]) },
			} {
				b := bytes.Clone(img[seg])
				damage(b)
				for _, boot := range []string{sameBoot, otherBoot} {
					f, err := openedTail(t, img.disk(boot, image{seg: b}), size, h, isZero(b[p.off:]) || padding && isZero(b[p.off+p.size:]))
					switch {
					case bytes.Equal(b, img[seg]):
						if err != nil || f.last != n {
							t.Fatalf("%s %d changed nothing: %v", what, off, err)
						}
					case padding:
						if err != nil {
							t.Fatalf("%s %d, in the padding of %d: %v", what, off, p.seq, err)
						}
					case err != nil:
						if ce := wantCorrupt(t, err); boot == otherBoot || ce.Segment != seg || ce.Offset != p.off || ce.Seq != p.seq {
							t.Fatalf("%s %d, %s: %v", what, off, boot, err)
						}
					case f.last != p.seq-1:
						t.Fatalf("%s %d, %s: log ends at %d, want %d", what, off, boot, f.last, p.seq-1)
					case boot == sameBoot && p.seq != n && strings.HasSuffix(what, " at"):
						t.Fatalf("%s %d: entry %d is damaged, the next is there, no power was lost: not refused", what, off, p.seq)
					}
				}
			}
		}
	}
}

// openedTail is opened; clean says that the damage is exactly as if less had been written.
func openedTail(t *testing.T, d *crashDisk, size int64, h *history, clean bool) (found, error) {
	t.Helper()
	if clean {
		cfg := config(d, Never)
		cfg.SegmentSize = size
		o, err := openOwned(cfg)
		if err != nil {
			return found{}, err
		}
		if err := o.check(h.cut(o.l.Last())); err != nil {
			t.Fatal(err)
		}
		o.close(t)
		return found{o.l.Last(), o.l.Cut()}, nil
	}
	return opened(t, d, size, h)
}

// What a later entry proves to have been durable is never cut.
func TestDurableDamageRefuses(t *testing.T) {
	const size = 32 << 10
	img, h := written(t, size, 100, 200)
	seg := segmentName(1, kindLog)
	list := places(img, seg)
	if len(list) != 200 {
		t.Fatalf("%d entries", len(list))
	}
	for _, p := range list {
		for what, damage := range map[string]func(b []byte){
			"flip": func(b []byte) { b[30] ^= 1 },
			"hole": func(b []byte) { clear(b) },
			"size": func(b []byte) { b[0] ^= 8 },
		} {
			b := bytes.Clone(img[seg])
			damage(b[p.off : p.off+p.size])
			f, err := openedTail(t, img.disk(otherBoot, image{seg: b}), size, h, p.seq == 200 && what == "hole")
			// Entries from 101 on are 1 to 64 behind 100 at first: entry 164 proves 164-64, and so does none better.
			if p.seq <= 100 {
				if ce := wantCorrupt(t, err); ce.Segment != seg || ce.Offset != p.off || ce.Seq != p.seq {
					t.Fatalf("%s at %d: %v", what, p.seq, err)
				}
			} else if err != nil || f.last != p.seq-1 {
				t.Fatalf("%s at %d: %v", what, p.seq, err)
			}
		}
	}
}

// A segment's first block can be lost while later ones are there.
func TestLostHeader(t *testing.T) {
	const size = 8 << 10
	img, h := written(t, size, 0, 400)
	segs := img.names(".log")
	if len(segs) < 4 {
		t.Fatalf("%d segments", len(segs))
	}
	for i, seg := range segs {
		list := places(img, seg)
		if len(list) == 0 {
			continue // the spare
		}
		for what, n := range map[string]int{"magic": 8, "header": segmentHeader, "block": 4096} {
			b := bytes.Clone(img[seg])
			clear(b[:n])
			if isZero(b) { // as if it had never been written
				continue
			}
			damaged := img.disk(otherBoot, image{seg: b})
			f, err := opened(t, damaged, size, h)
			if err != nil || f.last != list[0].seq-1 {
				t.Fatalf("%s of segment %d is lost, nothing is provably durable: %v", what, i, err)
			}
			if _, err := opened(t, img.disk(sameBoot, image{seg: b}), size, h); wantCorrupt(t, err).Segment != seg {
				t.Fatalf("%s of segment %d is lost without loss of power: %v", what, i, err)
			}
		}
		b := bytes.Clone(img[seg])
		b[20] ^= 1
		if f, err := opened(t, img.disk(otherBoot, image{seg: b}), size, h); err != nil || f.last != list[0].seq-1 {
			t.Fatalf("flip in the header of segment %d: %v", i, err)
		}
	}

	img, h = written(t, 64<<10, 100, 200)
	seg := segmentName(1, kindLog)
	b := bytes.Clone(img[seg])
	clear(b[:4096])
	disk := img.disk(otherBoot, image{seg: b})
	for range 2 { // a refusal changes nothing
		_, err := opened(t, disk, 64<<10, h)
		if ce := wantCorrupt(t, err); ce.Segment != seg || ce.Seq != 1 {
			t.Fatalf("durable header is lost: %v", err)
		}
		if got := imageOf(t, disk)[seg]; !bytes.Equal(got, b) {
			t.Fatal("a refused segment was changed")
		}
	}
}

// closedLog makes a log of several sealed segments and a short end, closed in order.
func closedLog(t testing.TB, n int) (image, *history) {
	t.Helper()
	disk := newCrashDisk()
	o, h, m := mustOpen(t, config(disk, Never)), &history{}, newMaker(6)
	fill(t, o, h, m, n)
	o.close(t)
	return imageOf(t, disk), h
}

func TestLostAndShortFiles(t *testing.T) {
	img, h := closedLog(t, 200)
	for _, boot := range []string{sameBoot, otherBoot} {
		for _, seg := range img.names(".log") {
			_, err := opened(t, img.disk(boot, image{seg: nil}), 4096, h)
			if ce := wantCorrupt(t, err); ce.Segment != seg {
				t.Fatalf("%s is lost: %v", seg, err)
			}
			hint := strings.TrimSuffix(seg, ".log") + ".hint"
			for _, n := range []int{0, 1, 63, 64, 100, len(img[seg]) / 2, len(img[seg]) - 1} {
				_, err := opened(t, img.disk(boot, image{seg: img[seg][:n], hint: nil}), 4096, h)
				if ce := wantCorrupt(t, err); ce.Segment != seg {
					t.Fatalf("%s has only %d bytes: %v", seg, n, err)
				}
			}
		}
		_, err := opened(t, img.disk(boot, image{manifestName: nil}), 4096, h)
		if err == nil {
			t.Fatal("a log without its manifest was taken as empty")
		}
	}
}

func TestDamagedHints(t *testing.T) {
	img, h := closedLog(t, 200)
	hints := img.names(".hint")
	if len(hints) < 3 {
		t.Fatalf("%d hints", len(hints))
	}
	for _, hint := range hints {
		if _, err := opened(t, img.disk(sameBoot, image{hint: nil}), 4096, h); err != nil {
			t.Fatalf("%s is lost: %v", hint, err)
		}
	}
	hint := hints[0]
	for i := 0; i < len(img[hint]); i += 3 {
		b := bytes.Clone(img[hint])
		b[i] ^= 1 << (i % 8)
		if f, err := opened(t, img.disk(sameBoot, image{hint: b}), 4096, h); err != nil || f.last != uint64(len(h.recs)) {
			t.Fatalf("flip at %d of %s: %v", i, hint, err)
		}
	}
	for n := 0; n < len(img[hint]); n += 17 {
		if _, err := opened(t, img.disk(sameBoot, image{hint: img[hint][:n]}), 4096, h); err != nil {
			t.Fatalf("%s has only %d bytes: %v", hint, n, err)
		}
	}
	seg, sealed := strings.TrimSuffix(hint, ".hint")+".log", 0
	for _, p := range places(img, seg) {
		b := bytes.Clone(img[seg])
		b[p.off+20] ^= 4
		_, err := opened(t, img.disk(otherBoot, image{seg: b, hint: nil}), 4096, h)
		if ce := wantCorrupt(t, err); ce.Segment != seg || ce.Offset != p.off || ce.Seq != p.seq {
			t.Fatalf("flip in %d of sealed %s: %v", p.seq, seg, err)
		}
		sealed++
	}
	if sealed < 5 {
		t.Fatalf("only %d entries in %s", sealed, seg)
	}
}

// Every byte of a small log (every fourth, at random, in a normal run) is changed, one at a time: the log refuses to open, or all its records are right, or the cut
// of an end that was not provably durable is reported.
func TestEveryByteFlipped(t *testing.T) {
	img, h := written(t, 4096, 30, 110)
	for _, hint := range img.names(".hint") {
		delete(img, hint)
	}
	rng, few := rand.New(rand.NewPCG(9, 9)), os.Getenv("FUTAGO_SEEDS") == ""
	refused, cut, harmless := 0, 0, 0
	for _, name := range slices.Sorted(maps.Keys(img)) {
		for i := 0; i < len(img[name]); i++ {
			if few && rng.IntN(4) != 0 {
				continue
			}
			b := bytes.Clone(img[name])
			b[i] ^= 1 << rng.IntN(8)
			if isZero(img[name][i:]) && i%64 != 0 { // what was never written is alike
				continue
			}
			boot := []string{sameBoot, otherBoot}[rng.IntN(2)]
			f, err := opened(t, img.disk(boot, image{name: b}), 4096, h)
			var ce *CorruptError
			switch {
			case err != nil && !errors.As(err, &ce) && name != manifestName:
				t.Fatalf("flip at %d of %s: got %v, want a *CorruptError", i, name, err)
			case err != nil:
				refused++
			case f.last < 30:
				t.Fatalf("flip at %d of %s: durable entries up to 30, log ends at %d", i, name, f.last)
			case f.cut != nil:
				cut++
			default:
				harmless++
			}
		}
	}
	t.Logf("%d refused, %d cut, %d harmless", refused, cut, harmless)
	if refused == 0 || cut == 0 || harmless == 0 {
		t.Fatalf("%d refused, %d cut, %d harmless: not all outcomes were met", refused, cut, harmless)
	}
}

// A cut end must not come back: entries behind the hole fit the sequences that are written next.
func TestCutEndStaysAway(t *testing.T) {
	img, h := written(t, 16<<10, 0, 40)
	seg := segmentName(1, kindLog)
	list := places(img, seg)
	b := bytes.Clone(img[seg])
	clear(b[list[20].off : list[20].off+list[20].size])
	disk := img.disk(otherBoot, image{seg: b})
	cfg := config(disk, Never)
	cfg.SegmentSize = 16 << 10
	o := mustOpen(t, cfg)
	kept := h.cut(20)
	if o.l.Last() != 20 {
		t.Fatalf("log ends at %d, want 20", o.l.Last())
	}
	if got := fileBytes(t, disk, o.l.Cut().Kept[0]); !bytes.Equal(got, b[list[20].off:]) {
		t.Fatal("what was cut was not kept aside")
	}
	r := value(newMaker(5), "key0", "value 0") // as large as the one in the hole
	if err := o.append(&r, kept); err != nil {
		t.Fatal(err)
	}
	o.safe(t)
	for _, d := range []*crashDisk{disk.kill(), disk.crash(0, nil)} {
		cfg.FS = d
		again := mustOpen(t, cfg)
		if again.l.Last() != 21 {
			t.Fatalf("log ends at %d, want 21", again.l.Last())
		}
		if err := again.check(kept); err != nil {
			t.Fatal(err)
		}
		again.close(t)
	}
	o.close(t)
}

// The search behind a damage reads a checksum only where an entry may be.
func TestSearchIsFast(t *testing.T) {
	b := make([]byte, 32<<20)
	for i := 0; i+4 <= len(b); i += 4 { // everything looks like a size
		binary.LittleEndian.PutUint32(b[i:], 16<<20)
	}
	if d, follows := newSums(42).provablyDurable(b, 1); d != 0 || follows {
		t.Fatalf("found %d %v in bytes that are no entries", d, follows)
	}
}

func TestManifestOfAnotherNode(t *testing.T) {
	img, _ := closedLog(t, 10)
	cfg := config(img.disk(sameBoot, nil), Never)
	cfg.Node = 2
	if _, err := openOwned(cfg); err == nil || !strings.Contains(err.Error(), "node 1") {
		t.Fatalf("got %v, want a refusal that names the node", err)
	}
}

// The second process is kept out of a log in use.
func TestOpenTwice(t *testing.T) {
	fs, err := vfs.OS(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	o := mustOpen(t, config(fs, Never))
	if _, err := openOwned(config(fs, Never)); err == nil {
		t.Fatal("the log was opened twice")
	}
	o.close(t)
	mustOpen(t, config(fs, Never)).close(t)
}
