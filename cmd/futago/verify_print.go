package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// maxShownKey is how many bytes of a key tables show.
const maxShownKey = 64

// print writes the result in words, the keys that differ as a table.
func (r *verifyReport) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, n := range r.Nodes {
		fmt.Fprintf(t, "node %d\t%s\t%s\n", n.Node, n.Admin, counted(n.Items, "record"))
	}
	if len(r.Keys) > 0 {
		fmt.Fprintln(t)
		r.printKeys(t)
	}
	fmt.Fprintln(t)
	for _, note := range r.Links {
		fmt.Fprintf(t, "note: %s\n", note)
	}
	how := ""
	if r.Full {
		how = ", each with the bytes of its value"
	}
	switch {
	case r.Equal:
		fmt.Fprintf(t, "equal: %s in %d ranges%s\n", counted(r.Records, "record"), r.Ranges, how)
	case r.Unread > 0:
		fmt.Fprintf(t, "differ: at least %s; %d of %d ranges were not read any more\n", counted(r.Differing, "key"), r.Unread, r.Listed)
	default:
		fmt.Fprintf(t, "differ: %s\n", counted(r.Differing, "key"))
	}
	if more := r.Differing - int64(len(r.Keys)); more > 0 {
		fmt.Fprintf(t, "not shown: %s, see --limit\n", counted(more, "key"))
	}
	if r.Moving > 0 {
		fmt.Fprintf(t, "changed all the time: %s; no node was behind by more than --settle\n", counted(r.Moving, "key"))
	}
	if r.Soon > 0 {
		fmt.Fprintf(t, "not compared: %s that will expire within two hours, see --full\n", counted(r.Soon, "record"))
	}
	return t.Flush()
}

func (r *verifyReport) printKeys(w io.Writer) {
	fmt.Fprintln(w, "key\ton node\twritten\tby node\tkind\tbytes\texpires\thash")
	for _, k := range r.Keys {
		key := quoteKey(k.Key)
		for _, s := range k.Sides {
			if !s.Has {
				fmt.Fprintf(w, "%s\t%d\tnothing\t\t\t\t\t\n", key, s.Node)
			} else {
				expires, hash := "-", s.Hash
				if s.Expires != nil {
					expires = stampTime(*s.Expires)
				}
				if s.Kind == "tombstone" {
					hash = "-"
				}
				fmt.Fprintf(w, "%s\t%d\t%s\t%d\t%s\t%d\t%s\t%s\n", key, s.Node, stampTime(*s.Written), s.By, s.Kind, s.Size, expires, hash)
			}
			key = ""
		}
	}
}

// quoteKey is a key for a table.
func quoteKey(key []byte) string {
	if len(key) > maxShownKey {
		return strconv.Quote(string(key[:maxShownKey])) + "..."
	}
	return strconv.Quote(string(key))
}

// grouped is a number with a comma for every thousand.
func grouped(n int64) string {
	text := strconv.FormatInt(n, 10)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// counted is count with a comma for every thousand.
func counted(n int64, thing string) string {
	return grouped(n) + strings.TrimPrefix(count(n, thing), strconv.FormatInt(n, 10))
}

// ago is a time in the past, as far as it matters.
func ago(at, now time.Time) string {
	return roundSeconds(max(now.Sub(at), 0).Truncate(time.Second).Seconds()) + " ago"
}

// stagedProgress is a progressBar for stages that follow each other.
func stagedProgress(w io.Writer) (progress func(stage string, done, total int64), end func()) {
	current, bar, stop := "", func(int64, int64) {}, func() {}
	return func(stage string, done, total int64) {
		if stage != current {
			stop()
			current = stage
			bar, stop = progressBar(w, stage, false)
		}
		bar(done, total)
	}, func() { stop() }
}
