package migrate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/futago/futago/internal/tyrant"
)

const (
	// followerID is what the source is told: no server has it, for ids in a log have 16 bits.
	followerID = 1<<31 - 1
	// followKeys is how many changed keys are read again in one go.
	followKeys = 1024
	// saveEvery is how often the position is saved.
	saveEvery = time.Second
	// stallTime is how long a mark may be on its way while nothing else comes.
	stallTime = 60 * time.Second
	// retryTime is how long lost connections are tried to be replaced, retryPause the time between.
	retryTime  = time.Minute
	retryPause = time.Second
	// gapSlack is how much out of order entries may be where the log is taken up, in microseconds.
	gapSlack = 5_000_000
	// quietTimes is how many keep-alives in a row say that nothing is left to send, quietPause the least time between them.
	quietTimes = 3
	quietPause = 500 * time.Millisecond
)

// keepFollowing follows the log until it is told to end, over losses of connections.
func (m *importer) keepFollowing(ctx context.Context) error {
	last := time.Now()
	for {
		before := m.State.Time
		err := m.follow(ctx)
		if m.State.Time != before {
			last = time.Now()
		}
		if err == nil || !isLost(err) || ctx.Err() != nil || time.Since(last) > retryTime {
			return err
		}
		m.Notice(fmt.Sprintf("connecting again: %v", err))
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(retryPause):
		}
		c, err := connect(ctx, m.Source, 0)
		if err == nil {
			m.asks.Close()
			m.asks = c
		}
	}
}

// isLost reports whether err is the loss of a connection.
func isLost(err error) bool {
	return errors.Is(err, tyrant.CodeRecv) || errors.Is(err, tyrant.CodeSend) || errors.Is(err, tyrant.CodeRefused) || errors.Is(err, tyrant.CodeInvalid)
}

// follower is the connections that follow a log.
type follower struct {
	*importer
	r *reader
	w *target

	// What has changed and was not stored yet.
	pending [][]byte
	waits   map[string]bool
	time    int64 // of the newest entry taken
	saved   time.Time

	begun    bool // an entry has come
	markSeen bool // that of the beginning
	wanted   barrier
	ending   bool // it ends at the barrier
}

// barrier is a moment of the source that the target is to reach.
type barrier struct {
	open bool
	// mark is in the log then, "" where that is not allowed: then the source must send nothing for a while.
	mark  string
	since time.Time // or of the entry after it that came last
	quiet int
	last  time.Time // keep-alive
}

// follow follows the log over one set of connections.
func (m *importer) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	f := &follower{importer: m, waits: map[string]bool{}, time: m.State.Time, saved: time.Now()}
	var err error
	if f.r, err = openReader(ctx, m.Source); err != nil {
		return fmt.Errorf("connect to the source: %w", err)
	}
	if f.w, err = openTarget(ctx, targetConfig{dial: m.Target, mode: tyrant.StoreAll, rate: m.Rate, notice: m.Notice}); err != nil {
		return err
	}
	f.w.taken = true                                       // what the log names may be refused, and the rest not
	defer func() { m.done.Read -= m.done.unaccounted() }() // what was on its way is read again
	changes, err := m.stream(ctx, cancel)
	if err != nil {
		return err
	}
	if err := f.demand(); err != nil {
		return err
	}
	f.ending = m.UntilCaughtUp
	if err := f.run(ctx, changes); err != nil {
		return reason(ctx, err)
	}
	return m.State.Save()
}

// stream receives the log, and ends ctx when it is lost.
func (m *importer) stream(ctx context.Context, cancel context.CancelCauseFunc) (<-chan change, error) {
	c, err := connect(ctx, m.Source, 0)
	if err != nil {
		return nil, fmt.Errorf("connect to the source: %w", err)
	}
	from := m.State.Start
	if m.State.Time != 0 {
		from = m.State.Time - overlap
	}
	s, err := c.Repl(max(from, 1), followerID)
	if err != nil {
		return nil, err
	}
	changes := make(chan change, followKeys)
	go func() {
		for {
			var e tyrant.Entry
			err := s.Next(&e)
			if err == nil {
				err = send(ctx, changes, changeOf(&e))
			}
			if err != nil {
				cancel(err)
				return
			}
		}
	}()
	return changes, nil
}

// demand sets the barrier to now.
func (f *follower) demand() error {
	mark, err := f.mark()
	f.wanted = barrier{open: true, mark: mark, since: time.Now()}
	return err
}

