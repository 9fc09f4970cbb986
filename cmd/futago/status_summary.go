package main

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// statusSummary are the items of a document that an operator looks at first. The others are for --all.
var statusSummary = regexp.MustCompile(`^(version|node|state|reason|since|ready|uptime_seconds|listen\.\d+|fsync` +
	`|acknowledgement\.(mode|solo|solo_reason|solo_since)` +
	`|store\.(items|bytes|log_bytes|conflicts|lost|refusal)` +
	`|(peer|other_peers\.\d+)\.(addr|node|state|reason|link|lag_entries|lag_seconds|drift_ms|equal)` +
	`|server\.(curr_connections|ops)|memory\.anonymous_bytes|disk\.free_bytes|backup|backup\.(kind|time))$`)

// summary is the document without what --all is for, in words for people.
func (d *statusDocument) summary() statusDocument {
	short := statusDocument{admin: d.admin, items: map[string]string{}}
	for _, name := range d.names {
		switch {
		case isEvent(name) || isWarning(name):
			short.put(name, d.items[name])
		case statusSummary.MatchString(name):
			short.put(forPeople(name, d.items[name]))
		}
	}
	return short
}

// forPeople rounds sizes and times, and puts the unit into the value.
func forPeople(name, text string) (string, string) {
	if n, err := strconv.ParseFloat(text, 64); err == nil {
		if short, ok := strings.CutSuffix(name, "_bytes"); ok {
			return short, roundSize(n)
		}
		if short, ok := strings.CutSuffix(name, "_seconds"); ok {
			return short, roundSeconds(n)
		}
		if short, ok := strings.CutSuffix(name, "_ms"); ok {
			return short, text + "ms"
		}
		switch name {
		case "store.bytes":
			return name, roundSize(n)
		case "store.items", "server.ops":
			return name, grouped(int64(n))
		}
	}
	if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return name, at.Format(time.RFC3339)
	}
	return name, text
}

// emptyItem reports whether no document says anything under a name.
func emptyItem(documents []statusDocument, name string) bool {
	return !slices.ContainsFunc(documents, func(d statusDocument) bool { return d.items[name] != "" && d.items[name] != "-" })
}
