package rediscluster

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/valkey-io/valkey-go"

	"github.com/futago/futago/internal/store"
)

// mostUnderWay is how many calls may wait for the nodes, those that were given up included.
const mostUnderWay = 1 << 15

var errManyCalls = fmt.Errorf("%w: %d calls wait for an answer already", store.ErrUnreached, mostUnderWay)

// bounded is a client whose calls end with their context. A connection has 1,024 places for commands that are not answered, and for one of them the
// client waits without a limit. What is given up may be sent yet.
type bounded struct {
	valkey.Client
	underWay *atomic.Int64
}

func newBounded(client valkey.Client) bounded { return bounded{client, new(atomic.Int64)} }

// within has the client do something, and waits for it no longer than ctx reaches.
func within[T any](ctx context.Context, b bounded, do func() T, instead func(error) T) T {
	if b.underWay.Add(1) > mostUnderWay {
		b.underWay.Add(-1)
		return instead(errManyCalls)
	}
	done := make(chan T, 1)
	go func() {
		defer b.underWay.Add(-1)
		done <- do()
	}()
	select {
	case result := <-done:
		return result
	case <-ctx.Done():
	}
	select {
	case result := <-done: // both at once
		return result
	default:
		return instead(context.Cause(ctx))
	}
}

func (b bounded) Do(ctx context.Context, command valkey.Completed) valkey.ValkeyResult {
	return within(ctx, b, func() valkey.ValkeyResult { return b.Client.Do(ctx, command) }, valkey.NewErrorResult)
}

func (b bounded) DoMulti(ctx context.Context, commands ...valkey.Completed) []valkey.ValkeyResult {
	n := len(commands) // the client takes them apart
	return within(ctx, b, func() []valkey.ValkeyResult { return b.Client.DoMulti(ctx, commands...) }, func(err error) []valkey.ValkeyResult {
		all := make([]valkey.ValkeyResult, n)
		for i := range all {
			all[i] = valkey.NewErrorResult(err)
		}
		return all
	})
}

func (b bounded) Nodes() map[string]valkey.Client {
	nodes := b.Client.Nodes()
	for addr, node := range nodes {
		nodes[addr] = bounded{node, b.underWay}
	}
	return nodes
}
