package store

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/futago/futago/internal/vfs"
)

// A lower bound refuses writes where nothing is evicted, and a higher one takes them again, at once.
func TestSetMaxMemory(t *testing.T) {
	s := openMemory(t)
	set(t, s, "k", "v")
	for i := range 400 {
		set(t, s, strconv.Itoa(i), strings.Repeat("v", 1000))
	}
	if err := s.SetMaxMemory(s.LeastMemory()); err != nil || s.MaxMemory() != 4*64<<10 {
		t.Fatalf("got %v, bound %d", err, s.MaxMemory())
	}
	if err := s.Commit(&Request{Op: Set, Key: []byte("k"), Value: []byte("w")}, new(Result)); !errors.Is(err, ErrNoMemory) {
		t.Fatalf("set: %v, want ErrNoMemory", err)
	}
	if err := s.SetMaxMemory(1 << 40); err != nil {
		t.Fatal(err)
	}
	set(t, s, "k", "w")
	wantValue(t, s, "k", "w")
}

func TestSetMaxMemoryEvicts(t *testing.T) {
	const memory = 24 << 20
	c := evictConfig(1, memory)
	s := open(t, c)
	defer s.Close()
	set(t, s, "hot", "h")
	fill(t, s, "k", 15_000)
	if st := s.Stats(); st.Evicted > 0 || st.MemoryBytes < memory/2 {
		t.Fatalf("before: evicted %d, holds %d bytes", st.Evicted, st.MemoryBytes)
	}
	if least := s.LeastMemory(); least > memory/2 {
		t.Fatalf("least bound %d, want at most half of %d", least, memory)
	}
	if err := s.SetMaxMemory(memory / 2); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "records are evicted", func() bool { return s.Memory() <= memory/2 })
	if st := s.Stats(); st.Evicted < 1000 || st.Items < 3000 {
		t.Errorf("evicted %d, kept %d", st.Evicted, st.Items)
	}
}

func TestSetMaxMemoryOfIndexAlone(t *testing.T) {
	c := testConfig(1, vfs.Memory(), nil)
	c.InMemory = false // as with a folder
	s := open(t, c)
	defer s.Close()
	if err := s.SetMaxMemory(1 << 30); !errors.Is(err, ErrMemoryFixed) || s.MaxMemory() != 0 {
		t.Errorf("got %v, bound %d, want ErrMemoryFixed and no bound", err, s.MaxMemory())
	}
}
