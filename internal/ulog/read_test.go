package ulog

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/futago/futago/internal/record"
	"github.com/futago/futago/internal/vfs"
)

// Read returns what was appended, from the buffer and from the file, and without allocating.
func TestRead(t *testing.T) {
	eachDisk(t, func(t *testing.T, fs vfs.FS) {
		o, m := mustOpen(t, config(fs, Never)), newMaker(1)
		defer o.close(t)
		r := value(m, "key", "value")
		o.l.Lock()
		_, loc, err := o.l.Append(&r)
		o.l.Unlock()
		if err != nil {
			t.Fatal(err)
		}
		for _, where := range []string{"buffer", "file"} {
			raw, err := o.l.Read(loc)
			if err != nil || !bytes.Equal(raw, r.Append(nil)) {
				t.Fatalf("from the %s: got %x, %v", where, []byte(raw), err)
			}
			if !o.l.HasKey(loc, []byte("key")) || o.l.HasKey(loc, []byte("kez")) || o.l.HasKey(loc, []byte("keys")) || !o.l.Intact(loc) || o.l.MayHaveKey(loc, []byte("kez")) {
				t.Fatalf("from the %s: wrong key", where)
			}
			if n := testing.AllocsPerRun(100, func() { o.l.Read(loc); o.l.HasKey(loc, []byte("key")) }); n != 0 {
				t.Errorf("from the %s: %v allocations", where, n)
			}
			o.l.Flush()
		}
		fill(t, o, nil, m, 60) // the first segment is full and has no buffer any more
		for _, bad := range []uint64{0, loc + 1, loc - 1, (4096 - minEntry) / entryAlign, 1<<offsetBits - 1, 500 << offsetBits, 1<<36 - 1} {
			var ce *CorruptError
			if raw, err := o.l.Read(bad); !errors.As(err, &ce) {
				t.Errorf("location %#x: got %x, %v, want a *CorruptError", bad, []byte(raw), err)
			}
			if o.l.HasKey(bad, []byte("key")) {
				t.Errorf("location %#x has the key", bad)
			}
		}
	})
}

// A file that is cut short under its mapping is an error of what reads there, not the end of the process.
func TestFileCutShort(t *testing.T) {
	dir := t.TempDir()
	fs, err := vfs.OS(dir)
	if err != nil {
		t.Fatal(err)
	}
	cfg := config(fs, Never)
	cfg.SegmentSize = 64 << 10
	o, h, m := mustOpen(t, cfg), &history{}, newMaker(1)
	var locs []uint64
	for i := range 400 {
		r := value(m, fmt.Sprintf("key%d", i), "0123456789012345678901234567890123456789012345678901234567890123456789")
		if err := o.append(&r, h); err != nil {
			t.Fatal(err)
		}
		locs = append(locs, o.keys[o.l.Hash(r.Key)])
	}
	o.l.Flush()
	name := segmentName(1, kindLog)
	if err := os.Truncate(filepath.Join(dir, name), 8192); err != nil {
		t.Fatal(err)
	}
	lost := 0
	for i, loc := range locs {
		raw, err := o.l.Read(loc)
		if err == nil && bytes.Equal(raw, h.recs[i]) {
			continue
		}
		if ce := wantCorrupt(t, err); ce.Segment != name || !errors.Is(err, errDevice) || ce.Offset < 8192-200 {
			t.Fatalf("entry %d: %v", i, err)
		}
		if key := fmt.Appendf(nil, "key%d", i); o.l.HasKey(loc, key) && ce(err).Offset >= 8192 || !o.l.MayHaveKey(loc, key) {
			t.Fatalf("entry %d is not seen as lost", i)
		}
		lost++
	}
	if lost < 200 || lost > 390 {
		t.Fatalf("%d of 400 entries are lost", lost)
	}
	r, err := o.l.ReadAfter(Position{})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for e, ok := r.Next(); ok; e, ok = r.Next() {
		if !bytes.Equal(e.Raw, h.recs[n]) {
			t.Fatalf("entry %d of the stream is wrong", n)
		}
		n++
	}
	if n != 400-lost || !r.Gone() {
		t.Fatalf("%d entries were streamed, %d can be read, gone %v", n, 400-lost, r.Gone())
	}
	r.Close()
	o.l.Close()
	if _, err := openOwned(cfg); wantCorrupt(t, err).Segment != name {
		t.Fatal(err)
	}
}

func ce(err error) *CorruptError {
	ce, _ := errors.AsType[*CorruptError](err)
	return ce
}

func BenchmarkRead(b *testing.B) {
	for _, size := range []int{100, 64 << 10} {
		fs, err := vfs.OS(b.TempDir())
		if err != nil {
			b.Fatal(err)
		}
		l, err := Open(Config{FS: fs, Node: 1, SegmentSize: 64 << 20, Policy: Never}, Recovery{Entry: func(Entry) {}})
		if err != nil {
			b.Fatal(err)
		}
		m := newMaker(1)
		r := record.Record{Kind: record.Value, Stamp: m.stamp(), Key: []byte("key:0123456789ab"), Value: m.bytes(size)}
		l.Lock()
		_, loc, err := l.Append(&r)
		l.Unlock()
		if err != nil {
			b.Fatal(err)
		}
		l.Flush()
		b.Run(fmt.Sprintf("how=at/size=%d", size), func(b *testing.B) {
			for b.Loop() {
				l.At(loc)
			}
		})
		b.Run(fmt.Sprintf("how=read/size=%d", size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				l.Read(loc)
			}
		})
		b.Run(fmt.Sprintf("how=haskey/size=%d", size), func(b *testing.B) {
			for b.Loop() {
				l.HasKey(loc, r.Key)
			}
		})
		l.Close()
	}
}
