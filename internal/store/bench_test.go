package store

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/record"
	"github.com/futago/futago/internal/vfs"
)

func BenchmarkStore(b *testing.B) {
	for _, keys := range []int{100_000, 1_000_000} {
		fs, err := vfs.OS(b.TempDir())
		if err != nil {
			b.Fatal(err)
		}
		c := DefaultConfig()
		c.FS, c.InMemory = fs, false
		s, err := Open(c)
		if err != nil {
			b.Fatal(err)
		}
		key := make([]byte, 16)
		req, res, v := Request{Op: Set, Key: key, Value: make([]byte, 100)}, Result{}, View{}
		for i := range keys {
			binary.LittleEndian.PutUint64(key, uint64(i))
			if err := s.Commit(&req, &res); err != nil {
				b.Fatal(err)
			}
			if i%64 == 0 {
				s.Flush()
			}
		}
		s.Flush()
		at := uint64(0)
		next := func() {
			at = (at*6364136223846793005 + 1442695040888963407)
			binary.LittleEndian.PutUint64(key, at>>33%uint64(keys))
		}
		b.Run(fmt.Sprintf("op=get/keys=%d", keys), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				next()
				if !s.Acquire(key, &v) {
					b.Fatal("lost")
				}
				v.Release()
			}
		})
		for _, warm := range []bool{false, true} {
			batch := make([][]byte, MostWarm)
			for i := range batch {
				batch[i] = make([]byte, 16)
			}
			b.Run(fmt.Sprintf("op=gets/warm=%v/keys=%d", warm, keys), func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					i %= MostWarm
					if i == 0 {
						for _, one := range batch {
							next()
							copy(one, key)
						}
						if warm {
							s.Warm(batch)
						}
					}
					if !s.Acquire(batch[i], &v) {
						b.Fatal("lost")
					}
					v.Release()
				}
			})
		}
		stamp, recs := hlc.Make(s.Now(), 0, 2), make([]record.Record, 4*MostWarm)
		b.Run(fmt.Sprintf("op=apply/keys=%d", keys), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if i %= len(recs); i == 0 {
					for j := range recs {
						next()
						stamp += 1 << 10 // the logical counter
						recs[j] = record.Record{Kind: record.Value, Key: append(recs[j].Key[:0], key...), Value: req.Value, Stamp: stamp}
					}
					if _, err := s.Apply(recs, Feed{}); err != nil {
						b.Fatal(err)
					}
					s.Flush()
				}
			}
		})
		b.Run(fmt.Sprintf("op=set/keys=%d", keys), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				next()
				if err := s.Commit(&req, &res); err != nil {
					b.Fatal(err)
				}
				if i%16 == 0 {
					s.Flush()
				}
			}
		})
		s.Close()
	}
}
