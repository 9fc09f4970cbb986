package rediscluster

import (
	"context"
	"sync"

	"github.com/valkey-io/valkey-go"

	"github.com/futago/futago/internal/record"
	"github.com/futago/futago/internal/store"
)

// Together does reads and writes at once, of which no two may concern one key unless both read: each master gets in one piece what it is
// to do, so all take the time of one. Each ends as it would by itself, whatever becomes of the others. A record that takes most bytes
// or more is not read: its Fault is store.ErrTooLarge.
func (s *Store) Together(reads []store.Read, most int, writes []store.Write) {
	ctx, cancel := context.WithTimeout(s.ctx, s.cfg.Timeout)
	defer cancel()
	f, err := s.floors.now(ctx, s)
	if err != nil {
		for i := range reads {
			reads[i].Found, reads[i].View.Fault = false, s.unreached(err)
		}
		for i := range writes {
			*writes[i].Result, writes[i].Err = store.Result{}, s.unreached(err)
		}
		return
	}
	var alone sync.WaitGroup // what the first attempt did not settle
	defer alone.Wait()
	commands := make([]valkey.Completed, 0, len(reads)+len(writes))
	settle := make([]func(valkey.ValkeyResult), 0, cap(commands))
	for i := range reads {
		r := &reads[i]
		r.Found, r.View.Fault = false, nil
		if len(r.Key) == 0 || len(r.Key) > record.MaxKey {
			continue
		}
		commands = append(commands, s.client.B().Getrange().Key(s.name(r.Key)).Start(0).End(int64(most-1)).Build())
		settle = append(settle, func(answer valkey.ValkeyResult) {
			switch b, err := answer.AsBytes(); {
			case err != nil:
				alone.Go(func() { r.Found = s.acquire(ctx, f, r.Key, &r.View) })
			case len(b) >= most:
				r.View.Fault = store.ErrTooLarge
			default:
				r.Found = len(b) > 0 && s.show(b, f, &r.View)
			}
		})
	}
	for i := range writes {
		w := &writes[i]
		*w.Result = store.Result{}
		if w.Err = s.check(w.Request); w.Err != nil {
			continue
		}
		commit := func() { w.Err = s.commit(ctx, w.Request, w.Result) }
		if s.cfg.Replicas > 0 { // each has a connection of its own
			alone.Go(commit)
			continue
		}
		keys, args := s.words(w.Request)
		args[0] = packRequest(w.Request, f, s.cfg.MaxValue)
		commands = append(commands, s.client.B().Evalsha().Sha1(scriptSum).Numkeys(1).Key(keys...).Arg(args...).Build())
		settle = append(settle, func(answer valkey.ValkeyResult) {
			b, err := answer.AsBytes()
			if err == nil {
				w.Err = s.noted(s.settled(ctx, f, b, w.Request, w.Result))
				return
			}
			fate, fault := judge(err)
			if w.Err = fault; fate == later {
				alone.Go(commit)
				return
			}
			s.noted(fault)
		})
	}
	for i, answer := range s.client.DoMulti(ctx, commands...) {
		settle[i](answer)
	}
}
