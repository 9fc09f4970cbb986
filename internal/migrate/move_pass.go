package migrate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/futago/futago/internal/tyrant"
)

const (
	// expirySlack is how long before its expiry a record that one side has is not missed on the other, for clocks differ.
	expirySlack = 10 * time.Second
	// maxSuspects is how many keys that differ are kept until they are looked at again.
	maxSuspects = 50_000
	// settleRounds is how often keys that differ are looked at.
	settleRounds = 3
	// comparisons is how often everything is compared in a row until it counts as hopeless.
	comparisons = 3
)

// errAgain says that a walk is to begin anew.
var errAgain = errors.New("begin anew")

// copy goes through all records of both sides, and makes those of the target what those of the source are.
func (m *mover) copy(ctx context.Context) error {
	return m.pass(ctx, "copying", func(ctx context.Context, w int, items []tyrant.Item) error {
		there, err := m.to[w].read(ctx, keysOf(items))
		if err != nil {
			return err
		}
		var differ []tyrant.Item
		for i := range items {
			if !equalItems(&items[i], there[string(items[i].Key)]) {
				differ = append(differ, items[i])
			}
		}
		return m.store(ctx, w, differ)
	}, func(ctx context.Context, w int, keys [][]byte) error { return m.remove(ctx, w, keys) }, func() { m.State.Copied = true })
}

