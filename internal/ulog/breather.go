package ulog

import "time"

const (
	// breath is after how many bytes a breather pauses: some tens of microseconds.
	breath = 64 << 10
	// ease is how many times as long as it worked it then pauses.
	ease = 6
	// longestPiece bounds what counts as work: what takes longer waited for a disk, or for the processor.
	longestPiece = 500 * time.Microsecond
)

// breather keeps large work in the background from those that somebody waits for. With few processors they would wait for a slice of the
// scheduler, milliseconds, so the work is done in short pieces with pauses. nil never pauses.
type breather struct {
	began time.Time
	done  int64
	late  func() int // by how much less than ease it is to pause; nil is 0
}

// did tells of a piece that is done, and its size in bytes.
func (b *breather) did(n int64) {
	if b == nil {
		return
	}
	if b.done += n; b.done < breath {
		return
	}
	b.done = 0
	pause := time.Duration(ease)
	if b.late != nil {
		pause -= time.Duration(b.late())
	}
	if pause > 0 && !b.began.IsZero() {
		time.Sleep(pause * min(time.Since(b.began), longestPiece))
	}
	b.began = time.Now()
}
