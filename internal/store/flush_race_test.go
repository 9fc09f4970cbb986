package store

import (
	"sync"
	"testing"

	"github.com/futago/futago/internal/vfs"
)

// What a flush killed does not live on in an operation that began to work on it before: an append, a touch or a replace
// either comes before the flush and dies with it, or after it and finds nothing.
func TestFlushWhileRecordsAreChanged(t *testing.T) {
	s := open(t, testConfig(1, vfs.Memory(), nil))
	defer s.Close()
	keys := []string{"a", "b", "c", "d"}
	for range 300 {
		for _, k := range keys {
			set(t, s, k, "old")
		}
		var writers sync.WaitGroup
		stop := make(chan struct{})
		for _, k := range keys {
			writers.Go(func() {
				for {
					for _, op := range []Op{Append, Touch, Replace} {
						var res Result
						s.Commit(&Request{Op: op, Key: []byte(k), Value: []byte("+")}, &res)
					}
					select {
					case <-stop:
						return
					default:
					}
				}
			})
		}
		if _, err := s.FlushAll(0); err != nil {
			t.Fatalf("FlushAll: %v", err)
		}
		close(stop)
		writers.Wait()
		for _, k := range keys {
			if v, ok := get(s, k); ok {
				t.Fatalf("after flush_all %s is %q, nothing was stored since", k, v)
			}
		}
	}
}