// check is a dry run of copy.
func (m *mover) check(ctx context.Context) error {
	return m.pass(ctx, "reading", func(ctx context.Context, w int, items []tyrant.Item) error {
		there, err := m.to[w].read(ctx, keysOf(items))
		if err != nil {
			return err
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		for i := range items {
			why := m.misfit(&items[i])
			switch {
			case why != "":
				m.unfit[string(items[i].Key)] = why
			case !equalItems(&items[i], there[string(items[i].Key)]):
				m.done.Stored++
			}
		}
		return nil
	}, func(_ context.Context, _ int, keys [][]byte) error {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.done.Surplus += int64(len(keys))
		return nil
	}, func() {})
}

// compare goes through all records of both sides, until they are found equal. What differs is looked at again once the target has what
// the source had by then.
func (m *mover) compare(ctx context.Context) error {
	for range comparisons {
		doubts := m.doubts
		m.done.Compared, m.done.Differing, m.done.Moving, m.done.Examples, m.moving = 0, 0, 0, nil, nil
		suspects := map[string]bool{}
		suspect := func(keys ...[]byte) {
			for _, key := range keys {
				suspects[string(key)] = true
			}
		}
		err := m.pass(ctx, "comparing", func(ctx context.Context, w int, items []tyrant.Item) error {
			there, err := m.to[w].read(ctx, keysOf(items))
			if err != nil {
				return err
			}
			m.mu.Lock()
			defer m.mu.Unlock()
			m.done.Compared += int64(len(items))
			for i := range items {
				if m.unfit[string(items[i].Key)] == "" && !equalItems(&items[i], there[string(items[i].Key)]) {
					suspect(items[i].Key)
				}
			}
			if len(suspects) > maxSuspects {
				return errMany
			}
			return nil
		}, func(_ context.Context, _ int, keys [][]byte) error {
			m.mu.Lock()
			defer m.mu.Unlock()
			suspect(keys...)
			return nil
		}, func() {})
		if err != nil && !errors.Is(err, errMany) {
			return err
		}
		many := err != nil
		if m.doubts != doubts {
			return nil
		}
		if err := m.settle(ctx, suspects); err != nil {
			return err
		}
		if m.doubts != doubts {
			return nil
		}
		if m.done.Differing == 0 && !many {
			m.equal = true
			m.done.Equal = true
			return nil
		}
	}
	return fmt.Errorf("%w: %d keys differ though nothing changes them in the source, such as %s", ErrUnequal, m.done.Differing, m.done.Examples)
}

// errMany says that so many keys differ that they are looked at before the comparison goes on.
var errMany = errors.New("very many keys differ")

// settle looks at keys that differ again. Those that still do are made equal.
func (m *mover) settle(ctx context.Context, suspects map[string]bool) error {
	m.recent = map[string]bool{}
	defer func() { m.recent = nil }()
	var keys [][]byte
	for key := range suspects {
		keys = append(keys, []byte(key))
	}
	for round := 0; round < settleRounds && len(keys) > 0; round++ {
		err := m.catchUp(ctx)
		if err == nil {
			keys, err = m.differing(ctx, keys)
		}
		if err != nil {
			return err
		}
	}
	if len(keys) == 0 {
		return nil
	}
	if err := m.catchUp(ctx); err != nil { // it names what has changed while it was looked at
		return err
	}
	var differ [][]byte
	for _, key := range keys {
		if m.recent[string(key)] {
			m.moving = append(m.moving, key)
			continue
		}
		differ = append(differ, key)
		if len(m.done.Examples) < maxExamples {
			m.done.Examples = append(m.done.Examples, keyName(key))
		}
	}
	m.done.Moving, m.done.Differing = int64(len(m.moving)), m.done.Differing+int64(len(differ))
	return m.renew(ctx, differ)
}

// differing returns those of the keys whose records differ now.
func (m *mover) differing(ctx context.Context, keys [][]byte) (differ [][]byte, err error) {
	for len(keys) > 0 && err == nil {
		n := min(len(keys), moveChunk)
		chunk := keys[:n]
		keys = keys[n:]
		err = m.each(len(chunk), func(w, from, to int) error {
			some := chunk[from:to]
			here, err := m.from[w].read(ctx, some)
			if err != nil {
				return err
			}
			there, err := m.to[w].read(ctx, some)
			if err != nil {
				return err
			}
			m.mu.Lock()
			defer m.mu.Unlock()
			for _, key := range some {
				if m.unfit[string(key)] == "" && !equalItems(here[string(key)], there[string(key)]) {
					differ = append(differ, key)
				}
			}
			return nil
		})
	}
	return differ, err
}

// pass gives all records of the source to one function, and all keys that only the target has to another, in groups at several connections
// w, and calls whole once that has gone through without a doubt. What changes meanwhile is carried over between the steps.
func (m *mover) pass(ctx context.Context, phase string, records func(ctx context.Context, w int, items []tyrant.Item) error,
	surplus func(ctx context.Context, w int, keys [][]byte) error, whole func()) error {
	m.done.Passes++
	var total int64
	if err := m.walker.do(ctx, func(c *tyrant.Client) error { n, err := c.RNum(); total = int64(n); return err }); err != nil {
		return fmt.Errorf("count the records of the source: %w", err)
	}
	until := time.Now().Add(moveRetry)
	for {
		doubts, done := m.doubts, int64(0)
		err := m.walk(ctx, m.walker, func(items []tyrant.Item) error {
			until = time.Now().Add(moveRetry)
			m.tell(phase, done, total)
			done += int64(len(items))
			return m.each(len(items), func(w, from, to int) error { return records(ctx, w, items[from:to]) })
		}, func(items []tyrant.Item) {
			for i := range items {
				m.done.Bytes += int64(len(items[i].Key) + len(items[i].Value))
			}
			m.done.Read += int64(len(items))
		})
		if err == nil {
			err = m.walk(ctx, m.to[0], func(items []tyrant.Item) error {
				until = time.Now().Add(moveRetry)
				m.tell(phase, done, total)
				return m.each(len(items), func(w, from, to int) error { return m.onlyThere(ctx, w, items[from:to], surplus) })
			}, func([]tyrant.Item) {})
		}
		again := errors.Is(err, errAgain)
		switch {
		case again && time.Now().After(until):
			return err
		case err != nil && !again:
			return err
		case !again && m.doubts == doubts:
			whole()
			return m.save(true)
		case stopped(m.Stop):
			return ErrInterrupted
		case again:
			m.Notice(fmt.Sprintf("%s: %v", phase, err))
			wait(ctx, moveRetryPause)
		}
		m.done.Compared = 0
	}
}

// onlyThere gives the keys of records of the target that the source does not have to surplus.
func (m *mover) onlyThere(ctx context.Context, w int, items []tyrant.Item, surplus func(ctx context.Context, w int, keys [][]byte) error) error {
	here, err := m.from[w].read(ctx, keysOf(items))
	if err != nil {
		return err
	}
	var only [][]byte
	for i := range items {
		if here[string(items[i].Key)] == nil && !expiresSoon(&items[i]) {
			only = append(only, items[i].Key)
		}
	}
	if len(only) == 0 {
		return nil
	}
	return surplus(ctx, w, only)
}

// walk lists the records of a side, and carries over what changes between the steps. errAgain is wrapped when it cannot go on where it is.
func (m *mover) walk(ctx context.Context, l *moveLine, step func(items []tyrant.Item) error, read func(items []tyrant.Item)) error {
	doubts, end := m.doubts, -1
	for place := ""; ; {
		if m.ahead != nil {
			if err := m.apply(ctx); err != nil {
				return err
			}
		}
		switch {
		case m.doubts != doubts:
			return nil // the caller begins anew
		case stopped(m.Stop):
			return ErrInterrupted
		}
		var items []tyrant.Item
		next := ""
		err := l.once(ctx, func(c *tyrant.Client) (err error) {
			if place != "" && l.end != end {
				return errors.New("the list was of another node")
			}
			items, next, err = c.Export(place, nil, moveChunk)
			return err
		})
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			return fmt.Errorf("list the records of %s: %w, %w", l.ends[l.end].Name, err, errAgain)
		}
		end = l.end
		read(items)
		if err := step(items); err != nil {
			return err
		}
		if place = next; place == "" {
			return nil
		}
	}
}

