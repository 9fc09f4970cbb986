package migrate

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/futago/futago/internal/feed"
	"github.com/futago/futago/internal/tyrant"
)

const (
	// movers is how many connections to each side work side by side.
	movers = 8
	// moveChunk is how many records are gone through in one step.
	moveChunk = 2048
	// progressEvery is how often it tells how far it is.
	progressEvery = 200 * time.Millisecond
)

// mover is a move at work. All reading and storing of records is done in steps, and no step begins before the last one has ended: so
// what is stored under a key was read after everything that was stored there before.
type mover struct {
	MoveConfig
	done   Moved
	ahead  *ahead
	from   []*moveLine // to the node that is followed
	to     []*moveLine
	walker *moveLine // lists the source
	limit  *rate.Limiter

	maxValue int64
	moves    int               // of ahead, as they were seen last
	doubts   int               // how often something cast doubt on what was gone through
	mu       sync.Mutex        // guards done and unfit in a step
	unfit    map[string]string // by key, why the target cannot take its record
	recent   map[string]bool   // keys that were changed since a comparison began; nil: nobody wants to know
	last     [][]byte          // keys that were changed last
	saved    time.Time
	told     time.Time // when somebody was told how far it is
	equal    bool      // they were found so, and nothing has cast doubt since
	attempts int       // to cut over
	moving   [][]byte  // keys that the last comparison found changing all the time
}

// Move copies all records of a side to the other, follows its changes, compares, and cuts the proxies over. What it has done is returned with
// an error, too.
//
// What the feed tells is never executed: it names keys, which are read again. So it may tell things twice, and in any order; and what is done
// once more after a crash does no harm. The position that is saved is behind changes that the target has.
func Move(ctx context.Context, c MoveConfig) (*Moved, error) {
	if c.Progress == nil {
		c.Progress = func(MoveProgress) {}
	}
	c.Notice = once(c.Notice)
	m := &mover{MoveConfig: c, unfit: map[string]string{}}
	m.done.DryRun = c.DryRun
	began := time.Now()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if c.Rate > 0 {
		m.limit = rate.NewLimiter(rate.Limit(c.Rate), moveChunk)
	}
	for range movers {
		m.from = append(m.from, &moveLine{ends: c.From.Ends, at: m.followed, notice: c.Notice})
		m.to = append(m.to, &moveLine{ends: c.To.Ends, notice: c.Notice})
	}
	m.walker = &moveLine{ends: c.From.Ends, at: m.followed, notice: c.Notice}
	defer func() {
		for i := range movers {
			m.from[i].close()
			m.to[i].close()
		}
		m.walker.close()
	}()
	err := m.run(ctx)
	if m.ahead != nil {
		_, m.done.Changes, _ = m.ahead.lag()
	}
	m.tellUnfit()
	m.done.Seconds = time.Since(began).Seconds()
	return &m.done, reason(ctx, err)
}

// once leaves out what was said just before, as several goroutines do that fail alike.
func once(notice func(text string)) func(text string) {
	if notice == nil {
		return func(string) {}
	}
	var mu sync.Mutex
	said := map[string]time.Time{}
	return func(text string) {
		mu.Lock()
		defer mu.Unlock()
		if at, known := said[text]; known && time.Since(at) < moveRetry {
			return
		}
		if len(said) > maxNotes {
			clear(said)
		}
		said[text] = time.Now()
		notice(text)
	}
}

func (m *mover) followed() int {
	if m.ahead == nil {
		return 0
	}
	return m.ahead.followed()
}

func (m *mover) run(ctx context.Context) error {
	if err := m.checkSwitched(ctx); err != nil {
		return err
	}
	if err := m.checkTarget(ctx); err != nil {
		return err
	}
	if m.DryRun {
		return m.check(ctx)
	}
	if !m.State.Begun() {
		if err := m.begin(ctx); err != nil {
			return err
		}
	} else {
		m.Notice("going on where the state file says")
	}
	for {
		err := m.follow(ctx)
		if !errors.Is(err, feed.ErrGone) {
			return errors.Join(err, m.save(true))
		}
		m.Notice(fmt.Sprintf("everything is compared anew: %v", err))
		if err := m.begin(ctx); err != nil {
			return err
		}
	}
}

// checkSwitched sees whether an earlier run, which may have died over that, has cut clients over.
func (m *mover) checkSwitched(ctx context.Context) error {
	switch {
	case m.DryRun:
		return nil
	case m.Proxies != nil: // whatever the state says: it may be another one
	case m.State.Switched:
		return ErrSwitched
	default:
		return nil
	}
	switched, err := m.Proxies.Switched(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("ask the proxies where they send to: %w", err)
	case switched:
		return ErrSwitched
	}
	m.State.Switched = false
	return nil
}

// checkTarget sees whether the target is one, and empty.
func (m *mover) checkTarget(ctx context.Context) error {
	to := m.to[0]
	err := to.once(ctx, func(c *tyrant.Client) (err error) {
		_, m.maxValue, _, err = c.Import(tyrant.CheckAll, nil)
		return err
	})
	if err != nil {
		return fmt.Errorf("ask %s what it takes: %w", to.ends[to.end].Name, notNode(err))
	}
	if m.State.Begun() || m.Replace || m.DryRun {
		return nil
	}
	for place := ""; ; {
		var items []tyrant.Item
		err := to.once(ctx, func(c *tyrant.Client) (err error) {
			items, place, err = c.Export(place, nil, 1)
			return err
		})
		switch {
		case err != nil:
			return fmt.Errorf("list the records of %s: %w", to.ends[to.end].Name, err)
		case len(items) > 0:
			return fmt.Errorf("%w: %s", ErrNotEmpty, keyName(items[0].Key))
		case place == "":
			return nil
		}
	}
}

