package index

import (
	"encoding/binary"
	"testing"

	"github.com/zeebo/xxh3"

	"github.com/futago/futago/internal/guard"
)

// BenchmarkHotIndex finds, and inserts and removes, among 5,000 keys: the table does not grow and stays in a cache near by,
// so that its code is measured.
func BenchmarkHotIndex(b *testing.B) {
	const keys = 5_000
	x := New(func(loc uint64, key []byte) bool { return loc == binary.LittleEndian.Uint64(key) }, 75)
	defer x.Close()
	hashes := make([]uint64, 1, keys+1)
	for i := uint64(1); i <= keys; i++ {
		h := xxh3.Hash(binary.LittleEndian.AppendUint64(nil, i))
		hashes = append(hashes, h)
		x.Add(h, i)
	}
	key := make([]byte, 8)
	at := uint64(1)
	next := func() uint64 {
		at = (at*6364136223846793005 + 1442695040888963407)
		return 1 + at>>33%keys
	}
	b.Run("op=find", func(b *testing.B) {
		guard.Measure(b, func() {
			i := next()
			binary.LittleEndian.PutUint64(key, i)
			if loc, ok := x.Find(hashes[i], key); !ok || loc != i {
				b.Fatal("lost")
			}
		})
	})
	b.Run("op=insert+delete", func(b *testing.B) {
		guard.Measure(b, func() {
			i := next()
			if !x.Delete(hashes[i], i) {
				b.Fatal("lost")
			}
			x.Add(hashes[i], i)
		})
	})
}
