package ulog

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/record"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// goldenIdentity stands for the random parts of a log.
var goldenIdentity = Identity{0: 0xf0, 15: 0x0f}

// golden compares a hex dump with testdata. Files of a released format stay readable: a changed dump is a new version.
func golden(t *testing.T, name string, b []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	got := b
	if !bytes.HasPrefix(b, []byte("futago manifest")) {
		got = []byte(hex.Dump(b))
	}
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("%s (-want +got):\n%s", path, d)
	}
}

// goldenRecords has one record of every kind.
func goldenRecords() []record.Record {
	base := record.Record{Kind: record.Value, Key: []byte("counter"), Stamp: hlc.Make(1000, 2, 1), Value: []byte("40")}
	counter, _ := record.Contribute(&base, record.Author{Stamp: hlc.Make(1001, 0, 1), Epoch: 0x1122334455667788}, true, 2, nil)
	return []record.Record{
		{Kind: record.Value, Key: []byte("key"), Type: []byte("text/plain"), Value: []byte("value"), Flags: 7, Expires: 123456789, Stamp: hlc.Make(1000, 0, 1)},
		{Kind: record.Value, Created: true, Key: []byte("new"), Stamp: hlc.Make(1000, 1, 1)},
		counter,
		{Kind: record.Tombstone, Key: []byte("key"), Stamp: hlc.Make(1002, 0, 2), Replaced: hlc.Make(1000, 0, 1)},
		record.NewFloor(hlc.Make(1003, 0, 1), hlc.Make(2000, 0, 0)),
		{Kind: record.Mark, Key: []byte("peer 2"), Value: []byte("held")},
	}
}

// goldenSegment is a segment of goldenRecords and its hint.
func goldenSegment() (seg *segment, h *hint) {
	b := make([]byte, 1024)
	putSegmentHeader(b, kindLog, goldenIdentity, 5, 100)
	seg = &segment{id: 5, kind: kindLog, size: 1024, data: b, first: 100}
	hb := hintBuilder{seed: 42}
	var stamps originTable
	off, seq := int64(segmentHeader), uint64(100)
	for _, r := range goldenRecords() {
		size := int64(entryHeader + r.Size())
		newSums(42).putEntry(b[off:off+size:off+size], seq, uint16(seq-99), &r)
		hb.add(entryOf(b[off:off+size], 0), off)
		r.Stamps(stamps.observe)
		off += align(size)
		seq++
	}
	return seg, hb.finish(off, stamps.list())
}

func TestGoldenFormat(t *testing.T) {
	seg, h := goldenSegment()
	golden(t, "segment.hex", seg.data[:h.used])
	golden(t, "hint.hex", encodeHint(h, seg))
	m, err := encodeManifest(goldenManifest())
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "MANIFEST", m)

	l := &Log{sums: newSums(42)}
	var got []string
	seg.used.Store(h.used)
	seg.last.Store(h.last)
	if err := l.scan(seg, func(e Entry, off int64) {
		r, err := record.Decode(e.Raw)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%d %d %v %q", e.Seq, e.Distance, r.Kind, r.Key))
	}); err != nil {
		t.Fatal(err)
	}
	want := []string{`100 1 value "key"`, `101 2 value "new"`, `102 3 counter "counter"`, `103 4 tombstone "key"`, `104 5 floor ""`, `105 6 mark "peer 2"`}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("entries (-want +got):\n%s", d)
	}
}

func goldenManifest() *manifest {
	return &manifest{Format: formatVersion, Node: 1, Identity: goldenIdentity, Past: []pastLife{{Identity{1}, 99}}, Seed: 42, Boot: "boot", NextID: 8, StreamFrom: 99,
		Holes: []hole{{Identity{1}, 60, 70}},
		Segments: []segmentItem{
			{ID: 4, Kind: kindCompacted, Size: 8192, Sealed: true, Used: 4096, First: 3, Last: 98},
			{ID: 5, Kind: kindLog, Size: 1024, Sealed: true, Used: 544, First: 100, Last: 105},
			{ID: 7, Kind: kindLog, Size: 1024},
		}}
}

