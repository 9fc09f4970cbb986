package ulog

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/futago/futago/internal/vfs"
)

// What was right is right for that entry, and for a moment.
func TestTrust(t *testing.T) {
	var tr trust
	seg, other := &segment{id: 7}, &segment{id: 8}
	if tr.has(seg, 4096) {
		t.Fatal("an entry that was never checked is trusted")
	}
	until(t, "the entry is trusted", func() bool { tr.note(seg, 4096); return tr.has(seg, 4096) }) // at once, unless the test itself stands still
	if tr.has(seg, 4104) || tr.has(other, 4096) {
		t.Fatalf("trusts the next entry %v, one of another segment %v", tr.has(seg, 4104), tr.has(other, 4096))
	}
	slot, entry := tr.of(seg, 4096)
	for _, ago := range []uint64{2, 3, 1000} {
		slot.Store(entry | (trustNow()-ago)&(1<<trustBits-1))
		if tr.has(seg, 4096) {
			t.Errorf("an entry that was checked %d ticks ago is trusted", ago)
		}
	}
}

// A large entry that the disk spoils is found at the first read after the moment in which it is trusted.
func TestSpoiltAfterTrust(t *testing.T) {
	dir := t.TempDir()
	fs, err := vfs.OS(dir)
	if err != nil {
		t.Fatal(err)
	}
	cfg := config(fs, Never)
	cfg.SegmentSize = 1 << 20
	o := mustOpen(t, cfg)
	defer o.close(t)
	r := value(newMaker(1), "key", strings.Repeat("x", trustFrom))
	o.l.Lock()
	_, loc, err := o.l.Append(&r)
	o.l.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	o.l.Flush()
	if _, err := o.l.Read(loc); err != nil {
		t.Fatal(err)
	}
	seg, off := o.l.locate(loc)
	f, err := os.OpenFile(filepath.Join(dir, seg.name()), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte{^seg.data[off+trustFrom/2]}, off+trustFrom/2); err != nil {
		t.Fatal(err)
	}
	if o.l.Intact(loc) {
		t.Fatal("the spoilt entry is intact")
	}
	until(t, "a read that finds the damage", func() bool {
		raw, err := o.l.Read(loc)
		var ce *CorruptError
		if err != nil && !errors.As(err, &ce) {
			t.Fatalf("got %v", err)
		}
		return raw == nil
	})
	if raw, err := o.l.Read(loc); err == nil {
		t.Fatalf("%d bytes are trusted after a failed check", len(raw))
	}
}
