package ulog

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/futago/futago/internal/vfs"
)

// Beside a node that writes, rotates and compacts, nothing looks damaged, and what was written before is seen.
func TestVerifyBesideARunningLog(t *testing.T) {
	dir := t.TempDir()
	fs, err := vfs.OS(dir)
	if err != nil {
		t.Fatal(err)
	}
	beside, err := vfs.ReadOnly(dir)
	if err != nil {
		t.Fatal(err)
	}
	cfg := config(fs, Interval)
	cfg.SegmentSize = 8192
	o, h, m := mustOpen(t, cfg), &history{}, newMaker(1)
	stop := make(chan struct{})
	var others sync.WaitGroup
	running := func(f func() error) {
		others.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := f(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	running(func() error {
		r := m.next()
		err := o.append(&r, h)
		o.l.Flush()
		return err
	})
	running(func() error { return o.compact(func(s SegmentInfo) bool { return s.Live*2 < s.Size }) })
	for o.l.Written() == 0 { // on a busy machine the others may not have begun
		runtime.Gosched()
	}
	for range 60 {
		from := o.l.Written()
		r, err := Verify(beside, nil)
		if err != nil {
			t.Fatal(err)
		}
		if !r.Sound() || r.Last < from {
			t.Fatalf("log had %d entries before, found %+v", from, r)
		}
	}
	close(stop)
	others.Wait()
	until := o.l.Last()
	o.close(t)
	r, err := Verify(beside, nil)
	if err != nil || !r.Sound() || r.Torn != nil || r.Last != until || r.Node != 1 || r.Newest.IsZero() {
		t.Fatalf("%+v, %v", r, err)
	}
}

// A copy of a folder that is taken file by file and block by block while the node writes opens, or is refused, or is
// repaired: never does it show what never was.
func TestCopyOfARunningLog(t *testing.T) {
	outcome := map[string]int{}
	for _, seed := range seeds(t, 60) {
		rng := rand.New(rand.NewPCG(seed, 7))
		disk := newCrashDisk()
		cfg := config(disk, Never)
		o, h, m := mustOpen(t, cfg), &history{}, newMaker(seed)
		write := func(n int) {
			for range n {
				r := m.next()
				if err := o.append(&r, h); err != nil {
					t.Fatal(err)
				}
			}
			o.l.Flush()
			if rng.IntN(3) == 0 {
				o.safe(t)
			}
			if rng.IntN(3) == 0 {
				if err := o.compact(func(s SegmentInfo) bool { return s.Live*2 < s.Size }); err != nil {
					t.Fatal(err)
				}
			}
		}
		write(100)
		names, err := disk.List()
		if err != nil {
			t.Fatal(err)
		}
		rng.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		img := image{}
		for _, name := range names {
			f, err := disk.Open(name)
			if os.IsNotExist(err) || name == "LOCK" || strings.HasSuffix(name, ".tmp") {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			size, _ := f.Size()
			b := make([]byte, size)
			for off := 0; off < len(b); off += 1000 {
				if _, err := f.ReadAt(b[off:min(off+1000, len(b))], int64(off)); err != nil {
					t.Fatal(err)
				}
				if rng.IntN(4) == 0 {
					write(rng.IntN(10))
				}
			}
			f.Close()
			img[name] = b
		}
		boot := []string{sameBoot, otherBoot}[rng.IntN(2)]
		outcome[mended(t, fmt.Sprintf("seed %d", seed), img, img.disk(boot, nil), h)]++
		o.close(t)
	}
	t.Log(outcome)
}

// Blocks that the device cannot read are damage like any other, also where nothing was written yet.
func TestVerifyUnreadableBlocks(t *testing.T) {
	img, _ := closedLog(t, 100)
	for _, seg := range img.names(".log") {
		list := places(img, seg)
		for from := int64(0); from < 4096; from += 512 {
			fs := &badBlocks{FS: img.disk(sameBoot, nil), name: seg, from: from, to: from + 512}
			r, err := Verify(fs, nil)
			if err != nil {
				t.Fatal(err)
			}
			if end := int64(segmentHeader); len(list) > 0 {
				end = list[len(list)-1].off + list[len(list)-1].size
				if r.Sound() && r.Torn == nil && from < end {
					t.Fatalf("%s at %d cannot be read: %+v", seg, from, r)
				}
			}
			if _, err := Repair(RepairConfig{FS: fs}); err != nil {
				t.Fatal(err)
			}
			fs.name = ""
			o, err := openOwned(config(fs, Never))
			if err != nil {
				t.Fatalf("%s at %d: %v, after %+v", seg, from, err, r)
			}
			if err := o.readAll(); err != nil {
				t.Fatal(err)
			}
			o.close(t)
		}
	}
}

// badBlocks cannot read a part of one file.
type badBlocks struct {
	vfs.FS
	name     string
	from, to int64
}

func (d *badBlocks) Open(name string) (vfs.File, error) {
	f, err := d.FS.Open(name)
	if err == nil && name == d.name {
		f = badFile{f, d}
	}
	return f, err
}

type badFile struct {
	vfs.File
	d *badBlocks
}

func (f badFile) ReadAt(b []byte, off int64) (int, error) {
	if off < f.d.to && off+int64(len(b)) > f.d.from {
		return 0, errDisk
	}
	return f.File.ReadAt(b, off)
}

// The places of damage are exact.
func TestVerifyNamesThePlace(t *testing.T) {
	g := newGround(t)
	g.write(t, 100)
	g.sealed(t)
	name, off := g.spoil(t, g.loc(5), 60)
	g.spoil(t, g.loc(6), 60)
	hint := filepath.Join(g.dir, hintName(2))
	b, err := os.ReadFile(hint)
	if err != nil {
		t.Fatal(err)
	}
	b[100] ^= 1
	if err := os.WriteFile(hint, b, 0o600); err != nil {
		t.Fatal(err)
	}
	size := (int64(g.loc(7)) - int64(g.loc(5))) * entryAlign
	g.close(t)
	r, err := Verify(g.cfg.FS, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Damage) != 2 || r.Entries != 98 || r.Last != 100 {
		t.Fatalf("%+v", r)
	}
	d := r.Damage[0]
	if d.File != name || d.Offset != off || d.Bytes != size || d.Seq != 5 || d.Entries != 2 || !d.Lost || d.After.After(d.Before) || d.Before.IsZero() || !strings.Contains(d.Problem, "checksum") {
		t.Errorf("%+v", d)
	}
	if d := r.Damage[1]; d.File != hintName(2) || d.Lost || !strings.Contains(d.Problem, "checksum") {
		t.Errorf("%+v", d)
	}
}
