package node

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Event is one line of the node's log at level info or above, for the status document.
type Event struct {
	Time  time.Time `json:"time"`
	Level string    `json:"level"`
	Text  string    `json:"text"`
}

// maxEvents is how many are kept.
const maxEvents = 100

// events keeps the last log lines and passes all on.
type events struct {
	next  slog.Handler
	attrs string
	ring  *eventRing
}

type eventRing struct {
	mu   sync.Mutex
	list []Event
}

func newEvents(next slog.Handler) *events { return &events{next: next, ring: &eventRing{}} }

func (e *events) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelInfo || e.next.Enabled(ctx, l)
}

func (e *events) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelInfo {
		text := r.Message + e.attrs
		r.Attrs(func(a slog.Attr) bool {
			text += fmt.Sprintf(" %s=%v", a.Key, a.Value)
			return true
		})
		e.ring.mu.Lock()
		e.ring.list = append(e.ring.list, Event{r.Time, r.Level.String(), text})
		if n := len(e.ring.list); n > maxEvents {
			e.ring.list = append(e.ring.list[:0], e.ring.list[n-maxEvents:]...)
		}
		e.ring.mu.Unlock()
	}
	if !e.next.Enabled(ctx, r.Level) {
		return nil
	}
	return e.next.Handle(ctx, r)
}

func (e *events) WithAttrs(attrs []slog.Attr) slog.Handler {
	text := e.attrs
	for _, a := range attrs {
		text += fmt.Sprintf(" %s=%v", a.Key, a.Value)
	}
	return &events{next: e.next.WithAttrs(attrs), attrs: text, ring: e.ring}
}

func (e *events) WithGroup(name string) slog.Handler {
	return &events{next: e.next.WithGroup(name), attrs: e.attrs, ring: e.ring}
}

func (e *events) recent() []Event {
	e.ring.mu.Lock()
	defer e.ring.mu.Unlock()
	return append([]Event{}, e.ring.list...)
}