// What was decoded is what was encoded, and every changed or missing byte of hint and manifest is noticed.
func TestHintAndManifestRoundTrip(t *testing.T) {
	seg, h := goldenSegment()
	b := encodeHint(h, seg)
	got, err := decodeHint(b, 5, kindLog)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(h, got, cmp.AllowUnexported(hint{}, hintEntry{}, hintSpecial{}, hintOrigin{})); d != "" {
		t.Errorf("hint (-want +got):\n%s", d)
	}
	if n := len(got.entries); n != 3 { // "key" only once: the tombstone
		t.Errorf("%d entries, want 3", n)
	}
	for i := range b {
		bad := bytes.Clone(b)
		bad[i] ^= 0x20
		if _, err := decodeHint(bad, 5, kindLog); err == nil {
			t.Errorf("flip at %d was not noticed", i)
		}
		if _, err := decodeHint(b[:i], 5, kindLog); err == nil {
			t.Errorf("%d bytes of %d were taken", i, len(b))
		}
	}
	if _, err := decodeHint(b, 6, kindLog); err == nil {
		t.Error("hint of another segment was taken")
	}

	m := goldenManifest()
	mb, err := encodeManifest(m)
	if err != nil {
		t.Fatal(err)
	}
	back, err := decodeManifest(mb)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(m, back); d != "" {
		t.Errorf("manifest (-want +got):\n%s", d)
	}
	for i := range mb {
		for bit := range 8 {
			bad := bytes.Clone(mb)
			bad[i] ^= 1 << bit
			if got, err := decodeManifest(bad); err == nil && cmp.Diff(m, got) != "" {
				t.Errorf("flip of bit %d at %d was taken", bit, i)
			}
		}
		if _, err := decodeManifest(mb[:i]); err == nil {
			t.Errorf("%d bytes of %d were taken", i, len(mb))
		}
	}
}

func TestSegmentHeaderErrors(t *testing.T) {
	good := make([]byte, segmentHeader)
	putSegmentHeader(good, kindLog, goldenIdentity, 5, 100)
	if first, used, err := readSegmentHeader(good, kindLog, 5); first != 100 || !used || err != nil {
		t.Fatalf("got %d %v %v", first, used, err)
	}
	if _, used, err := readSegmentHeader(make([]byte, segmentHeader), kindLog, 5); used || err != nil {
		t.Fatalf("spare: got %v %v", used, err)
	}
	for _, c := range []struct {
		kind uint16
		id   uint64
		b    []byte
		want string
	}{
		{kindLog, 6, good, "id 5"},
		{kindCompacted, 5, good, "kind 1"},
		{kindLog, 5, good[:63], "63 bytes"},
		{kindLog, 5, append([]byte("futagolx"), good[8:]...), "damaged"},
	} {
		if _, _, err := readSegmentHeader(c.b, c.kind, c.id); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("kind %d id %d: got %v, want %q", c.kind, c.id, err, c.want)
		}
	}
	for i := range 52 {
		bad := bytes.Clone(good)
		bad[i] ^= 1
		if _, _, err := readSegmentHeader(bad, kindLog, 5); err == nil {
			t.Errorf("flip at %d was not noticed", i)
		}
	}
}

