package ulog

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/futago/futago/internal/record"
	"github.com/futago/futago/internal/vfs"
)

// Memory of the append buffer is given back, while entries in it are read: what Quiesce waited for is all that may read.
func TestBuffersAreReleased(t *testing.T) {
	for name, fs := range map[string]func() vfs.FS{"memory": vfs.Memory, "os": func() vfs.FS {
		fs, err := vfs.OS(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		return fs
	}} {
		t.Run(name, func(t *testing.T) {
			cfg := config(fs(), Never)
			cfg.SegmentSize = 40 << 20
			o, m := mustOpen(t, cfg), newMaker(1)
			var done atomic.Bool
			var readers sync.WaitGroup
			for i := range 2 {
				readers.Go(func() {
					rng := rand.New(rand.NewPCG(uint64(i), 1))
					for !done.Load() {
						o.reading.RLock()
						n := rng.IntN(50)
						o.mu.Lock()
						loc, ok := o.keys[o.l.Hash(fmt.Appendf(nil, "key%d", n))]
						o.mu.Unlock()
						if ok {
							if raw := o.l.At(loc); !whole(raw, n) {
								t.Errorf("key%d is torn", n)
								done.Store(true)
							}
						}
						o.reading.RUnlock()
					}
				})
			}
			body := make([]byte, 64<<10)
			for i := range 700 { // more than a segment
				n := i % 50
				for j := range body {
					body[j] = byte(i)
				}
				r := value(m, fmt.Sprintf("key%d", n), string(body))
				if err := o.append(&r, nil); err != nil {
					t.Fatal(err)
				}
				if i%4 == 0 {
					o.l.Flush()
				}
			}
			o.l.Flush()
			done.Store(true)
			readers.Wait()
			released := int64(0)
			o.l.mu.Lock()
			for _, seg := range o.l.chain {
				if seg.buf == nil {
					released += seg.size
				} else {
					released += seg.released
				}
			}
			o.l.mu.Unlock()
			if released < 40<<20 {
				t.Errorf("only %d bytes of buffers were released", released)
			}
			o.close(t)
		})
	}
}

// whole reports whether a record of key n is one that was appended.
func whole(raw record.Raw, n int) bool {
	var r record.Record
	raw.Into(&r)
	return string(r.Key) == fmt.Sprintf("key%d", n) && len(r.Value) == 64<<10 && bytes.Count(r.Value, r.Value[:1]) == len(r.Value)
}
