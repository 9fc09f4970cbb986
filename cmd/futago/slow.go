package main

import (
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/futago/futago/internal/node"
)

// maxNotes bounds what a node tells of slow requests, or of hot keys, in bytes.
const maxNotes = 4 << 20

// noteReader asks nodes for notes in which there are keys.
type noteReader struct {
	*adminConfig
	limit int
	json  bool
}

// newNoteReader gives cmd the flags.
func newNoteReader(cmd *cobra.Command, what string) *noteReader {
	r := &noteReader{adminConfig: newAdminConfig(cmd, 5*time.Second), limit: 20}
	cmd.Flags().IntVar(&r.limit, "limit", r.limit, "show at most so many "+what)
	cmd.Flags().BoolVar(&r.json, "json", false, "print one JSON object a node; keys are in Base64")
	return r
}

// load is that of adminConfig, with a look at the limit.
func (r *noteReader) load(cmd *cobra.Command) ([]*adminNode, error) {
	if r.limit < 1 {
		return nil, usageError{fmt.Errorf("--limit %d: allowed is 1 and more", r.limit)}
	}
	return r.adminConfig.load(cmd)
}

// tellEach asks every node for a document and prints it; those that do not answer are the error.
func tellEach[T any](cmd *cobra.Command, r *noteReader, what, path string, answered func(*T) bool, print func(w io.Writer, d *T, addr string) error) error {
	nodes, err := r.load(cmd)
	if err != nil {
		return err
	}
	path += "?limit=" + strconv.Itoa(r.limit)
	list, problem := askAll(nodes, func(_ int, n *adminNode) (d T, err error) {
		err = n.get(cmd.Context(), "its "+what, path, maxNotes, &d)
		return d, err
	})
	for i := range list {
		if !answered(&list[i]) {
			continue
		}
		if r.json {
			err = writeJSONLine(cmd.OutOrStdout(), &list[i])
		} else {
			err = print(cmd.OutOrStdout(), &list[i], nodes[i].addr)
		}
		if err != nil {
			return fmt.Errorf("print %s: %w", what, err)
		}
	}
	return withHint(problem, adminHint)
}

func newSlowCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "slow",
		Short: "Show requests that took long, and what they waited for",
		Long: `Show the last requests that took --slow-threshold of the node (10 ms) or longer, the newest first:

  waited for execution  the request itself took so long: much data, or data that had to be read from the disk;
                        a few requests that came together are noted as one, with the last one's key
  waited for log        the system took so long to accept what was written: the disk is slow or busy
  waited for ack        the reply was held until disk or peer had the write, as --ack and --fsync demand; of
                        replies that were held together the longest is noted, with how many there were

Each node notes its own, the last 128 since its start. Where the node has users, keys are shown to a user who
may read them.`,
		Example: `  futago slow
  futago slow --admin 10.0.0.1:11280 --admin 10.0.0.2:11280 --limit 100
  futago slow --user root --password-file password --json`,
		Args: noWords,
	}
	r := newNoteReader(cmd, "requests of a node, the newest")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return tellEach(cmd, r, "slow requests", "/slow", func(d *node.SlowDocument) bool { return d.Node != 0 }, printSlow)
	}
	return cmd
}

func printSlow(w io.Writer, d *node.SlowDocument, addr string) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	if len(d.Slow) > 0 {
		fmt.Fprintln(t, "time\ttook\twaited for\tcommand\tkey\tclient\tbytes\trequests")
	}
	for i := range d.Slow {
		s := &d.Slow[i]
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\n", stampTime(s.At), tookText(s.Seconds), s.Reason, plain(s.Command), keyOrNone(s.Key), orNone(plain(s.Client)),
			grouped(int64(s.Bytes)), s.Requests)
	}
	if len(d.Slow) > 0 {
		fmt.Fprintln(t)
	}
	limit := "nothing is noted: slow-threshold is 0"
	if d.Threshold > 0 {
		limit = "slow is " + tookText(d.Threshold) + " and more"
	}
	fmt.Fprintf(t, "node %d (%s): since its start %s, %s of the log, %s for disk or peer; %s\n", d.Node, addr,
		counted(int64(d.Counts["execution"]), "slow execution"), counted(int64(d.Counts["log"]), "slow write"), counted(int64(d.Counts["ack"]), "slow wait"), limit)
	if d.KeysHidden {
		fmt.Fprintln(t, keysHidden)
	}
	return t.Flush()
}

const keysHidden = "Keys are told to those who may read them: ask as another --user."

// tookText is a time in seconds for people.
func tookText(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	for _, unit := range []time.Duration{time.Second, time.Millisecond, time.Microsecond} {
		if d >= unit {
			return d.Round(unit / 100).String()
		}
	}
	return d.String()
}

func keyOrNone(key []byte) string {
	if len(key) == 0 {
		return "-"
	}
	return quoteKey(key)
}

func orNone(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func newHotCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "hot",
		Short: "Show the keys that are asked for most, and those of the largest values",
		Long: `Show the keys that were asked for most in the last half to whole minute, and the keys of the largest values.

Share and rate are estimated: the node looks at one request of sample-requests (64), chosen at random. A key
that was seen fewer than 4 times is not shown. Large are values from 1 KiB on that were written, or read in a
sampled request, since the node started, and are still there; their size is the one of now. Keys of more than
1 KiB are left out. Where the node has users, keys are shown to a user who may read them.`,
		Example: `  futago hot
  futago hot --admin 10.0.0.1:11280 --admin 10.0.0.2:11280 --limit 5
  futago hot --user root --password-file password --json`,
		Args: noWords,
	}
	r := newNoteReader(cmd, "hot and so many big keys")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return tellEach(cmd, r, "hot keys", "/hot", func(d *node.HotDocument) bool { return d.Node != 0 }, printHot)
	}
	return cmd
}

func printHot(w io.Writer, d *node.HotDocument, addr string) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	if len(d.Hot) > 0 {
		fmt.Fprintln(t, "share\tabout a second\twrites\tkey")
	}
	for _, k := range d.Hot {
		fmt.Fprintf(t, "%.2f%%\t%s\t%.0f%%\t%s\n", 100*k.Share, grouped(int64(k.Rate)), 100*k.Writes, keyOrNone(k.Key))
	}
	if len(d.Hot) > 0 {
		fmt.Fprintln(t)
	}
	if len(d.Big) > 0 {
		fmt.Fprintln(t, "bytes\tkey")
	}
	for _, k := range d.Big {
		fmt.Fprintf(t, "%s\t%s\n", grouped(int64(k.Size)), keyOrNone(k.Key))
	}
	if len(d.Big) > 0 {
		fmt.Fprintln(t)
	}
	sample := "nothing is sampled: sample-requests is 0"
	if d.Sample > 0 {
		sample = fmt.Sprintf("%s of %.0f s, one request of %d", counted(int64(d.Samples), "sample"), d.Seconds, d.Sample)
	}
	fmt.Fprintf(t, "node %d (%s): %s\n", d.Node, addr, sample)
	if d.KeysHidden {
		fmt.Fprintln(t, keysHidden)
	}
	return t.Flush()
}