// Every byte belongs to one entry or one gap, whatever the bytes and whatever a hint says.
func FuzzWalk(f *testing.F) {
	seg, h := goldenSegment()
	f.Add(seg.data[segmentHeader:h.used], true, uint16(9))
	f.Add(seg.data[segmentHeader+3:], false, uint16(0))
	f.Add(make([]byte, 100), true, uint16(3))
	flipped := bytes.Clone(seg.data[segmentHeader:h.used])
	flipped[70] ^= 1
	f.Add(flipped, false, uint16(20))
	f.Fuzz(func(t *testing.T, b []byte, isLog bool, hint uint16) {
		data := append(make([]byte, segmentHeader), b...)
		s := &segment{kind: kindCompacted, size: int64(len(data)), data: data}
		if isLog {
			s.kind, s.first = kindLog, 100
		}
		s.used.Store(s.size)
		s.last.Store(105)
		var known []int64
		for i := int64(0); i < 16; i++ {
			if hint>>i&1 != 0 {
				known = append(known, segmentHeader+i*entryAlign)
			}
		}
		end := int64(segmentHeader)
		err := s.walk(newSums(42), func() []int64 { return known }, func(e Entry, off int64) error {
			if off != end || e.Size()%entryAlign != 0 || off+int64(entryHeader+len(e.Raw)) > s.size {
				t.Fatalf("entry of %d bytes at %d, expected at %d of %d", e.Size(), off, end, s.size)
			}
			r, err := record.Decode(e.Raw)
			if err != nil {
				t.Fatalf("entry at %d: %v", off, err)
			}
			again := make([]byte, entryHeader+r.Size())
			if crc := newSums(42).putEntry(again, e.Seq, e.Distance, &r); crc != e.CRC || !bytes.Equal(again[entryHeader:], e.Raw) {
				t.Fatalf("entry at %d changes when it is encoded again", off)
			}
			end = off + e.Size()
			return nil
		}, func(g gap) error {
			if g.off != min(end, s.size) || g.end < g.off || g.end > s.size || g.err == nil {
				t.Fatalf("gap %+v, expected at %d of %d", g, end, s.size)
			}
			end = g.end
			return nil
		})
		if err != nil || end < s.size {
			t.Fatalf("walk ended at %d of %d: %v", end, s.size, err)
		}
		newSums(42).provablyDurable(b, 1)
	})
}

func FuzzHint(f *testing.F) {
	seg, h := goldenSegment()
	b := encodeHint(h, seg)
	f.Add(b)
	f.Add(b[:hintHeader])
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := decodeHint(b, 5, kindLog)
		if err != nil {
			return
		}
		again := encodeHint(h, seg)
		if !bytes.Equal(again[16:60], b[16:60]) || !bytes.Equal(again[hintHeader:], b[hintHeader:]) {
			t.Fatal("hint changes when it is encoded again")
		}
	})
}

func FuzzManifest(f *testing.F) {
	b, err := encodeManifest(goldenManifest())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte("futago manifest 00000000\n{}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decodeManifest(b)
		if err != nil {
			return
		}
		again, err := encodeManifest(m)
		if err != nil {
			t.Fatal(err)
		}
		back, err := decodeManifest(again)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(m, back); d != "" {
			t.Fatal(d)
		}
	})
}

func FuzzSegmentHeader(f *testing.F) {
	good := make([]byte, segmentHeader)
	putSegmentHeader(good, kindLog, goldenIdentity, 5, 100)
	f.Add(good)
	f.Add(make([]byte, segmentHeader))
	f.Fuzz(func(t *testing.T, b []byte) {
		first, used, err := readSegmentHeader(b, kindLog, 5)
		if err != nil || !used {
			return
		}
		again := make([]byte, segmentHeader)
		putSegmentHeader(again, kindLog, Identity(b[16:32]), 5, first)
		if !bytes.Equal(again[:12], b[:12]) || !bytes.Equal(again[16:48], b[16:48]) {
			t.Fatal("header changes when it is encoded again")
		}
	})
}

// A whole log of random bytes is opened or refused, never more.
func FuzzOpen(f *testing.F) {
	img, _ := written(f, 4096, 10, 80)
	segs := img.names(".log")
	f.Add(img[segs[0]], img[segs[1]], true)
	f.Add(img[segs[1]], img[segs[0]], false)
	f.Add(make([]byte, 4096), img[segs[1]], false)
	f.Fuzz(func(t *testing.T, a, b []byte, same bool) {
		if len(a) > 8192 || len(b) > 8192 {
			return
		}
		boot := otherBoot
		if same {
			boot = sameBoot
		}
		files := maps.Clone(image{segs[0]: slices.Grow(a, 1), segs[1]: slices.Grow(b, 1)})
		o, err := openOwned(config(img.disk(boot, files), Never))
		if err != nil {
			return
		}
		for _, loc := range o.keys {
			o.l.At(loc)
		}
		o.close(t)
	})
}
