// Package migrate brings records from other servers and from files into a node, and out as lines.
//
// [Transfer] stores the records of a [Source], whatever that is. All that stores or removes records in the node goes through one
// target, which keeps to the rate, notes what came of each record, and replaces a connection that is lost.
//
// [Import] copies a live server of Tokyo Tyrant's protocol by a Transfer, and then follows its update log. What a log tells of is never
// executed: it only names the keys that have changed. Their values are read again from the source, in groups, and stored as they are by then. This is right
// whatever the copy held already, may be done again from any earlier place of the log, and does not mind entries that are out
// of order: of a key that has changed, the last value that is stored was read after the last entry that names it.
//
// [Replay] has only the files of a log and nothing to read again from, so that it computes the values, as the original would
// have, from what the target holds. It goes in steps. Before a step it writes down where the step is in the log and what
// the target holds of the keys whose new value depends on the old one, and then stores results, not changes: a step that was cut
// short is done again from what was written down.
//
// [Move] makes one store equal to another while clients write, a node of a pair and the front of a cluster being either. The change feed of
// the source names keys, as the log does for an Import; and everything is compared before clients are sent to the other side.
package migrate

import (
	"context"

	"github.com/futago/futago/internal/tyrant"
)

// Dial connects to a server. The client takes replies of at most so many bytes, 0 for the default.
type Dial func(ctx context.Context, maxReply int) (*tyrant.Client, error)

const (
	// batchKeys is how many keys are asked for and stored in one go.
	batchKeys = 256
	// batchReply is the size of the largest reply for all of them, in bytes. Above that they are asked for in parts.
	batchReply = 16 << 20
)

// connect dials, and closes the connection when ctx ends, which ends what waits for it.
func connect(ctx context.Context, dial Dial, maxReply int) (*tyrant.Client, error) {
	c, err := dial(ctx, maxReply)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { c.Close() })
	return c, nil
}

// reason is why the work of ctx has failed with err: what has ended ctx, if that came first.
func reason(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
