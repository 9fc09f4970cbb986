package migrate

import (
	"context"
	"fmt"
	"sync"

	"github.com/futago/futago/internal/tyrant"
)

// group is some keys and what was read of them.
type group struct {
	keys    int
	records []tyrant.Record
}

// copy lists, reads and stores all records, each on a connection of its own, and writes down that it has.
func (m *importer) copy(ctx context.Context, info *serverInfo) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var stages sync.WaitGroup
	defer stages.Wait()
	defer cancel(nil)
	lists, groups := make(chan [][]byte, 4), make(chan group, 2)
	stages.Go(func() {
		defer close(lists)
		if err := m.list(ctx, lists); err != nil {
			cancel(fmt.Errorf("list keys: %w", err))
		}
	})
	stages.Go(func() {
		defer close(groups)
		if err := m.read(ctx, lists, groups); err != nil {
			cancel(fmt.Errorf("read records: %w", err))
		}
	})
	stop := make(chan struct{})
	defer close(stop)
	stages.Go(func() {
		select {
		case <-m.CutOver:
			cancel(ErrInterrupted)
		case <-stop:
		}
	})
	if err := m.store(ctx, groups, int64(info.records)); err != nil {
		return reason(ctx, err)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	m.State.Copied = true
	return m.State.Save()
}

// list sends all keys.
func (m *importer) list(ctx context.Context, lists chan<- [][]byte) error {
	c, err := connect(ctx, m.Source, 0)
	if err != nil {
		return err
	}
	defer c.Close()
	use := func(keys [][]byte) error { return send(ctx, lists, keys) }
	if m.ByPrefix {
		return prefixKeys(ctx, c, nil, sliceKeys, use)
	}
	return cursorKeys(ctx, c, use)
}

// read sends what the source has under the keys.
func (m *importer) read(ctx context.Context, lists <-chan [][]byte, groups chan<- group) error {
	r, err := openReader(ctx, m.Source)
	if err != nil {
		return err
	}
	defer r.Close()
	for keys := range lists {
		records, err := r.read(ctx, keys)
		if err == nil {
			err = send(ctx, groups, group{len(keys), records})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (m *importer) store(ctx context.Context, groups <-chan group, total int64) error {
	w, err := openWriter(ctx, m.Target)
	if err != nil {
		return fmt.Errorf("connect to the node: %w", err)
	}
	defer w.Close()
	d := &m.done
	w.Refusals = d.Refusals
	for g := range groups {
		stored, err := w.put(g.records)
		d.Refusals = w.Refusals
		if err != nil {
			return fmt.Errorf("store records: %w", err)
		}
		d.Listed += int64(g.keys)
		d.Gone += int64(g.keys - len(g.records))
		d.Copied += stored
		for _, r := range g.records {
			d.Bytes += int64(len(r.Key) + len(r.Value))
		}
		if d.Copied == 0 && d.Refused > 0 {
			return ErrRefused
		}
		m.Progress(Progress{Records: d.Listed, Total: max(total, d.Listed)})
	}
	return nil
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
