package rediscluster

import (
	"context"

	"github.com/valkey-io/valkey-go"
)

// mostDirect is how many calls of the client may be under way before their callers no longer wait inside it. A connection has 1,024 places for
// commands that are not answered; for one of them the client waits without a limit.
const mostDirect = 900

// within has the client do something, and waits for it no longer than ctx reaches. What is left behind may be sent yet.
func within[T any](ctx context.Context, s *Store, do func() T, late func(error) T) T {
	defer s.underWay.Add(-1)
	if s.underWay.Add(1) <= mostDirect {
		return do()
	}
	done := make(chan T, 1)
	go func() { done <- do() }()
	select {
	case result := <-done:
		return result
	case <-ctx.Done():
		return late(context.Cause(ctx))
	}
}

// do is Client.Do, within ctx.
func (s *Store) do(ctx context.Context, command valkey.Completed) valkey.ValkeyResult {
	return within(ctx, s, func() valkey.ValkeyResult { return s.client.Do(ctx, command) }, valkey.NewErrorResult)
}

// doMulti is Client.DoMulti, within ctx.
func (s *Store) doMulti(ctx context.Context, commands ...valkey.Completed) []valkey.ValkeyResult {
	return within(ctx, s, func() []valkey.ValkeyResult { return s.client.DoMulti(ctx, commands...) }, func(err error) []valkey.ValkeyResult {
		all := make([]valkey.ValkeyResult, len(commands))
		for i := range all {
			all[i] = valkey.NewErrorResult(err)
		}
		return all
	})
}
