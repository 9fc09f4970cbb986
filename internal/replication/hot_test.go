package replication

import (
	"encoding/binary"
	"testing"

	"github.com/futago/futago/internal/guard"
	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/record"
	"github.com/futago/futago/internal/store"
	"github.com/futago/futago/internal/vfs"
)

// BenchmarkHotBatch makes a batch of 16 records, as a source does, and takes it, as a puller does: each record is newer than
// the one that is there.
func BenchmarkHotBatch(b *testing.B) {
	c := store.DefaultConfig()
	c.FS, c.MinFree, c.Node = vfs.Memory(), 0, 2
	st, err := store.Open(c)
	if err != nil {
		b.Fatal(err)
	}
	defer st.Close()
	stamp := hlc.Make(st.Now(), 0, 1)
	sent := make([]record.Record, 16)
	for i := range sent {
		sent[i] = record.Record{Kind: record.Value, Key: binary.LittleEndian.AppendUint64(nil, uint64(i)), Value: make([]byte, 100)}
	}
	var raw, batch []byte
	var taken []record.Record
	guard.Measure(b, func() {
		batch = append(batch[:0], make([]byte, batchHeader)...)
		for i := range sent {
			stamp += 1 << 10 // the logical counter
			sent[i].Replaced, sent[i].Stamp = sent[i].Stamp, stamp
			raw = sent[i].Append(raw[:0])
			batch = appendRecord(batch, raw)
		}
		putBatchHeader(batch, uint64(stamp), 0)
		_, _, recs, err := decodeRecords(batch, taken[:0])
		if err != nil {
			b.Fatal(err)
		}
		if n, err := st.Apply(recs, store.Feed{}); n != len(sent) || err != nil {
			b.Fatal(n, err)
		}
		st.Flush()
		taken = recs
	})
}
