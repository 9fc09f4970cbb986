package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/futago/futago/internal/node"
	"github.com/futago/futago/internal/store"
	"github.com/spf13/cobra"
)

func newVerifyCommand() *cobra.Command {
	v := &verifier{limit: 20, settle: 2 * time.Second, wait: 10 * time.Minute}
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Compare the records of two or more nodes",
		Long: `Compare the records of two or more nodes while they run, and change nothing.

Every node has a digest: a sum of what its records are for each of 4096 ranges of keys, and for each hour of
those that expire. The digests are compared several times, for writes are on their way all the time: a range
that was equal once is equal. Of ranges that stay unequal the records are compared one by one, each with the
hash of its value; a key that differs is looked at again after --settle, and differs only if a node still
lacks what another one had then, or if nothing was written and it differs still. Nodes that are behind by more than
--settle differ: give it a longer time if they may be.

--full compares all records one by one, the bytes of every value included. That finds bytes that changed
where no write was, and takes as long as reading everything. Without it, records that expire within the
next two hours are not compared.

A node builds its digest when it is first asked for; this command waits for it, at most as long as --wait.

Exit code 0: equal; 3: they differ; 1: they could not be compared.`,
		Example: `  futago verify --admin 10.0.0.1:11280 --admin 10.0.0.2:11280
  futago verify --full --admin 10.0.0.1:11280 --admin 10.0.0.2:11280 --admin 10.0.0.3:11280
  futago verify --json --limit 1000 --admin 10.0.0.1:11280 --admin 10.0.0.2:11280`,
		Args: noWords,
	}
	config := newAdminConfig(cmd, 30*time.Second)
	flags := cmd.Flags()
	flags.BoolVar(&v.full, "full", false, "compare every record and the bytes of its value")
	flags.DurationVar(&v.settle, "settle", v.settle, "how long a write may take to reach every node")
	flags.DurationVar(&v.wait, "wait", v.wait, "how long to wait for a node that builds its digest, or reads its log")
	flags.IntVar(&v.limit, "limit", v.limit, "show at most so many keys that differ")
	flags.BoolVar(&asJSON, "json", false, "print the result as JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		nodes, err := config.load(cmd)
		if err == nil {
			err = v.check(len(nodes))
		}
		if err != nil {
			return err
		}
		v.progress, v.endProgress = func(string, int64, int64) {}, func() {}
		if errOut := cmd.ErrOrStderr(); isTerminal(errOut) {
			v.progress, v.endProgress = stagedProgress(errOut)
		}
		out := cmd.OutOrStdout()
		report, err := v.run(cmd.Context(), nodes)
		v.endProgress()
		if err != nil {
			return err
		}
		print := report.print
		if asJSON {
			print = func(w io.Writer) error { return writeJSON(w, report) }
		}
		if err := print(out); err != nil {
			return fmt.Errorf("print result: %w", err)
		}
		return report.verdict()
	}
	return cmd
}

// verifyMeet is how long nodes may take to say who they are, which costs them nothing; a digest may take as long as --timeout.
const verifyMeet = 5 * time.Second

// verifier compares nodes.
type verifier struct {
	full         bool
	limit        int // keys to tell of
	settle, wait time.Duration
	// progress is told, of a stage, how much of it is done; endProgress that nothing comes any more.
	progress    func(stage string, done, total int64)
	endProgress func()

	nodes  []*adminNode
	ahead  time.Duration // clock of the first node before this one
	report verifyReport
}

func (v *verifier) check(nodes int) error {
	var problems []error
	if nodes < 2 {
		problems = append(problems, errors.New("--admin: give the addresses of two nodes or more"))
	}
	if v.limit < 1 {
		problems = append(problems, fmt.Errorf("--limit %d: allowed is 1 or more", v.limit))
	}
	if v.settle <= 0 {
		problems = append(problems, fmt.Errorf("--settle %v: allowed is more than 0", v.settle))
	}
	if v.wait < 0 {
		problems = append(problems, fmt.Errorf("--wait %v: allowed is 0 or more", v.wait))
	}
	if len(problems) > 0 {
		return usageError{errors.Join(problems...)}
	}
	return nil
}

func (v *verifier) run(ctx context.Context, nodes []*adminNode) (*verifyReport, error) {
	v.nodes = nodes
	r := &v.report
	r.Full, r.Ranges, r.Keys = v.full, store.Ranges, []verifyKey{}
	if err := v.meet(ctx); err != nil {
		return nil, err
	}
	ranges, err := v.compareDigests(ctx)
	if err != nil {
		return nil, err
	}
	if v.full {
		ranges, r.Records, r.Soon = allRanges(), 0, 0
	}
	r.Listed = len(ranges)
	if err := v.compareRecords(ctx, ranges); err != nil {
		return nil, err
	}
	if r.Equal = r.Differing == 0; !r.Equal {
		r.Links = v.links(ctx)
	}
	return r, nil
}

// meet asks the nodes who they are.
func (v *verifier) meet(ctx context.Context) error {
	asked := make([]*adminNode, len(v.nodes))
	for i, n := range v.nodes {
		asked[i] = n.within(verifyMeet)
	}
	list, err := statuses(ctx, asked)
	if err != nil {
		return err
	}
	seen := map[int]string{}
	for i, s := range list {
		addr := v.nodes[i].addr
		if other, ok := seen[s.Node]; ok {
			return withHint(fmt.Errorf("%s and %s are the same node, %d", other, addr, s.Node), "Name the admin address of each node.")
		}
		seen[s.Node] = addr
		v.report.Nodes = append(v.report.Nodes, verifyNode{Admin: addr, Node: s.Node, State: string(s.State)})
	}
	v.ahead = time.Until(list[0].Time)
	return nil
}

// links tells in words of links that explain a difference.
func (v *verifier) links(ctx context.Context) (notes []string) {
	list, _ := askAll(v.nodes, func(_ int, n *adminNode) (node.Status, error) { return n.status(ctx) })
	for _, s := range list {
		for _, l := range linksOf(&s) {
			switch {
			case l.State != "stream":
				notes = append(notes, fmt.Sprintf("node %d does not follow %s: %s", s.Node, peerName(l), linkState(l)))
			case l.LagSeconds > v.settle.Seconds():
				notes = append(notes, fmt.Sprintf("node %d is %s behind node %d", s.Node, roundSeconds(l.LagSeconds), l.Node))
			}
		}
		if s.Store != nil && s.Store.Lost > 0 {
			notes = append(notes, fmt.Sprintf("node %d lost %s to its disk", s.Node, count(s.Store.Lost, "record")))
		}
	}
	return notes
}

// now is the time by the clock of the first node.
func (v *verifier) now() time.Time { return time.Now().Add(v.ahead) }

func roundSeconds(s float64) string {
	d := time.Duration(min(s, math.MaxInt32) * float64(time.Second))
	if d < time.Second {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

// pause waits; the error is that of a context that ended.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
