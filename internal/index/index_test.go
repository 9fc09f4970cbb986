package index

import (
	"encoding/binary"
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/zeebo/xxh3"
)

// TestAgainstMap runs random operations on an index whose records are numbers and on a Go map; small hashes force
// collisions of tag and position.
func TestAgainstMap(t *testing.T) {
	for _, hashBits := range []int{64, 4, 0} {
		rng := rand.New(rand.NewPCG(1, uint64(hashBits)))
		keyAt := map[uint64]uint64{} // location -> key
		x := New(func(loc uint64, key []byte) bool { return keyAt[loc] == binary.LittleEndian.Uint64(key) }, 75)
		hash := func(key []byte) uint64 {
			h := xxh3.Hash(key)
			if hashBits == 0 {
				return 0
			}
			return h >> (64 - hashBits) << (64 - hashBits) >> 2
		}
		model, read := map[uint64]uint64{}, map[uint64]bool{}
		next := uint64(1)
		for step := range 20000 {
			k := rng.Uint64N(300)
			key := binary.LittleEndian.AppendUint64(nil, k)
			h := hash(key)
			loc, ok := x.Find(h, key)
			want, there := model[k]
			x.Prefetch(h)
			if likely, some := x.Likely(h); there && !some || hashBits == 64 && there && likely != loc {
				t.Fatalf("bits %d step %d: likely place of %d: %d %v, want %d", hashBits, step, k, likely, some, loc)
			}
			if ok != there || loc != want {
				t.Fatalf("bits %d step %d: find %d: got %d %v, want %d %v", hashBits, step, k, loc, ok, want, there)
			}
			switch {
			case !ok:
				keyAt[next] = k
				x.Add(h, next)
				model[k] = next
				next++
			case rng.IntN(2) == 0:
				if !x.Delete(h, loc) || x.Delete(h, loc) {
					t.Fatalf("bits %d step %d: delete %d", hashBits, step, k)
				}
				delete(model, k)
				delete(keyAt, loc)
				delete(read, k)
			default:
				keyAt[next] = k
				keep := rng.IntN(2) == 0
				was := x.WasRead(h, loc, false)
				if !x.Replace(h, loc, next, keep) || x.Replace(h, loc, next, keep) {
					t.Fatalf("bits %d step %d: replace %d", hashBits, step, k)
				}
				if read[k] = read[k] && keep; x.WasRead(h, next, false) != (was && keep) {
					t.Fatalf("bits %d step %d: replaced %d: read before %v, keep %v", hashBits, step, k, was, keep)
				}
				model[k] = next
				next++
			}
			if rng.IntN(2) == 0 {
				at, before, ok := x.Read(h, key, true)
				if want, there := model[k]; ok != there || at != want || before != read[k] {
					t.Fatalf("bits %d step %d: read %d: got %d %v %v, want %d %v %v", hashBits, step, k, at, before, ok, want, read[k], there)
				}
				if read[k] = ok; ok && rng.IntN(4) == 0 {
					read[k] = !x.WasRead(h, at, true)
				}
			}
			if x.Len() != len(model) {
				t.Fatalf("bits %d step %d: %d held, want %d", hashBits, step, x.Len(), len(model))
			}
		}
		seen := map[uint64]bool{}
		x.Each(func(loc uint64) bool { seen[loc] = true; return true })
		if len(seen) != len(model) {
			t.Fatalf("bits %d: each gave %d of %d", hashBits, len(seen), len(model))
		}
		x.Close()
	}
}

func TestGrowsThroughMappings(t *testing.T) {
	x := New(func(uint64, []byte) bool { return true }, 75)
	defer x.Close()
	x.Reserve(1000)
	const n = 200_000
	for i := range uint64(n) {
		x.Add(xxh3.Hash(binary.LittleEndian.AppendUint64(nil, i)), i+1)
	}
	for i := range uint64(n) {
		if !x.Has(xxh3.Hash(binary.LittleEndian.AppendUint64(nil, i)), i+1) {
			t.Fatalf("location %d lost", i+1)
		}
	}
	if x.Bytes() < mapFrom {
		t.Fatalf("table of %d bytes was not mapped", x.Bytes())
	}
}

// TestTags walks an index by tags, in ranges, where keys share tags and probes run into each other.
func TestTags(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	x := New(func(uint64, []byte) bool { return false }, 75)
	want := map[uint64]uint32{} // location -> tag
	for loc := uint64(1); loc <= 5000; loc++ {
		tag := uint32(rng.Uint64N(3000)) // few tags, all in the first slots
		if loc%2 == 0 {
			tag = uint32(rng.Uint64N(Tags))
		}
		x.Add(uint64(tag)<<tagShift, loc)
		want[loc] = tag
	}
	for loc, tag := range want {
		if loc%5 == 0 && x.Delete(uint64(tag)<<tagShift, loc) {
			delete(want, loc)
		}
	}
	x.MarkRead(uint64(want[1])<<tagShift, 1)
	got := map[uint64]uint32{}
	const width = 1 << 20
	for first := uint32(0); first < Tags; first += width {
		seen := map[uint32]bool{}
		for _, tag := range x.AppendTags(nil, first, first+width) {
			if tag < first || tag >= first+width {
				t.Fatalf("range from %d: got tag %d", first, tag)
			}
			if seen[tag] {
				continue
			}
			seen[tag] = true
			x.EachOf(tag, func(loc uint64, read bool) {
				if _, twice := got[loc]; twice || read != (loc == 1) {
					t.Errorf("location %d: twice %v, read %v", loc, twice, read)
				}
				got[loc] = tag
			})
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("got %d locations, want the %d that are there with their tags", len(got), len(want))
	}
}
