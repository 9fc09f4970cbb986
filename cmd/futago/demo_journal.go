package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/futago/futago/internal/node"
)

// maxDemoEvents is how many events the journal keeps.
const maxDemoEvents = 200

// demoEvent is a line of the journal.
type demoEvent struct {
	Time   time.Time `json:"time"`
	Source string    `json:"source"` // node 1, node 2, gateway or demo
	Level  string    `json:"level"`  // INFO, WARN or ERROR
	Text   string    `json:"text"`
}

// demoJournal merges what happens in all processes of a demo. It outlives a node's own list.
type demoJournal struct {
	mu   sync.Mutex
	list []demoEvent // by time, oldest first
	// taken is the time of the last event taken from each node.
	taken [demoNodes]time.Time
}

func (j *demoJournal) add(e demoEvent) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.addLocked(e)
}

func (j *demoJournal) addLocked(e demoEvent) {
	// Almost always at the end: processes of one machine share a clock.
	i := len(j.list)
	for i > 0 && j.list[i-1].Time.After(e.Time) {
		i--
	}
	j.list = slices.Insert(j.list, i, e)
	if n := len(j.list); n > maxDemoEvents {
		j.list = append(j.list[:0], j.list[n-maxDemoEvents:]...)
	}
}

// take adds those events of a node's status document that it has not had before.
func (j *demoJournal) take(id int, events []node.Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	last := j.taken[id-1]
	for _, e := range events {
		if !e.Time.After(last) {
			continue
		}
		// The source says which node it is.
		text := strings.Replace(e.Text, fmt.Sprintf(" node=%d", id), "", 1)
		j.addLocked(demoEvent{e.Time, fmt.Sprintf("node %d", id), e.Level, text})
		j.taken[id-1] = e.Time
	}
}

// newest returns at most n events, newest first; never nil.
func (j *demoJournal) newest(n int) []demoEvent {
	j.mu.Lock()
	defer j.mu.Unlock()
	list := append([]demoEvent{}, j.list[max(0, len(j.list)-n):]...)
	slices.Reverse(list)
	return list
}

// journalHandler puts the log of a part of this process into the journal.
type journalHandler struct {
	journal *demoJournal
	source  string
	attrs   string
}

func (h journalHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelInfo }

func (h journalHandler) Handle(_ context.Context, r slog.Record) error {
	text := r.Message + h.attrs
	r.Attrs(func(a slog.Attr) bool {
		text += attrText(a)
		return true
	})
	h.journal.add(demoEvent{r.Time, h.source, r.Level.String(), text})
	return nil
}

func (h journalHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	for _, a := range attrs {
		h.attrs += attrText(a)
	}
	return h
}

// WithGroup drops the group's name: the journal is for people.
func (h journalHandler) WithGroup(string) slog.Handler { return h }

func attrText(a slog.Attr) string { return fmt.Sprintf(" %s=%v", a.Key, a.Value) }
