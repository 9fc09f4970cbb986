package store

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/futago/futago/internal/vfs"
)

// TestWarm prepares for keys of all kinds while records come and go, and segments with them: nothing of it is seen.
func TestWarm(t *testing.T) {
	c := testConfig(1, vfs.Memory(), nil)
	c.CompactRate = 1 << 40
	s := open(t, c)
	defer s.Close()
	const n = 200
	keys := [][]byte{nil, []byte(strings.Repeat("k", 1<<16)), []byte("unknown")}
	for i := range n {
		keys = append(keys, fmt.Appendf(nil, "k%d", i))
	}
	done := make(chan struct{})
	var work sync.WaitGroup
	work.Go(func() {
		defer close(done)
		value := []byte(strings.Repeat("v", 300))
		for i := range 40 * n {
			do(t, s, Request{Op: Set, Key: keys[3+i%n], Value: value})
			if i%7 == 0 {
				do(t, s, Request{Op: Delete, Key: keys[3+i%n]})
			}
			if i%16 == 0 {
				s.Flush()
				s.CompactOnce()
			}
		}
	})
	for at := 0; ; at = (at + 5) % len(keys) {
		s.Warm(keys[at:])
		select {
		case <-done:
		default:
			continue
		}
		break
	}
	work.Wait()
	s.Flush()
	set(t, s, "last", "v")
	batch := [][]byte{[]byte("last"), []byte("unknown")}
	if allocated := testing.AllocsPerRun(100, func() { s.Warm(batch) }); allocated != 0 {
		t.Errorf("%v allocations", allocated)
	}
	var v View
	if !s.Peek([]byte("last"), &v) || v.Read || v.accessed != 0 {
		t.Errorf("a record that was prepared for: read %v, at %d", v.Read, v.accessed)
	}
	v.Release()
}