func (f *follower) run(ctx context.Context, changes <-chan change) error {
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	cutOver := f.CutOver
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case c := <-changes:
			for more := true; more; {
				if err := f.take(ctx, c); err != nil {
					return err
				}
				select {
				case c = <-changes:
				default:
					more = false
				}
			}
			if err := f.flush(ctx); err != nil {
				return err
			}
			if f.reached() && f.ending {
				return nil
			}
		case <-cutOver:
			cutOver, f.ending = nil, true
			if err := f.demand(); err != nil {
				return err
			}
		case <-tick.C:
			if w := &f.wanted; w.open && w.mark != "" && time.Since(w.since) > stallTime {
				return ErrStalled
			}
		}
		if time.Since(f.saved) > saveEvery {
			f.saved = time.Now()
			if err := f.State.Save(); err != nil {
				return err
			}
		}
	}
}

// take notes what an entry has changed.
func (f *follower) take(ctx context.Context, c change) error {
	if c.at == 0 {
		f.wanted.keptAlive(c.arrived)
		return nil
	}
	if err := f.checkGap(c); err != nil {
		return err
	}
	f.wanted.quiet, f.wanted.since = 0, c.arrived
	f.wanted.seen(c.mark)
	d := &f.done
	if c.mark == "" {
		d.Entries++
	}
	switch c.effect {
	case noEffect:
		if c.mark == "" {
			d.NoEffect++
		}
	case unknownKeys:
		d.Unknown++
		if d.Unknown <= maxNotes {
			f.Notice(fmt.Sprintf("%s at %v: what it changed is not known and not carried over", c.name, time.UnixMicro(c.at).UTC()))
		}
	case changesKeys:
		d.Named++
		for _, key := range c.keys {
			if !f.waits[string(key)] {
				f.waits[string(key)] = true
				f.pending = append(f.pending, key)
			}
		}
	case clearsAll:
		d.Cleared++
		// What waits is read after this, and is what was stored since.
		if err := f.w.vanish(ctx); err != nil {
			return err
		}
	}
	f.time = max(f.time, c.at)
	if len(f.pending) >= followKeys {
		return f.flush(ctx)
	}
	return nil
}

// checkGap looks whether the log goes on where it was left.
func (f *follower) checkGap(c change) error {
	s := f.State
	if c.mark != "" && c.mark == s.Mark {
		f.markSeen = true
	}
	first := !f.begun
	f.begun = true
	switch {
	case s.Time != 0 && first && c.at > s.Time+gapSlack,
		s.Time == 0 && s.Mark != "" && !f.markSeen && c.at > s.Start+overlap+gapSlack:
		return fmt.Errorf("%w: it goes on at %v, and was read up to %v", ErrGap, time.UnixMicro(c.at).UTC(), time.UnixMicro(max(s.Time, s.Start)).UTC())
	}
	return nil
}

// flush reads what has changed again and stores it.
func (f *follower) flush(ctx context.Context) error {
	for len(f.pending) > 0 {
		keys := f.pending[:min(batchKeys, len(f.pending))]
		records, err := f.r.read(ctx, keys)
		if err != nil {
			return fmt.Errorf("read what has changed: %w", err)
		}
		if err := f.w.putRecords(ctx, records, &f.done.Summary); err != nil {
			return fmt.Errorf("store what has changed: %w", err)
		}
		if err := f.w.out(ctx, absent(keys, records), &f.done.Summary); err != nil {
			return fmt.Errorf("remove what is gone: %w", err)
		}
		f.pending = f.pending[len(keys):]
	}
	clear(f.waits)
	f.pending = nil
	f.State.Time = f.time
	if f.time != 0 {
		f.Progress(Progress{Following: true, Entries: f.done.Entries, Time: time.UnixMicro(f.time)})
	}
	return nil
}

// absent are the keys without a record, both being in the same order.
func absent(keys [][]byte, records []tyrant.Record) (gone [][]byte) {
	for _, key := range keys {
		if len(records) > 0 && string(records[0].Key) == string(key) {
			records = records[1:]
		} else {
			gone = append(gone, key)
		}
	}
	return gone
}

// keptAlive notes that the source has nothing more to send now.
func (b *barrier) keptAlive(at time.Time) {
	if at.Sub(b.last) >= quietPause {
		b.quiet++
		b.last = at
	}
}

func (b *barrier) seen(mark string) {
	if b.open && mark != "" && mark == b.mark {
		b.open = false
	}
}

// reached reports whether the target has what the source had at the barrier, and tells the user the first time.
func (f *follower) reached() bool {
	w := &f.wanted
	if w.open && w.mark == "" && w.quiet >= quietTimes {
		w.open = false
	}
	if w.open {
		return false
	}
	if !f.done.CaughtUp {
		f.done.CaughtUp = true
		if !f.ending {
			f.Notice("caught up: the node has what the source has, and follows it until it is told to end (SIGINT or SIGTERM)")
		}
	}
	return true
}
