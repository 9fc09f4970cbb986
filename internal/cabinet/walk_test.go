package cabinet

import (
	"bytes"
	"fmt"
	"testing"
)

// A store that is elsewhere may show a key more than once.
func TestLowestTakesKeysOnce(t *testing.T) {
	for _, distinct := range []int{2, 3, 1000} {
		for _, most := range []int{-1, 1, 3} {
			l := lowest{max: most, limit: 1 << 20}
			for i := range 3 * 1000 {
				if key := fmt.Appendf(nil, "%04d", i%distinct); !l.add(key) {
					t.Fatalf("add %s: too many", key)
				}
			}
			l.sort()
			want := distinct
			if most >= 0 {
				want = min(most, distinct)
			}
			if len(l.keys) != want {
				t.Errorf("at most %d of %d keys: got %d, want %d", most, distinct, len(l.keys), want)
			}
			for i, key := range l.keys {
				if !bytes.Equal(key, fmt.Appendf(nil, "%04d", i)) {
					t.Errorf("at most %d of %d keys: key %d is %s", most, distinct, i, key)
				}
			}
		}
	}
}
