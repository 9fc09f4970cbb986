package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/futago/futago/internal/migrate"
	"github.com/schollz/progressbar/v3"
)

// importProgress draws on a terminal how far an import is; elsewhere nothing. Notices go between. end removes what is drawn.
func importProgress(w io.Writer) (progress func(migrate.Progress), notice func(text string), end func()) {
	var bar *progressbar.ProgressBar
	clear := func() {
		if bar != nil {
			bar.Clear()
		}
	}
	notice = func(text string) {
		clear()
		fmt.Fprintf(w, "futago: %s\n", text)
	}
	if !isTerminal(w) {
		return nil, notice, func() {}
	}
	following := false
	return func(p migrate.Progress) {
		switch {
		case p.Following && (bar == nil || !following):
			clear()
			following = true
			bar = progressbar.NewOptions64(-1, progressbar.OptionSetWriter(w), progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(100*time.Millisecond))
		case bar == nil:
			bar = progressbar.NewOptions64(max(p.Total, 1), progressbar.OptionSetWriter(w), progressbar.OptionSetDescription("copying"), progressbar.OptionShowCount(),
				progressbar.OptionShowIts(), progressbar.OptionSetItsString("records"), progressbar.OptionSetPredictTime(true),
				progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(100*time.Millisecond))
		}
		if p.Following {
			bar.Describe(fmt.Sprintf("following: %s, the newest of %s", counted(p.Entries, "entry"), stampTime(p.Time)))
			bar.Set64(p.Entries)
			return
		}
		bar.ChangeMax64(max(p.Total, 1))
		bar.Set64(p.Records)
	}, notice, clear
}

// printImported prints what an import has done.
func printImported(w io.Writer, d *migrate.Imported) error {
	var b strings.Builder
	b.WriteString(summaryText(&d.Summary))
	if d.HasLog && !d.DryRun {
		fmt.Fprintf(&b, "followed  %s of the update log: %s named keys, %s cleared all, %s without effect, %s not understood\n",
			counted(d.Entries, "entry"), grouped(d.Named), grouped(d.Cleared), grouped(d.NoEffect), grouped(d.Unknown))
	}
	if !d.Position.IsZero() {
		caughtUp := "not caught up"
		if d.CaughtUp {
			caughtUp = "caught up"
		}
		fmt.Fprintf(&b, "position  %s, %s\n", stampTime(d.Position), caughtUp)
	}
	if d.SourceRecords > 0 || d.TargetRecords > 0 {
		fmt.Fprintf(&b, "records   %s in the source, %s in the node\n", grouped(int64(d.SourceRecords)), grouped(int64(d.TargetRecords)))
	}
	fmt.Fprintf(&b, "time      %s\n", roundSeconds(d.Seconds))
	_, err := io.WriteString(w, b.String())
	return err
}

// tellKeys names the first of some keys.
func tellKeys(w io.Writer, what string, keys [][]byte) {
	var names []string
	for _, key := range keys {
		names = append(names, quoteKey(key))
	}
	fmt.Fprintf(w, "futago: %s; such keys are %s\n", what, strings.Join(names, ", "))
}
