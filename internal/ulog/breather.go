package ulog

import "time"

const (
	// breath is after how many bytes a breather pauses: some tens of microseconds.
	breath = 64 << 10
	// ease is how many times as long as it worked it then pauses.
	ease = 3
)

// breather keeps large work in the background from those that somebody waits for. With few processors they would wait for a slice of the
// scheduler, milliseconds, so the work is done in short pieces with pauses. nil never pauses.
type breather struct {
	began time.Time
	done  int64
	hurry func() bool // no pauses are to be made now; nil is never
}

// did tells of a piece that is done, and its size in bytes.
func (b *breather) did(n int64) {
	if b == nil {
		return
	}
	if b.done += n; b.done < breath {
		return
	}
	if b.done = 0; b.hurry == nil || !b.hurry() {
		if !b.began.IsZero() {
			time.Sleep(ease * time.Since(b.began))
		}
		b.began = time.Now()
	}
}
