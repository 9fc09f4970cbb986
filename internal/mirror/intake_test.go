package mirror

import (
	"testing"
	"testing/synctest"

	"github.com/futago/futago/internal/tyrant"
)

// A master that sends faster than the node executes waits, after so many bytes and also in front of what is larger than that.
func TestIntakeIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newIntake()
		put := 0
		go func() {
			for _, size := range []int{maxWaiting / 2, maxWaiting / 2, 1, maxWaiting + 1} {
				if err := q.put(t.Context(), &tyrant.Entry{Payload: make([]byte, size)}); err != nil {
					t.Error(err)
				}
				put++
			}
		}()
		for _, want := range []int{2, 3, 4} {
			synctest.Wait()
			if put != want {
				t.Fatalf("%d entries were taken, want %d", put, want)
			}
			q.done(q.gather(<-q.items))
		}
	})
}
