package bench

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// writersOfGroup make the sets of a load to the killed master, and as many those to the others.
const writersOfGroup = 2

// setLoad is one client that sets each key once and notes what was acknowledged.
type setLoad struct {
	name    string
	client  *clusterClient
	groups  [2]setGroup // of the killed master, and of the others
	writers []*writer
}

// setGroup is what writers to the same masters have seen together.
type setGroup struct {
	mu      sync.Mutex
	last    time.Time // of the last success
	begun   time.Time // of the latest begun set that succeeded
	longest time.Duration
}

// writer makes one set at a time, of keys that nobody else has.
type writer struct {
	group    *setGroup
	prefix   string
	interval time.Duration
	sets     int
	acked    []int // numbers of sets
	// failed sets: of which it is certain that nothing changed, and others.
	unchanged, unknown int
}

func newSetLoad(name string, client *clusterClient, tags [2][]string, rate float64) *setLoad {
	l := &setLoad{name: name, client: client}
	interval := time.Duration(float64(len(l.groups)*writersOfGroup) / rate * float64(time.Second))
	for i := range l.groups {
		for _, tag := range tags[i] {
			l.writers = append(l.writers, &writer{
				group: &l.groups[i], prefix: strings.NewReplacer(" ", "", ",", "").Replace(tag + name), interval: interval,
			})
		}
	}
	return l
}

// start lets all writers work. The function that it returns ends that, after the sets under way.
func (l *setLoad) start() (stop func()) {
	end := make(chan struct{})
	var working sync.WaitGroup
	for _, w := range l.writers {
		working.Go(func() { w.work(l.client, end) })
	}
	return func() {
		close(end)
		working.Wait()
	}
}

func (w *writer) key(n int) string   { return fmt.Sprintf("%s-%d", w.prefix, n) }
func (w *writer) value(n int) string { return fmt.Sprintf("%0100d", n) }

// work sets a key every interval, or when the one before has come to an end.
func (w *writer) work(client *clusterClient, end <-chan struct{}) {
	pace := time.NewTicker(w.interval)
	defer pace.Stop()
	for {
		select {
		case <-end:
			return
		case <-pace.C:
		}
		begun := time.Now()
		n := w.sets
		w.sets++
		switch err := client.set(w.key(n), w.value(n)); {
		case err == nil:
			w.acked = append(w.acked, n)
			w.group.succeeded(begun)
		case errors.Is(err, errUnchanged):
			w.unchanged++
		default:
			w.unknown++
		}
	}
}

// succeeded notes that a set which began then was acknowledged now.
func (g *setGroup) succeeded(begun time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	if !g.last.IsZero() {
		g.longest = max(g.longest, now.Sub(g.last))
	}
	g.last = now
	if begun.After(g.begun) {
		g.begun = begun
	}
}

// workedSince says whether in each group a set has succeeded that began after a time.
func (l *setLoad) workedSince(since time.Time) bool {
	for i := range l.groups {
		g := &l.groups[i]
		g.mu.Lock()
		worked := g.begun.After(since)
		g.mu.Unlock()
		if !worked {
			return false
		}
	}
	return true
}

// round gets all that was acknowledged, and sums up. The writers must have ended.
func (l *setLoad) round(ctx context.Context) (Round, error) {
	missing := make([]int, len(l.writers))
	errs := make([]error, len(l.writers))
	var readers sync.WaitGroup
	for i, w := range l.writers {
		readers.Go(func() { missing[i], errs[i] = w.missing(ctx, l.client) })
	}
	readers.Wait()
	if err := errors.Join(errs...); err != nil {
		return Round{}, err
	}
	var acked, unchanged, unknown, lost int
	for i, w := range l.writers {
		acked, unchanged, unknown, lost = acked+len(w.acked), unchanged+w.unchanged, unknown+w.unknown, lost+missing[i]
	}
	round := Round{Values: []float64{
		millis(l.groups[0].longest), millis(l.groups[1].longest), float64(acked), float64(unchanged), float64(unknown), float64(lost),
	}}
	if lost > 0 {
		round.doubt("%d of %d acknowledged sets are missing", lost, acked)
	}
	return round, nil
}

// missing counts the acknowledged sets that are not there.
func (w *writer) missing(ctx context.Context, client *clusterClient) (n int, err error) {
	for _, i := range w.acked {
		if ctx.Err() != nil {
			return n, context.Cause(ctx)
		}
		value, err := client.get(w.key(i))
		if err != nil {
			return n, fmt.Errorf("get what was set: %w", err)
		}
		if value != w.value(i) {
			n++
		}
	}
	return n, nil
}

func millis(d time.Duration) float64 { return 1000 * d.Seconds() }
