package clusterfront

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/futago/futago/internal/feed"
	"github.com/futago/futago/internal/rediscluster"
	"github.com/futago/futago/internal/store"
)

// changeStream is what the masters of the cluster tell, for a feed.
type changeStream struct {
	*rediscluster.Changes
	store *rediscluster.Store
}

// openChanges begins behind a position, "" for what is there now.
func (f *Front) openChanges(ctx context.Context, from string) (feed.Stream, error) {
	c, err := f.store.Changes(ctx, from)
	if err != nil {
		return nil, feedError(err)
	}
	return changeStream{c, f.store}, nil
}

// feedError is an error of the cluster in the words of the feed.
func feedError(err error) error {
	switch {
	case errors.Is(err, rediscluster.ErrGone):
		return fmt.Errorf("%w: %w", feed.ErrGone, err)
	case errors.Is(err, rediscluster.ErrPosition):
		return fmt.Errorf("%w: %w", feed.ErrPosition, err)
	}
	return err
}

// Next returns the following change.
func (s changeStream) Next() (feed.Entry, error) {
	c, err := s.Changes.Next()
	switch {
	case err != nil:
		return nil, feedError(err)
	case c == nil:
		return nil, nil
	case c.Flush:
		return &feed.Plain{Op: "flush", At: c.At}, nil
	case c.Deleted:
		return &change{feed.Plain{Op: "delete", Key: c.Key}, s.store}, nil
	}
	return &change{feed.Plain{Op: "set", Key: c.Key}, s.store}, nil
}

// change is a key that has changed. What is under it is read when it is told with its value.
type change struct {
	feed.Plain
	store *rediscluster.Store
}

// Encode writes it as a JSON object.
func (c *change) Encode(w io.Writer, values bool) error {
	if values {
		var v store.View
		found, expires, err := c.store.Look(c.Key, &v)
		if err != nil {
			return err
		}
		if c.Op = "delete"; found {
			c.Op, c.HasValue, c.Flags, c.Type, c.Value, c.Expires = "set", true, v.Flags, v.Type, v.Value, expires
		}
	}
	return c.Plain.Encode(w, values)
}