// each calls do for parts of n things, at a connection each, and waits for all.
func (m *mover) each(n int, do func(w, from, to int) error) error {
	results := make(chan error, movers)
	size := (n + movers - 1) / movers
	parts := 0
	for from := 0; from < n; from += size {
		w := parts
		parts++
		go func() { results <- do(w, from, min(from+size, n)) }()
	}
	var problem error
	for range parts {
		if err := <-results; problem == nil {
			problem = err
		}
	}
	return problem
}

// renew makes the records of some keys in the target what they are in the source.
func (m *mover) renew(ctx context.Context, keys [][]byte) error {
	for ; len(keys) > moveChunk; keys = keys[moveChunk:] {
		if err := m.renew(ctx, keys[:moveChunk]); err != nil {
			return err
		}
	}
	return m.each(len(keys), func(w, from, to int) error {
		some := keys[from:to]
		here, err := m.from[w].read(ctx, some)
		if err != nil {
			return err
		}
		var items []tyrant.Item
		var gone [][]byte
		for _, key := range some {
			if i := here[string(key)]; i != nil {
				items = append(items, *i)
			} else {
				gone = append(gone, key)
			}
		}
		if err := m.store(ctx, w, items); err != nil {
			return err
		}
		return m.remove(ctx, w, gone)
	})
}

// store stores records of the source. What the target cannot take is noted.
func (m *mover) store(ctx context.Context, w int, items []tyrant.Item) error {
	var fit []tyrant.Item
	var gone [][]byte
	m.mu.Lock()
	for _, i := range items {
		switch why := m.misfit(&i); {
		case why != "":
			m.unfit[string(i.Key)] = why
		case i.Expires != 0 && i.Expires <= time.Now().UnixMilli():
			gone = append(gone, i.Key)
		default:
			delete(m.unfit, string(i.Key))
			fit = append(fit, i)
		}
	}
	m.mu.Unlock()
	if err := m.keepRate(ctx, len(fit)); err != nil {
		return err
	}
	err := m.to[w].store(ctx, tyrant.StoreAll, fit, func(i *tyrant.Item, o tyrant.Outcome) {
		m.mu.Lock()
		defer m.mu.Unlock()
		if o == tyrant.OutcomeStored {
			m.done.Stored++
			return
		}
		m.unfit[string(i.Key)] = fmt.Sprintf("the target says %.32q", string(o))
	})
	if err != nil {
		return err
	}
	return m.remove(ctx, w, gone)
}

func (m *mover) remove(ctx context.Context, w int, keys [][]byte) error {
	if err := m.keepRate(ctx, len(keys)); err != nil {
		return err
	}
	if err := m.to[w].remove(ctx, keys); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.done.Removed += int64(len(keys))
	for _, key := range keys {
		delete(m.unfit, string(key))
	}
	return nil
}

func (m *mover) keepRate(ctx context.Context, n int) error {
	if m.limit == nil || n == 0 {
		return nil
	}
	return reason(ctx, m.limit.WaitN(ctx, n))
}

// misfit is why the target cannot take a record; "" if it can.
func (m *mover) misfit(i *tyrant.Item) string {
	if i.Damaged {
		return "damaged in the source"
	}
	return (&target{maxValue: m.maxValue}).misfit(i)
}

func keysOf(items []tyrant.Item) [][]byte {
	keys := make([][]byte, len(items))
	for i := range items {
		keys[i] = items[i].Key
	}
	return keys
}

// equalItems compares two records of a key, nil for none. One that is about to expire is as good as none.
func equalItems(a, b *tyrant.Item) bool {
	switch {
	case a == nil && b == nil:
		return true
	case a == nil || b == nil:
		return (a == nil || expiresSoon(a)) && (b == nil || expiresSoon(b))
	}
	return a.Flags == b.Flags && a.Expires == b.Expires && a.Damaged == b.Damaged && bytes.Equal(a.Value, b.Value) && bytes.Equal(a.Type, b.Type)
}

func expiresSoon(i *tyrant.Item) bool {
	return i.Expires != 0 && i.Expires <= time.Now().Add(expirySlack).UnixMilli()
}
