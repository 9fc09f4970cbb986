package mirror

import (
	"bytes"
	"context"

	"golang.org/x/sync/semaphore"

	"github.com/futago/futago/internal/tyrant"
)

// maxWaiting is how many bytes of entries may have arrived and not be executed yet. One entry may be larger.
const maxWaiting = 64 << 20

// item is an entry that has arrived.
type item struct {
	time    int64
	payload []byte // nil: a sign of life
}

// weight is what an item counts in maxWaiting.
func (i *item) weight() int64 { return int64(min(len(i.payload), maxWaiting)) }

// intake is what has arrived: at most maxBatch entries and maxWaiting bytes, those of the batch that is executed included.
type intake struct {
	items chan item
	room  *semaphore.Weighted
}

func newIntake() *intake {
	return &intake{make(chan item, maxBatch), semaphore.NewWeighted(maxWaiting)}
}

// put waits for room, or the end of ctx, and copies the entry.
func (q *intake) put(ctx context.Context, e *tyrant.Entry) error {
	i := item{e.Time, bytes.Clone(e.Payload)}
	if err := q.room.Acquire(ctx, i.weight()); err != nil {
		return err
	}
	select {
	case q.items <- i:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// gather takes what has arrived besides the first.
func (q *intake) gather(first item) []item {
	all := []item{first}
	for len(all) < maxBatch {
		select {
		case next := <-q.items:
			all = append(all, next)
		default:
			return all
		}
	}
	return all
}

// done makes room for others again.
func (q *intake) done(items []item) {
	for i := range items {
		q.room.Release(items[i].weight())
	}
}
