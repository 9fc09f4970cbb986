package migrate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/futago/futago/internal/tyrant"
)

// Proxies are what clients use, and what can be told to use the other side.
type Proxies struct {
	// Hold lets all requests wait at the proxies, and returns when none is in flight. It keeps them until Switch or Release.
	Hold func(ctx context.Context) error
	// Switch sends what waits, and all that comes, to the target. Where it fails nothing was sent there, but for ErrPartly.
	Switch func(ctx context.Context) error
	// Release sends what waits to the source, as before.
	Release func(ctx context.Context)
	// Switched reports whether any of them sends to the target, once none is held.
	Switched func(ctx context.Context) (bool, error)
}

// ErrLetGo says that a proxy has let its requests go to the source before any proxy switched.
var ErrLetGo = errors.New("a hold has ended")

// ErrPartly says that some proxies send to the target, and others to the source.
var ErrPartly = errors.New("some proxies were not cut over")

const (
	// holdMost is how long the proxies are held at most before they are let go and it is tried again.
	holdMost = 20 * time.Second
	// cutOvers is how often that is tried.
	cutOvers = 5
)

// cutOver sends the clients to the target; false when it is to be tried again.
func (m *mover) cutOver(ctx context.Context) (done bool, err error) {
	if len(m.unfit) > 0 {
		return false, ErrUnfitRecords
	}
	if err := m.catchUp(ctx); err != nil || !m.equal { // so that little is left for the pause
		return false, err
	}
	m.attempts++
	m.told = time.Time{}
	m.tell("cutting over", 0, 0)
	began := time.Now()
	if err := m.Proxies.Hold(ctx); err != nil {
		m.Proxies.Release(context.WithoutCancel(ctx))
		return false, fmt.Errorf("hold the proxies: %w", err)
	}
	why, err := m.lastLook(ctx)
	if why == "" && err == nil {
		m.State.Switched = true
		err = m.save(true)
	}
	if m.State.Switched && err == nil {
		if err = m.Proxies.Switch(ctx); err == nil || errors.Is(err, ErrPartly) {
			m.done.CutOver, m.done.Pause = err == nil, time.Since(began)
			late := m.watchLate(ctx)
			return true, errors.Join(err, late)
		}
		err = fmt.Errorf("cut the proxies over: %w", err)
	}
	m.Proxies.Release(context.WithoutCancel(ctx))
	if m.State.Switched {
		// An answer may have been lost. Unless it is certain that clients use the source, the state says that they may not.
		if switched, unknown := m.Proxies.Switched(context.WithoutCancel(ctx)); switched || unknown != nil {
			return false, errors.Join(ErrSwitched, err, unknown)
		}
		m.State.Switched = false
		if errors.Is(err, ErrLetGo) { // the source may have changed since it was looked at
			why, err = err.Error(), nil
		}
		err = errors.Join(err, m.save(true))
	}
	switch {
	case err != nil:
		return false, err
	case m.attempts >= cutOvers:
		return false, fmt.Errorf("%w: %s, %d times in a row", ErrUnequal, why, m.attempts)
	}
	m.Notice("the proxies were let go, and it is tried again: " + why)
	return false, nil
}

// lastLook brings the target up to what the source has while nobody writes, and compares the keys that were changed last. why says what
// keeps it from being equal.
func (m *mover) lastLook(ctx context.Context) (why string, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, holdMost, errHeld)
	defer cancel()
	late := func(err error) (string, error) {
		if errors.Is(context.Cause(ctx), errHeld) {
			return errHeld.Error(), nil
		}
		return "", err
	}
	if m.From.Settled != nil {
		if err := m.From.Settled(ctx); err != nil {
			m.equal = m.equal && ctx.Err() == nil
			return err.Error(), nil
		}
	}
	if err := m.catchUp(ctx); err != nil {
		return late(err)
	}
	if !m.equal {
		return "something cast doubt on the copy", nil
	}
	differ, err := m.differing(ctx, append(m.moving, m.last...))
	if err != nil {
		return late(err)
	}
	if len(differ) > 0 {
		m.equal = false
		return fmt.Sprintf("%d keys differ, such as %s", len(differ), keyName(differ[0])), nil
	}
	if len(m.unfit) > 0 {
		return "", ErrUnfitRecords
	}
	m.done.Moving, m.moving = 0, nil
	return "", nil
}

// errHeld says that the proxies were held for long enough.
var errHeld = errors.New("the target was not equal in time")

// watchLate looks at the source for a while. What comes still, past the proxies, is carried over where the target has nothing under the key:
// elsewhere a client may have written there since.
func (m *mover) watchLate(ctx context.Context) error {
	for _, at := range m.State.Flushes {
		m.Notice(fmt.Sprintf("a flush_all of the source is due at %s: give it again at the target", time.UnixMilli(at).UTC().Format(time.RFC3339)))
	}
	end := time.NewTimer(m.Late)
	defer end.Stop()
	for over := false; !over; {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-m.Stop:
			over = true
		case <-end.C:
			over = true
		case <-m.ahead.news:
		}
		c, err := m.ahead.take()
		if err == nil && len(c.flushes) > 0 {
			m.Notice("a client that does not use the proxies has flushed the source")
		}
		if err == nil {
			err = m.carryLate(ctx, c.keys)
		}
		if err != nil {
			m.Notice(fmt.Sprintf("look for late changes of the source: %v", err))
			return nil // the cut-over is done
		}
	}
	return nil
}

func (m *mover) carryLate(ctx context.Context, keys [][]byte) error {
	if len(keys) == 0 {
		return nil
	}
	here, err := m.from[0].read(ctx, keys)
	if err != nil {
		return err
	}
	var items []tyrant.Item
	var gone [][]byte
	for _, key := range keys {
		if i := here[string(key)]; i != nil {
			items = append(items, *i)
		} else {
			gone = append(gone, key)
		}
	}
	there, err := m.to[0].read(ctx, gone)
	if err != nil {
		return err
	}
	for key, i := range there {
		if expiresSoon(i) {
			continue
		}
		m.done.LateGone++
		m.noteLate([]byte(key))
		m.Notice(fmt.Sprintf("%s is gone from the source, and the target has it: a client that does not use the proxies may have deleted it", keyName([]byte(key))))
	}
	return m.to[0].store(ctx, tyrant.StoreAbsent, items, func(i *tyrant.Item, o tyrant.Outcome) {
		m.done.Late++
		if o == tyrant.OutcomeStored {
			m.done.LateCarried++
		}
		m.noteLate(i.Key)
		m.Notice(fmt.Sprintf("a client does not use the proxies: it wrote %s to the source", keyName(i.Key)))
	})
}

func (m *mover) noteLate(key []byte) {
	if len(m.done.LateKeys) < maxExamples {
		m.done.LateKeys = append(m.done.LateKeys, keyName(key))
	}
}