// begin takes a position of the source, behind which everything is to be copied.
func (m *mover) begin(ctx context.Context) error {
	for until := time.Now().Add(beginRetry); ; {
		err := m.tryBegin(ctx)
		if err == nil || ctx.Err() != nil || time.Now().After(until) {
			return err
		}
		m.Notice(fmt.Sprintf("trying again: %v", err))
		wait(ctx, moveRetryPause)
	}
}

// beginRetry is how long a source may fail to say where its changes are: a cluster does while it replaces a master.
const beginRetry = 30 * time.Second

func (m *mover) tryBegin(ctx context.Context) error {
	var problems []error
	for i, end := range m.From.Ends {
		body, err := end.Changes(ctx, url.Values{}, false)
		var answer feed.Answer
		if err == nil {
			answer, err = feed.ReadAnswer(body, maxTold)
			body.Close()
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("ask %s where its changes are: %w", end.Name, err))
			continue
		}
		m.State.Position, m.State.Copied, m.State.Node = answer.Position, false, i
		return m.State.Save()
	}
	return errors.Join(problems...)
}

// follow carries over what changes, and copies or compares everything when there is need to, until it is told to end.
func (m *mover) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	a := newAhead(m.From.Ends, m.State.Position, min(m.State.Node, len(m.From.Ends)-1), m.Notice)
	m.ahead, m.equal, m.moves = a, false, 0
	var running sync.WaitGroup
	running.Go(func() { a.run(ctx) })
	defer running.Wait()
	defer cancel()
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	for {
		if err := m.apply(ctx); err != nil {
			return err
		}
		if stopped(m.Stop) {
			return m.end(ctx)
		}
		switch {
		case !m.State.Copied:
			if err := m.copy(ctx); err != nil {
				return err
			}
			continue
		case !m.equal:
			err := m.compare(ctx)
			if err != nil && !(errors.Is(err, ErrInterrupted) && m.State.Copied) {
				return err
			}
			continue
		case m.Proxies != nil:
			done, err := m.cutOver(ctx)
			if done || err != nil {
				return err
			}
			continue
		case m.UntilEqual:
			return m.catchUp(ctx)
		}
		m.tell("following", 0, 0)
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-m.Stop:
		case <-a.news:
		case <-tick.C:
		}
	}
}

func stopped(stop <-chan struct{}) bool {
	select {
	case <-stop:
		return true
	default:
		return false
	}
}

// end is what is left when somebody says that it is enough: the target gets what the source has by then.
func (m *mover) end(ctx context.Context) error {
	if !m.State.Copied {
		return ErrInterrupted
	}
	return m.catchUp(ctx)
}

// catchUp carries over all that the source had when it was called.
func (m *mover) catchUp(ctx context.Context) error {
	drained := m.ahead.drained()
	for {
		select {
		case <-drained:
			return m.apply(ctx)
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-m.ahead.news:
			if err := m.apply(ctx); err != nil {
				return err
			}
		}
	}
}

// apply carries over what has changed by now.
func (m *mover) apply(ctx context.Context) error {
	c, err := m.ahead.take()
	for keys := c.keys; len(keys) > 0 && ctx.Err() == nil; {
		n := min(len(keys), moveChunk)
		if err := m.renew(ctx, keys[:n]); err != nil {
			return err
		}
		if m.recent != nil {
			for _, key := range keys[:n] {
				m.recent[string(key)] = true
			}
		}
		m.last = append(m.last, keys[:n]...)
		m.last = m.last[max(len(m.last)-2*moveChunk, 0):]
		keys = keys[n:]
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	for _, at := range c.flushes {
		m.State.Flushes = append(m.State.Flushes, at.UnixMilli())
	}
	for _, at := range m.State.Flushes {
		if at <= time.Now().UnixMilli()-flushSlack {
			m.doubt("the source was flushed")
		}
	}
	if c.moves != m.moves {
		m.moves = c.moves
		m.doubt("another node of the source is followed")
	}
	m.State.Position, m.State.Node = c.position, m.ahead.followed()
	return errors.Join(m.save(false), err)
}

// flushSlack is how long after its time a flush is looked for, in milliseconds: the source's clock may be behind.
const flushSlack = 1000

// doubt says that the target may lack, or have, what no change has named: everything is to be gone through.
func (m *mover) doubt(why string) {
	if m.State.Copied {
		m.Notice("everything is compared: " + why)
	}
	m.doubts++
	m.State.Copied, m.equal, m.done.Equal = false, false, false
	now := time.Now().UnixMilli() - flushSlack
	var later []int64
	for _, at := range m.State.Flushes {
		if at > now {
			later = append(later, at)
		}
	}
	m.State.Flushes = later
}

// save writes the state, unless it was written a moment ago.
func (m *mover) save(now bool) error {
	if m.DryRun || !now && time.Since(m.saved) < saveEvery {
		return nil
	}
	m.saved = time.Now()
	return m.State.Save()
}

// tell tells how far it is, unless it did a moment ago.
func (m *mover) tell(phase string, done, total int64) {
	if time.Since(m.told) < progressEvery {
		return
	}
	m.told = time.Now()
	p := MoveProgress{Phase: phase, Done: done, Total: max(total, done)}
	if m.ahead != nil {
		keys, told, lag := m.ahead.lag()
		p.Changes, p.Waiting, p.Lag = told, int64(keys), lag
	}
	m.Progress(p)
}

func (m *mover) tellUnfit() {
	m.done.Unfit = int64(len(m.unfit))
	for key, why := range m.unfit {
		m.done.UnfitKeys = note(m.done.UnfitKeys, why, 1, keyName([]byte(key)))
	}
}
