package store

import (
	"sync"
	"testing"

	"github.com/futago/futago/internal/vfs"
)

// The admin port tells figures to the very end of a drain, while the store closes and after that.
func TestFiguresDuringClose(t *testing.T) {
	s, err := Open(testConfig(1, vfs.Memory(), nil))
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	set(t, s, "k", "v")
	if n := s.Stats().MemoryBytes; n == 0 {
		t.Fatal("an open store takes no memory")
	}
	var readers sync.WaitGroup
	closed := make(chan struct{})
	begun := make(chan struct{})
	readers.Go(func() {
		for first := true; ; first = false {
			s.Stats()
			s.Acknowledgement()
			s.Healthy()
			if first {
				close(begun)
			}
			select {
			case <-closed:
				return
			default:
			}
		}
	})
	<-begun
	if err := s.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	if got := s.Stats(); got.LastSeq != 1 || got.Items != 1 {
		t.Errorf("after Close: end %d, %d items, want 1 and 1", got.LastSeq, got.Items)
	}
	close(closed)
	readers.Wait()
}
