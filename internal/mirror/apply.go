package mirror

import (
	"context"
	"errors"
	"math"

	"github.com/futago/futago/internal/cabinet"
	"github.com/futago/futago/internal/store"
	"github.com/futago/futago/internal/tyrant"
)

// outcomes are the errors of an operation that the data decide, and not the state of the node.
var outcomes = []error{
	store.ErrNotFound, store.ErrExists, store.ErrNotNumeric, store.ErrKey, store.ErrTooLarge, cabinet.ErrEnd, cabinet.ErrArgument, cabinet.ErrFunction,
	cabinet.ErrTooMuch,
}

// isOutcome reports whether an operation was executed, be it without an effect.
func isOutcome(err error) bool {
	if err == nil {
		return true
	}
	for _, o := range outcomes {
		if errors.Is(err, o) {
			return true
		}
	}
	return false
}

// execute does what a logged request says.
func execute(ctx context.Context, c *cabinet.Client, r *tyrant.Request) error {
	switch r.Command {
	case tyrant.Put:
		return c.Put(r.Key, r.Value)
	case tyrant.PutKeep:
		return c.PutKeep(r.Key, r.Value)
	case tyrant.PutCat:
		return c.PutCat(r.Key, r.Value)
	case tyrant.PutShl:
		return c.PutShl(r.Key, r.Value, int(r.Width))
	case tyrant.Out:
		return c.Out(r.Key)
	case tyrant.AddInt:
		_, err := c.AddInt(r.Key, r.Num)
		return err
	case tyrant.AddDouble:
		n := r.Double.Float64()
		if math.IsNaN(n) {
			return store.ErrNotNumeric
		}
		_, err := c.AddDouble(r.Key, n)
		return err
	case tyrant.Vanish:
		return c.Vanish()
	case tyrant.Misc:
		_, err := c.Misc(ctx, string(r.Name), r.Args)
		return err
	}
	return nil // sync and optimize concern that server alone
}

// writes are the functions of misc that change records, the others are logged too.
var writes = map[string]bool{"put": true, "putkeep": true, "putcat": true, "out": true, "putlist": true, "outlist": true, "vanish": true}

// changes reports whether a logged request changes records, and repeats whether doing it twice is not the same as once.
func changes(r *tyrant.Request) (does, repeats bool) {
	switch r.Command {
	case tyrant.PutCat, tyrant.PutShl, tyrant.AddInt, tyrant.AddDouble:
		return true, true
	case tyrant.Sync, tyrant.Optimize:
		return false, false
	case tyrant.Misc:
		return writes[string(r.Name)], string(r.Name) == "putcat"
	}
	return true, false
}

// keysOf are the keys that a request changes; none means all of them.
func keysOf(r *tyrant.Request) [][]byte {
	switch {
	case r.Command == tyrant.Vanish:
		return nil
	case r.Command != tyrant.Misc:
		return [][]byte{r.Key}
	}
	_, keys := cabinet.MiscRights(string(r.Name), r.Args)
	return keys
}

// Replay executes the payload of a log entry, for a client who has it from a file. With check the error tells that the result is not
// the one that was logged.
func Replay(ctx context.Context, c *cabinet.Client, payload []byte, check bool) error {
	var r tyrant.Request
	ok, err := tyrant.DecodePayload(payload, &r)
	if err != nil {
		return err
	}
	if does, _ := changes(&r); !ok || !does {
		return nil
	}
	err = execute(ctx, c, &r)
	if !isOutcome(err) || check && err != nil {
		return err
	}
	return nil
}
