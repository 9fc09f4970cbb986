package migrate

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/futago/futago/internal/tyrant"
)

// ErrShared says that the cursor of the source, which all its clients share, was moved by another one: keys may be missing.
var ErrShared = errors.New("another client has moved the source's cursor")

const (
	// cursorCheck is how often it is looked at whether others use the cursor.
	cursorCheck = 2 * time.Second
	// sliceKeys is how many keys are listed by one prefix; above that by longer ones.
	sliceKeys = 1 << 18
)

// cursorKeys calls use with all keys, by the cursor of the server. ErrShared.
func cursorKeys(ctx context.Context, c *tyrant.Client, use func(keys [][]byte) error) error {
	before, err := readInfo(c)
	if err == nil {
		err = c.IterInit()
	}
	if err != nil {
		return err
	}
	asked, checked := uint64(0), time.Now()
	var last []byte
	for end := false; !end; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		var keys [][]byte
		keys, end, err = c.IterNexts(batchKeys)
		if err != nil {
			return err
		}
		asked += batchKeys
		if end || time.Since(checked) > cursorCheck {
			now, err := readInfo(c)
			if err != nil {
				return err
			}
			if !now.ownCursors() && (now.inits > before.inits+1 || now.nexts > before.nexts+asked) {
				return ErrShared
			}
			checked = time.Now()
		}
		if last != nil {
			keys = slices.Insert(keys, 0, last)
		}
		keys = slices.CompactFunc(keys, bytes.Equal) // a tree names a key once for each of its values
		if len(keys) == 0 {
			continue
		}
		if !end { // the next group may begin with it
			last, keys = keys[len(keys)-1], keys[:len(keys)-1]
		}
		if err := use(keys); err != nil {
			return err
		}
	}
	return nil
}

// prefixKeys calls use with all keys that begin with prefix, without the cursor: by the lists of prefixes that have few keys, at most
// limit.
func prefixKeys(ctx context.Context, c *tyrant.Client, prefix []byte, limit int, use func(keys [][]byte) error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	keys, err := c.FwmKeys(prefix, int32(limit))
	if err != nil {
		return err
	}
	if len(keys) < limit {
		keys = slices.CompactFunc(keys, bytes.Equal)
		for group := range slices.Chunk(keys, batchKeys) {
			if err := use(group); err != nil {
				return err
			}
		}
		return nil
	}
	if err := use([][]byte{prefix}); err != nil { // if it is a key itself
		return err
	}
	for b := range 256 {
		if err := prefixKeys(ctx, c, append(slices.Clip(prefix), byte(b)), limit, use); err != nil {
			return err
		}
	}
	return nil
}
