package front

import (
	"context"
	"sync/atomic"
)

// Tally counts those who use something, for one who waits until nobody does. Make it with NewTally.
type Tally struct {
	n    atomic.Int64
	idle chan struct{} // holds one word that it was 0
}

// NewTally returns one of nobody.
func NewTally() *Tally { return &Tally{idle: make(chan struct{}, 1)} }

// Enter counts one more.
func (t *Tally) Enter() { t.n.Add(1) }

// Leave counts one less.
func (t *Tally) Leave() {
	if t.n.Add(-1) == 0 {
		select {
		case t.idle <- struct{}{}:
		default:
		}
	}
}

// Count is how many there are.
func (t *Tally) Count() int64 { return t.n.Load() }

// Wait returns when there was nobody at a moment, or the error of ctx when that ended before. One may wait at a time.
func (t *Tally) Wait(ctx context.Context) error {
	for t.n.Load() != 0 {
		select {
		case <-t.idle:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
