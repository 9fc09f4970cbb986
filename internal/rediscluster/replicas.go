package rediscluster

import (
	"context"
	"errors"
	"time"

	"github.com/valkey-io/valkey-go"
)

// errReplicas says that too few replicas had a write in time. It was executed.
var errReplicas = errors.New("too few replicas confirmed the write")

// run executes the script. Where replicas are to confirm, both go over one connection of their own, for WAIT speaks of what its
// connection has written.
func (s *Store) run(ctx context.Context, keys, args []string) (res valkey.ValkeyResult) {
	if s.cfg.Replicas == 0 {
		return script.Exec(ctx, s.client, keys, args)
	}
	res = s.confirm(ctx, s.client, false, keys, args)
	// Such a connection follows no redirect by itself.
	for range maxRedirects {
		answer, ok := valkey.IsValkeyErr(res.Error())
		if !ok {
			break
		}
		addr, asks := answer.IsAsk()
		if !asks {
			addr, _ = answer.IsMoved()
		}
		node := s.client.Nodes()[addr]
		if node == nil {
			break // the client has yet to hear of it
		}
		res = s.confirm(ctx, node, asks, keys, args)
	}
	return res
}

// confirm executes the script at a node, or at the master of the key, and waits for the replicas. asks says that the node is about to
// get the slot.
func (s *Store) confirm(ctx context.Context, node valkey.Client, asks bool, keys, args []string) (res valkey.ValkeyResult) {
	err := node.Dedicated(func(c valkey.DedicatedClient) error {
		do := func(command valkey.Completed) valkey.ValkeyResult {
			if asks {
				return c.DoMulti(ctx, c.B().Asking().Build(), command)[1]
			}
			return c.Do(ctx, command)
		}
		res = do(c.B().Evalsha().Sha1(scriptSum).Numkeys(1).Key(keys...).Arg(args...).Build())
		if answer, ok := valkey.IsValkeyErr(res.Error()); ok && answer.IsNoScript() {
			res = do(c.B().Eval().Script(scriptText).Numkeys(1).Key(keys...).Arg(args...).Build())
		}
		if b, err := res.AsBytes(); err != nil || len(b) == 1 {
			return nil // nothing was written
		}
		until, _ := ctx.Deadline()
		n, err := c.Do(ctx, c.B().Wait().Numreplicas(int64(s.cfg.Replicas)).Timeout(max(time.Until(until).Milliseconds()/2, 1)).Build()).AsInt64()
		if err == nil && n < int64(s.cfg.Replicas) {
			err = errReplicas
		}
		return err
	})
	if err != nil {
		return valkey.NewErrorResult(errors.Join(errReplicas, err))
	}
	return res
}
