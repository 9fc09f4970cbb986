package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/record"
	"github.com/futago/futago/internal/ulog"
	"github.com/futago/futago/internal/vfs"
	"github.com/spf13/cobra"
)

// logFilter says which entries `futago log dump` prints. The zero value is all.
type logFilter struct {
	key, prefix  string
	since, until time.Time
	node         int
	limit        int
}

func newLogDumpCommand() *cobra.Command {
	var filter logFilter
	var since, until string
	var values, asJSON bool
	cmd := &cobra.Command{
		Use:   "dump DIR",
		Short: "List the entries of a log in order",
		Long: `List the entries of the log in the data folder DIR in order of their sequence, one a line: sequence, time
of the write, node that made it, kind, key in quotes, bytes of the value, flags, expiry, time of the record
that it replaced. Kinds are value, counter, tombstone (a delete), floor (a flush) and mark (a note of this
node). Entries that were replaced disappear with a compaction. Nothing is changed; a node may run.

A point in time is written as 2026-01-02T15:04:05Z or as how long ago it was, 90m. Exit code 4: the log is
damaged; what can be read is printed all the same.`,
		Example: `  futago log dump /var/lib/futago --prefix session: --since 10m
  futago log dump /var/lib/futago --key greeting --values
  futago log dump /var/lib/futago --node 2 --limit 100 --json`,
		Args: words(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := filter.set(since, until, time.Now()); err != nil {
				return usageError{err}
			}
			fs, err := openLogFolder(args[0])
			if err != nil {
				return err
			}
			noteHolder(cmd.ErrOrStderr(), args[0])
			out := bufio.NewWriter(cmd.OutOrStdout())
			print := printEntry
			if asJSON {
				print = printEntryJSON
			}
			damage, err := dumpLog(fs, &filter, func(e *logEntry) error { return print(out, e, values) })
			if flushed := out.Flush(); err == nil {
				err = flushed
			}
			if err != nil {
				return fmt.Errorf("list %s: %w", args[0], err)
			}
			for _, d := range damage {
				fmt.Fprintf(cmd.ErrOrStderr(), "futago: damaged: %s\n", describe(d))
			}
			if len(damage) > 0 {
				return damageFound{fmt.Errorf("log in %s is damaged: %s left out", args[0], count(int64(len(damage)), "place"))}
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&filter.key, "key", "", "only entries of this `KEY`")
	flags.StringVar(&filter.prefix, "prefix", "", "only entries whose key begins with `TEXT`")
	flags.StringVar(&since, "since", "", "only writes at this `TIME` or later")
	flags.StringVar(&until, "until", "", "only writes at this `TIME` or earlier")
	flags.IntVar(&filter.node, "node", 0, "only writes that this node made")
	flags.IntVar(&filter.limit, "limit", 0, "stop after so many entries")
	flags.BoolVar(&values, "values", false, "print the values too, in quotes")
	flags.BoolVar(&asJSON, "json", false, "print one JSON object a line; key_base64 and value_base64 where it is no UTF-8")
	return cmd
}

// set checks the filter and reads its times.
func (f *logFilter) set(since, until string, now time.Time) error {
	for _, t := range []struct {
		flag, text string
		to         *time.Time
	}{{"since", since, &f.since}, {"until", until, &f.until}} {
		if t.text == "" {
			continue
		}
		var err error
		if *t.to, err = parseMoment(t.text, now); err != nil {
			return fmt.Errorf("--%s %q: %w", t.flag, t.text, err)
		}
	}
	switch {
	case f.node < 0 || f.node > hlc.MaxNode:
		return fmt.Errorf("--node %d: allowed is 1 to %d", f.node, hlc.MaxNode)
	case f.limit < 0:
		return fmt.Errorf("--limit %d: allowed is 1 or more", f.limit)
	}
	return nil
}

func (f *logFilter) matches(r *record.Record) bool {
	if f.key != "" && string(r.Key) != f.key || !bytes.HasPrefix(r.Key, []byte(f.prefix)) {
		return false
	}
	if f.node != 0 && r.Stamp.Node() != f.node {
		return false
	}
	t := r.Stamp.Time()
	return (f.since.IsZero() || !t.Before(f.since)) && (f.until.IsZero() || !t.After(f.until))
}

// logEntry is an entry to print.
type logEntry struct {
	seq    uint64
	record record.Record
}

// value is what clients see: of a counter the number, of a floor nothing.
func (e *logEntry) value() []byte {
	switch e.record.Kind {
	case record.Counter:
		return e.record.AppendVisible(nil)
	case record.Floor:
		return nil
	}
	return e.record.Value
}

func dumpLog(fs vfs.FS, filter *logFilter, print func(e *logEntry) error) ([]ulog.Damage, error) {
	var failed error
	n := 0
	damage, err := ulog.Entries(fs, func(e ulog.Entry) bool {
		entry := logEntry{seq: e.Seq}
		e.Raw.Into(&entry.record)
		if !filter.matches(&entry.record) {
			return true
		}
		n++
		failed = print(&entry)
		return failed == nil && (filter.limit == 0 || n < filter.limit)
	})
	if err == nil {
		err = failed
	}
	return damage, err
}

// moment is the time of a stamp; "-" for none.
func moment(s hlc.Stamp) string {
	if s == 0 {
		return "-"
	}
	return stampTime(s.Time())
}

func printEntry(w io.Writer, e *logEntry, values bool) error {
	r, value := &e.record, e.value()
	expires := "never"
	if r.Expires != 0 {
		expires = stampTime(hlc.Epoch.Add(time.Duration(r.Expires) * time.Millisecond))
	}
	line := fmt.Appendf(nil, "%d\t%s\t%d\t%v\t%q\t%d\t%d\t%s\t%s", e.seq, moment(r.Stamp), r.Stamp.Node(), r.Kind, r.Key, len(value), r.Flags, expires, moment(r.Replaced))
	if values {
		line = append(line, '\t')
		line = strconv.AppendQuote(line, string(value))
	}
	_, err := w.Write(append(line, '\n'))
	return err
}

// entryJSON is an entry as `futago log dump --json` prints it. 64-bit numbers that may be large are strings, because many
// readers of JSON lose their digits.
type entryJSON struct {
	Seq         uint64     `json:"seq"`
	Time        *time.Time `json:"time,omitempty"`
	Node        int        `json:"node"`
	Stamp       string     `json:"stamp"`
	Kind        string     `json:"kind"`
	Created     bool       `json:"created,omitempty"`
	Key         *string    `json:"key,omitempty"`
	KeyBase64   []byte     `json:"key_base64,omitempty"`
	Bytes       int        `json:"bytes"`
	Flags       uint32     `json:"flags"`
	Type        string     `json:"type,omitempty"`
	Expires     *time.Time `json:"expires,omitempty"`
	Replaced    string     `json:"replaced,omitempty"`
	Floor       *time.Time `json:"floor,omitempty"`
	Value       *string    `json:"value,omitempty"`
	ValueBase64 []byte     `json:"value_base64,omitempty"`
}

func printEntryJSON(w io.Writer, e *logEntry, values bool) error {
	r, value := &e.record, e.value()
	out := entryJSON{Seq: e.seq, Node: r.Stamp.Node(), Stamp: strconv.FormatUint(uint64(r.Stamp), 10), Kind: r.Kind.String(), Created: r.Created, Bytes: len(value), Flags: r.Flags, Type: string(r.Type)}
	at := func(t time.Time) *time.Time { t = t.UTC(); return &t }
	if r.Stamp != 0 {
		out.Time = at(r.Stamp.Time())
	}
	if r.Expires != 0 {
		out.Expires = at(hlc.Epoch.Add(time.Duration(r.Expires) * time.Millisecond))
	}
	if r.Replaced != 0 {
		out.Replaced = strconv.FormatUint(uint64(r.Replaced), 10)
	}
	if r.Kind == record.Floor {
		out.Floor = at(r.FloorStamp().Time())
	}
	textOr := func(b []byte, text **string, raw *[]byte) {
		if utf8.Valid(b) {
			s := string(b)
			*text = &s
		} else {
			*raw = b
		}
	}
	textOr(r.Key, &out.Key, &out.KeyBase64)
	if values {
		textOr(value, &out.Value, &out.ValueBase64)
	}
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(out)
}
