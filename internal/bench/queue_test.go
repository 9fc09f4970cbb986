package bench

import "testing"

func TestQueue(t *testing.T) {
	var q queue[int]
	next, want := 0, 0
	turn := func(pushes, pops int) {
		for range pushes {
			q.push(next)
			next++
		}
		for range pops {
			if got := q.front(); got != want {
				t.Fatalf("front: got %d want %d", got, want)
			}
			if got := q.pop(); got != want {
				t.Fatalf("pop: got %d want %d", got, want)
			}
			want++
		}
		if q.empty() != (next == want) {
			t.Fatalf("empty: got %t after %d pushes and %d pops", q.empty(), next, want)
		}
	}
	turn(1, 1)
	turn(1000, 0)
	for range 5000 { // never shorter than 999
		turn(1, 1)
	}
	if got := cap(q.items); got > 5000 {
		t.Errorf("room for %d things, of which there were never more than 1000", got)
	}
	if n := testing.AllocsPerRun(5000, func() { turn(1, 1) }); n != 0 {
		t.Errorf("a push allocates %v times, want 0", n)
	}
	turn(0, 1000)
}
