package migrate

import (
	"context"
	"fmt"
	"sync"

	"github.com/futago/futago/internal/tyrant"
)

// tyrantRecords is a Source: all records of a server of Tokyo Tyrant's protocol, as they are when they are read. There is no place to go
// on from.
type tyrantRecords struct {
	dial Dial
	// byPrefix lists the keys without the cursor of the server.
	byPrefix bool
	total    int64 // records, about
}

// group is some keys and what was read of them.
type group struct {
	keys    [][]byte
	records []tyrant.Record
}

// Read lists keys, and reads and gives their records to the sink, each on a connection of its own.
func (s *tyrantRecords) Read(ctx context.Context, _ string, to *Sink) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var stages sync.WaitGroup
	defer stages.Wait()
	defer cancel(nil)
	lists, groups := make(chan [][]byte, 4), make(chan group, 2)
	stages.Go(func() {
		defer close(lists)
		if err := s.list(ctx, lists); err != nil {
			cancel(fmt.Errorf("list keys: %w", err))
		}
	})
	stages.Go(func() {
		defer close(groups)
		if err := s.read(ctx, lists, groups); err != nil {
			cancel(fmt.Errorf("read records: %w", err))
		}
	})
	done := int64(0)
	for g := range groups {
		for _, key := range absent(g.keys, g.records) {
			to.Skip(reasonGone, keyName(key))
		}
		for _, r := range g.records {
			if err := to.Put(tyrant.Item{Key: r.Key, Value: r.Value}); err != nil {
				return err
			}
		}
		done += int64(len(g.keys))
		if err := to.At("", done, s.total); err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

// list sends all keys.
func (s *tyrantRecords) list(ctx context.Context, lists chan<- [][]byte) error {
	c, err := connect(ctx, s.dial, 0)
	if err != nil {
		return err
	}
	defer c.Close()
	use := func(keys [][]byte) error { return send(ctx, lists, keys) }
	if s.byPrefix {
		return prefixKeys(ctx, c, nil, sliceKeys, use)
	}
	return cursorKeys(ctx, c, use)
}

// read sends what the server has under the keys.
func (s *tyrantRecords) read(ctx context.Context, lists <-chan [][]byte, groups chan<- group) error {
	r, err := openReader(ctx, s.dial)
	if err != nil {
		return err
	}
	defer func() { r.Close() }()
	for keys := range lists {
		records, err := r.read(ctx, keys)
		if err == nil {
			err = send(ctx, groups, group{keys, records})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// copy stores all records of the source as every transfer does, and writes down that it has.
func (m *importer) copy(ctx context.Context, info *serverInfo) error {
	done, err := Transfer(ctx, TransferConfig{
		Source: &tyrantRecords{m.Source, m.ByPrefix, int64(info.records)}, Target: m.Target, Mode: storeMode(m.DryRun), Rate: m.Rate,
		State: &StateFile{}, Stop: m.CutOver, Notice: m.Notice,
		Progress: func(done, total int64) { m.Progress(Progress{Records: done, Total: total}) },
	})
	m.done.Summary = *done
	if err != nil || m.DryRun {
		return err
	}
	m.State.Copied = true
	return m.State.Save()
}

// send gives v to ch unless ctx ends first.
func send[T any](ctx context.Context, ch chan<- T, v T) error {
	select {
	case ch <- v:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
