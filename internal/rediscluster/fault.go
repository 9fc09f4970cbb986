package rediscluster

import (
	"context"
	"errors"
	"net"
	"strings"
	"time"

	"github.com/valkey-io/valkey-go"

	"github.com/futago/futago/internal/store"
)

// fate is what an error says of the command.
type fate uint8

const (
	lost    fate = iota // it may have been executed, or be yet
	refused             // it was not executed, and will not be if it is repeated
	later               // it was not executed, and may be if it is repeated
)

// fates are the answers of the cluster by their first word. A script that answers so has not begun.
var fates = map[string]struct {
	fate
	err error
}{
	"MOVED": {later, store.ErrUnreached}, "ASK": {later, store.ErrUnreached}, "TRYAGAIN": {later, store.ErrUnreached},
	"CLUSTERDOWN": {later, store.ErrUnreached}, "LOADING": {later, store.ErrUnreached}, "MASTERDOWN": {later, store.ErrUnreached},
	"READONLY": {later, store.ErrUnreached}, "BUSY": {later, store.ErrUnreached}, "NOSCRIPT": {later, store.ErrUnreached},
	"OOM": {refused, store.ErrNoMemory}, "MISCONF": {refused, store.ErrReadOnly}, "NOREPLICAS": {refused, store.ErrReadOnly},
	"WRONGTYPE": {refused, store.ErrForeign}, "NOAUTH": {refused, store.ErrUnreached}, "WRONGPASS": {refused, store.ErrUnreached},
	"NOPERM": {refused, store.ErrUnreached},
}

// judge tells what an error means.
func judge(err error) (fate, error) {
	if answer, ok := valkey.IsValkeyErr(err); ok {
		word, _, _ := strings.Cut(strings.TrimPrefix(answer.Error(), "ERR "), " ")
		if f, ok := fates[word]; ok {
			return f.fate, f.err
		}
		return lost, store.ErrUnknown
	}
	if errors.Is(err, store.ErrUnreached) {
		return refused, store.ErrUnreached // it was not even sent
	}
	var op *net.OpError
	if errors.Is(err, valkey.ErrNoSlot) || errors.As(err, &op) && op.Op == "dial" {
		return later, store.ErrUnreached
	}
	return lost, store.ErrUnknown
}

// pauses between repetitions, the last one for all further ones.
var pauses = []time.Duration{0, time.Millisecond, 5 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond}

// attempt does something until it succeeds, fails for good, or the time is over. It counts repetitions, not what comes of them.
func (s *Store) attempt(ctx context.Context, do func() error, again func(error) (bool, error)) error {
	for n := 0; ; n++ {
		err := do()
		if err == nil {
			return nil
		}
		repeat, fault := again(err)
		s.logger.Debug("the cluster failed", "fault", fault, "err", err)
		if !repeat {
			return fault
		}
		s.counts.repeated.Add(1)
		select {
		case <-ctx.Done():
			return fault
		case <-time.After(pauses[min(n, len(pauses)-1)]):
		}
	}
}

// write executes a command that changes something, and again while it is certain that it was not executed.
func (s *Store) write(ctx context.Context, do func() valkey.ValkeyResult) (answer []byte, err error) {
	err = s.attempt(ctx, func() (err error) {
		answer, err = do().AsBytes()
		return err
	}, func(err error) (bool, error) {
		fate, fault := judge(err)
		// Another try that the deadline cuts off would make what did nothing unknown.
		until, _ := ctx.Deadline()
		return fate == later && time.Until(until) > s.cfg.Timeout/8, fault
	})
	return answer, err
}

// read executes a command that changes nothing.
func (s *Store) read(ctx context.Context, do func() error) error {
	return s.attempt(ctx, do, func(err error) (bool, error) {
		fate, fault := judge(err)
		if fate == refused {
			return false, fault
		}
		return ctx.Err() == nil, store.ErrUnreached
	})
}

// noted counts what an operation of a client ended with.
func (s *Store) noted(fault error) error {
	switch {
	case errors.Is(fault, store.ErrUnknown):
		s.counts.unknown.Add(1)
	case errors.Is(fault, store.ErrUnreached):
		s.counts.unreached.Add(1)
	}
	return fault
}

// unreached is the fault of an operation that did not begin, and why.
func (s *Store) unreached(err error) error {
	s.logger.Debug("the cluster was not reached", "err", err)
	return s.noted(store.ErrUnreached)
}
