package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// How many events the table of `futago status` shows, and with --all; the documents have more.
const (
	statusEvents    = 8
	statusEventsAll = 20
)

// statusEvent is one of the last events that a node reports.
type statusEvent struct {
	at                 time.Time
	admin, level, text string
}

// isEvent reports whether an item belongs to the events, which are too long and too many for columns.
func isEvent(name string) bool { return strings.HasPrefix(name, "events.") }

// printStatusEvents prints the last events of all documents, at most so many, in the order of time.
func printStatusEvents(w io.Writer, documents []statusDocument, most int) error {
	var events []statusEvent
	for _, d := range documents {
		for i := 0; ; i++ {
			prefix := fmt.Sprintf("events.%d.", i)
			text, ok := d.items[prefix+"text"]
			if !ok {
				break
			}
			at, _ := time.Parse(time.RFC3339Nano, d.items[prefix+"time"]) // an odd one comes first
			events = append(events, statusEvent{at: at, admin: d.admin, level: d.items[prefix+"level"], text: text})
		}
	}
	if len(events) == 0 {
		return nil
	}
	slices.SortStableFunc(events, func(a, b statusEvent) int { return a.at.Compare(b.at) })
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "\nlast events")
	for _, e := range events[max(len(events)-most, 0):] {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", e.at.Format("2006-01-02T15:04:05.000Z07:00"), e.admin, e.level, e.text)
	}
	return table.Flush()
}
