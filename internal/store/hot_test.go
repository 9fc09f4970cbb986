package store

import (
	"encoding/binary"
	"testing"

	"github.com/futago/futago/internal/guard"
	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/record"
	"github.com/futago/futago/internal/vfs"
)

// BenchmarkHotStore executes on a store in memory, a flush for each 16 writes. Its few keys stay in a cache near by.
func BenchmarkHotStore(b *testing.B) {
	const keys = 1000
	c := DefaultConfig()
	c.FS, c.MinFree = vfs.Memory(), 0
	s, err := Open(c)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	key, writes := make([]byte, 16), 0
	var res Result
	var v View
	next := func() { binary.LittleEndian.PutUint64(key, (binary.LittleEndian.Uint64(key)+7)%keys) }
	commit := func(b *testing.B, req *Request) {
		if err := s.Commit(req, &res); err != nil {
			b.Fatal(err)
		}
		if writes++; writes%16 == 0 {
			s.Flush()
		}
	}
	set := Request{Op: Set, Key: key, Value: make([]byte, 100)}
	for range keys {
		next()
		commit(b, &set)
	}
	b.Run("op=get", func(b *testing.B) {
		guard.Measure(b, func() {
			next()
			if !s.Acquire(key, &v) {
				b.Fatal("lost")
			}
			v.Release()
		})
	})
	b.Run("op=set", func(b *testing.B) {
		guard.Measure(b, func() {
			next()
			commit(b, &set)
		})
	})
	number := Request{Op: Set, Key: []byte("number"), Value: []byte("5")}
	commit(b, &number)
	incr := Request{Op: Incr, Key: number.Key, Delta: 1}
	b.Run("op=incr", func(b *testing.B) { guard.Measure(b, func() { commit(b, &incr) }) })
}

// BenchmarkHotApply takes batches of 16 records of a peer, each newer than the one that is there.
func BenchmarkHotApply(b *testing.B) {
	c := DefaultConfig()
	c.FS, c.MinFree, c.Node = vfs.Memory(), 0, 2
	s, err := Open(c)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	stamp := hlc.Make(s.Now(), 0, 1)
	recs := make([]record.Record, 16)
	for i := range recs {
		recs[i] = record.Record{Kind: record.Value, Key: binary.LittleEndian.AppendUint64(nil, uint64(i)), Value: make([]byte, 100)}
	}
	guard.Measure(b, func() {
		for i := range recs {
			recs[i].Replaced = recs[i].Stamp
			stamp += 1 << 10 // the logical counter
			recs[i].Stamp = stamp
		}
		if n, err := s.Apply(recs, Feed{}); n != len(recs) || err != nil {
			b.Fatal(n, err)
		}
		s.Flush()
	})
}
