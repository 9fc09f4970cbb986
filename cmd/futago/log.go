package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/futago/futago/internal/ulog"
	"github.com/futago/futago/internal/vfs"
	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
)

func newLogCommand() *cobra.Command {
	cmd := asGroup(&cobra.Command{
		Use:   "log",
		Short: "Verify, repair, list or restore the log in a data folder",
		Long: `Verify, repair, list or restore the log in a data folder (--data of a node).

verify, dump and restore change nothing in it and may be used while a node runs. repair needs the node
stopped. Exit code 4 means that the log is damaged, or does not hold all that was asked for.`,
	})
	cmd.AddCommand(newLogDumpCommand(), newLogRepairCommand(), newLogRestoreCommand(), newLogVerifyCommand())
	return cmd
}

// openLogFolder opens a data folder to read it.
func openLogFolder(dir string) (vfs.FS, error) {
	fs, err := vfs.ReadOnly(dir)
	if err != nil {
		return nil, withHint(fmt.Errorf("open data folder: %w", err), "Name the folder that a node has in --data ('futago config show' there), as a user who may read it.")
	}
	return fs, nil
}

// noteHolder says that a running node may have written more than is shown.
func noteHolder(w io.Writer, dir string) {
	if pid, used := vfs.Holder(dir); used {
		fmt.Fprintf(w, "futago: the folder is used by process %s: it is read as it is now, nothing is changed\n", pid)
	}
}

// progressBar draws on a terminal how much of something is done; elsewhere nothing. The returned func removes the bar.
func progressBar(w io.Writer, what string, inBytes bool) (progress func(done, total int64), end func()) {
	if !isTerminal(w) {
		return nil, func() {}
	}
	bar := progressbar.NewOptions64(1, progressbar.OptionSetWriter(w), progressbar.OptionSetDescription(what),
		progressbar.OptionShowBytes(inBytes), progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(100*time.Millisecond))
	return func(done, total int64) {
		bar.ChangeMax64(max(total, 1))
		bar.Set64(done)
	}, func() { bar.Finish() }
}

// describe is one damage as a line.
func describe(d ulog.Damage) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s", d.File)
	if d.Bytes > 0 {
		fmt.Fprintf(&b, " at %d, %s", d.Offset, count(d.Bytes, "byte"))
	}
	switch {
	case d.Entries > 1:
		fmt.Fprintf(&b, ", sequences %d to %d", d.Seq, d.Seq+d.Entries-1)
	case d.Seq > 0:
		fmt.Fprintf(&b, ", sequence %d", d.Seq)
	}
	switch {
	case d.Lost && d.Entries > 0:
		fmt.Fprintf(&b, ", %s lost", count(int64(d.Entries), "entry"))
	case d.Lost:
		b.WriteString(", entries lost")
	default:
		b.WriteString(", no entry lost")
	}
	if !d.After.IsZero() {
		fmt.Fprintf(&b, ", written after %s", stampTime(d.After))
	}
	if !d.Before.IsZero() {
		fmt.Fprintf(&b, ", before %s", stampTime(d.Before))
	}
	return b.String() + ": " + d.Problem
}

// stampTime is a time of the log as text.
func stampTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// count is n things in words.
func count(n int64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	if thing == "entry" {
		return fmt.Sprintf("%d entries", n)
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// parseMoment reads a point in time: RFC 3339, or a duration before now.
func parseMoment(text string, now time.Time) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return t, nil
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	return time.Time{}, fmt.Errorf("want a time such as 2026-01-02T15:04:05Z, or how long ago it was, such as 90m")
}
