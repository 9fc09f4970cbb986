package ulog

import (
	"testing"

	"github.com/futago/futago/internal/guard"
	"github.com/futago/futago/internal/record"
	"github.com/futago/futago/internal/vfs"
)

// BenchmarkHotLog appends to a log in memory, a flush for each 16 entries, and reads.
func BenchmarkHotLog(b *testing.B) {
	l, err := Open(Config{FS: vfs.Memory(), Node: 1, SegmentSize: 64 << 20, Policy: Never}, Recovery{Entry: func(Entry) {}})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	m := newMaker(1)
	r := record.Record{Kind: record.Value, Stamp: m.stamp(), Key: []byte("key:0123456789ab"), Value: m.bytes(100)}
	var loc uint64
	b.Run("op=append", func(b *testing.B) {
		i := 0
		guard.Measure(b, func() {
			r.Stamp = m.stamp()
			l.Lock()
			_, loc, err = l.Append(&r)
			l.Unlock()
			if err != nil {
				b.Fatal(err)
			}
			if i++; i%16 == 0 {
				l.Flush()
			}
		})
	})
	l.Flush()
	b.Run("op=read", func(b *testing.B) { guard.Measure(b, func() { l.Read(loc) }) })
}
