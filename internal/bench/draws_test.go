package bench

import (
	"bytes"
	"fmt"
	"testing"
)

// TestDraws: they are the keys of the requests of a load with the same seed.
func TestDraws(t *testing.T) {
	for _, skew := range []float64{0, 0.99} {
		t.Run(fmt.Sprint("skew ", skew), func(t *testing.T) {
			c := DefaultConfig()
			c.Keys, c.Zipf, c.Seed = 1000, skew, 7
			d, err := NewDraws(c)
			if err != nil {
				t.Fatal(err)
			}
			w, r := newWorkload(&c), newRandom(c.Seed, 0)
			seen := map[int]bool{}
			for range 5000 {
				var want uint64
				want, r = w.choose(r)
				i := d.Next()
				if i != int(want) || !bytes.Equal(d.Key(i), fmt.Appendf(nil, "k%015d", i)) {
					t.Fatalf("got key %d %q, want number %d", i, d.Key(i), want)
				}
				seen[i] = true
			}
			if len(seen) < 300 {
				t.Errorf("%d different keys of 1000 in 5000 draws", len(seen))
			}
		})
	}
}

func TestDrawsRefuse(t *testing.T) {
	c := DefaultConfig()
	c.Keys = 0
	if _, err := NewDraws(c); err == nil {
		t.Error("no keys: got no error")
	}
}
