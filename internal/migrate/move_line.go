package migrate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/futago/futago/internal/tyrant"
)

const (
	// moveRetry is how long a side that does not do what it is asked for is asked again, moveRetryPause the time between.
	moveRetry      = 2 * time.Minute
	moveRetryPause = 200 * time.Millisecond
	// moveReply is the size of the largest reply: the largest value, and what stands beside it.
	moveReply = exportReply
)

// moveLine is a connection to a side, replaced when it is lost.
type moveLine struct {
	ends []End
	// at says which of them is to be asked; nil: any.
	at     func() int
	notice func(text string)
	c      *tyrant.Client
	end    int // to which c leads
}

// dial connects to the node that is to be asked, or to the first one that answers.
func (l *moveLine) dial(ctx context.Context) (err error) {
	if l.at != nil {
		l.end = l.at()
		l.c, err = l.ends[l.end].Dial(ctx, moveReply)
		return err
	}
	for i := range l.ends {
		end := (l.end + i) % len(l.ends)
		if l.c, err = l.ends[end].Dial(ctx, moveReply); err == nil {
			l.end = end
			return nil
		}
	}
	return err
}

func (l *moveLine) close() {
	if l.c != nil {
		l.c.Close()
		l.c = nil
	}
}

// once asks for something that may be done twice. The end of ctx ends it, and costs the connection.
func (l *moveLine) once(ctx context.Context, ask func(c *tyrant.Client) error) error {
	if l.c != nil && l.at != nil && l.at() != l.end {
		l.close()
	}
	if l.c == nil {
		if err := l.dial(ctx); err != nil {
			l.c = nil
			return err
		}
	}
	c := l.c
	defer context.AfterFunc(ctx, func() { c.Close() })()
	err := ask(c)
	if lost(err) {
		l.close()
	}
	return err
}

// do is once until it succeeds, for a side may lack its node or master for a while.
func (l *moveLine) do(ctx context.Context, ask func(c *tyrant.Client) error) error {
	var until time.Time
	for {
		err := l.once(ctx, ask)
		switch {
		case err == nil || ctx.Err() != nil:
			return reason(ctx, err)
		case until.IsZero():
			until = time.Now().Add(moveRetry)
			l.notice(fmt.Sprintf("trying again for %v: %s: %v", moveRetry, l.ends[l.end].Name, err))
		case time.Now().After(until):
			return fmt.Errorf("%s: %w", l.ends[l.end].Name, err)
		}
		if l.at == nil && !errors.Is(err, tyrant.CodeMisc) {
			l.end = (l.end + 1) % len(l.ends)
			l.close()
		}
		wait(ctx, moveRetryPause)
	}
}

// read returns those of the keys that have a record, by key. Too much for a reply is asked for in parts.
func (l *moveLine) read(ctx context.Context, keys [][]byte) (map[string]*tyrant.Item, error) {
	records := make(map[string]*tyrant.Item, len(keys))
	if len(keys) == 0 {
		return records, nil
	}
	err := l.do(ctx, func(c *tyrant.Client) error { return readInto(records, c, keys) })
	return records, err
}

func readInto(records map[string]*tyrant.Item, c *tyrant.Client, keys [][]byte) error {
	items, err := c.ExportKeys(keys)
	if errors.Is(err, tyrant.CodeMisc) && len(keys) > 1 {
		half := len(keys) / 2
		if err := readInto(records, c, keys[:half]); err != nil {
			return err
		}
		return readInto(records, c, keys[half:])
	}
	for i := range items {
		records[string(items[i].Key)] = &items[i]
	}
	return err
}

// store stores records, a few in each request, and calls tell with what came of each.
func (l *moveLine) store(ctx context.Context, mode tyrant.StoreMode, items []tyrant.Item, tell func(i *tyrant.Item, o tyrant.Outcome)) error {
	for len(items) > 0 {
		n, size := 1, itemSize(&items[0])
		for n < min(len(items), parcelItems) && size+itemSize(&items[n]) <= parcelBytes {
			size += itemSize(&items[n])
			n++
		}
		var outcomes []tyrant.Outcome
		err := l.do(ctx, func(c *tyrant.Client) (err error) {
			var fault error
			outcomes, _, fault, err = c.Import(mode, items[:n])
			if err == nil && fault != nil {
				err = fmt.Errorf("%w: %w", ErrFault, fault)
			}
			return err
		})
		if err != nil {
			return err
		}
		for i, o := range outcomes {
			tell(&items[i], o)
		}
		items = items[n:]
	}
	return nil
}

// remove removes records, or sees that they are not there.
func (l *moveLine) remove(ctx context.Context, keys [][]byte) error {
	if len(keys) == 0 {
		return nil
	}
	return l.do(ctx, func(c *tyrant.Client) error {
		_, err := c.Misc("outlist", 0, keys...)
		return err
	})
}
