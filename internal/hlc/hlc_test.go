package hlc

import (
	"errors"
	"sync"
	"testing"
	"time"
)

func TestStampsRise(t *testing.T) {
	now := Epoch.Add(time.Hour)
	c := NewClock(7, time.Minute, func() time.Time { return now })
	last := Stamp(0)
	for i := range 10000 {
		if i == 5000 {
			now = now.Add(-time.Hour) // the wall is set back
		}
		s := c.Next()
		if s <= last || s.Node() != 7 {
			t.Fatalf("stamp %v after %v", s, last)
		}
		last = s
	}
	if err := c.Drift(); !errors.As(err, new(*DriftError)) {
		t.Fatalf("an hour ahead of the wall: %v", err)
	}
}

func TestObserve(t *testing.T) {
	now := Epoch.Add(time.Hour)
	c := NewClock(1, time.Minute, func() time.Time { return now })
	near := Make(Millis(now)+30_000, 3, 2)
	if err := c.Observe(near); err != nil {
		t.Fatal(err)
	}
	if s := c.Next(); s <= near {
		t.Fatalf("next %v after observing %v", s, near)
	}
	far := Make(Millis(now)+61_000, 0, 2)
	if err := c.Observe(far); err == nil {
		t.Fatal("a stamp 61 s ahead was taken")
	}
	if s := c.Last(); s >= far {
		t.Fatalf("a refused stamp moved the clock to %v", s)
	}
}

func TestStampsAreUnique(t *testing.T) {
	c := NewClock(3, time.Minute, nil)
	var mu sync.Mutex
	seen := map[Stamp]bool{}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			mine := make([]Stamp, 5000)
			for i := range mine {
				mine[i] = c.Next()
			}
			mu.Lock()
			defer mu.Unlock()
			for _, s := range mine {
				if seen[s] {
					t.Errorf("stamp %v twice", s)
				}
				seen[s] = true
			}
		})
	}
	wg.Wait()
}

func TestFields(t *testing.T) {
	s := Make(1234567, 4095, 1023)
	if s.Millis() != 1234567 || s.Counter() != 4095 || s.Node() != 1023 {
		t.Fatalf("got %v", s)
	}
	if got := s.Time(); !got.Equal(Epoch.Add(1234567 * time.Millisecond)) {
		t.Fatalf("time %v", got)
	}
}
