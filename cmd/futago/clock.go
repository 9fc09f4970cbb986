package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/futago/futago/internal/node"
	"github.com/futago/futago/internal/store"
	"github.com/spf13/cobra"
)

// noticeableSeconds is from when on a difference of clocks is worth a word: time services keep far below it.
const noticeableSeconds = 1.0

func newClockCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "clock",
		Short: "Show what nodes say of their clocks, and what to do",
		Long: `Show what nodes say of their clocks: how far the clocks of their peers are away, whether the own one jumped,
whether stamps of a peer are refused because they are too far ahead (--max-clock-drift of the node), and
what to do about it.`,
		Example: `  futago clock
  futago clock --admin 10.0.0.1:11280 --admin 10.0.0.2:11280
  futago clock admit --admin 10.0.0.2:11280`,
		Args: noWords,
	}
	config := newAdminConfig(cmd, 2*time.Second)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print what each node says on a line, as JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return printEach(cmd, config, asJSON, "clocks", func(s *node.Status, addr string) printer { return clockViewOf(s, addr) })
	}
	cmd.AddCommand(newClockAdmitCommand())
	return cmd
}

func newClockAdmitCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "admit",
		Short: "Have a node take stamps that are too far ahead of its clock",
		Long: `Have the node at --admin take stamps that are too far ahead of its clock: those that a peer sends and the
node refuses (link state clock), and those in its own log, because of which it refuses clients' writes.

That is needed after a node's clock was ahead for a while, and is right again: what it wrote then
carries times to come. First set all clocks right; then use this on every node that refuses. Once the stamps are taken,
new writes get stamps behind them, so they win over what was written with the wrong clock; the stamps stay
ahead until the time has come. Where a clock is still wrong it must not be used.`,
		Example: `  futago clock
  futago clock admit --admin 10.0.0.2:11280`,
		Args: noWords,
	}
	config := newAdminConfig(cmd, 10*time.Second)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the result as JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		admin, err := config.loadOne(cmd)
		if err != nil {
			return err
		}
		done, err := admitClock(cmd.Context(), admin)
		if err != nil {
			return err
		}
		return printDone(cmd.OutOrStdout(), asJSON, done, done.Result)
	}
	return cmd
}

// clockAdmitted is what came of `futago clock admit`.
type clockAdmitted struct {
	Admin  string `json:"admin"`
	Result string `json:"result"` // what the node says, with the time up to which stamps are taken
}

func admitClock(ctx context.Context, admin *adminNode) (*clockAdmitted, error) {
	text, err := admin.do(ctx, "stamps to be taken", "/clock/admit")
	return &clockAdmitted{admin.addr, text}, withHint(err, "'futago clock' shows which node refuses stamps: it is the one to ask.")
}

// clockView is what a node says of clocks.
type clockView struct {
	Admin   string             `json:"admin"`
	Node    int                `json:"node"`
	Clock   *store.ClockStatus `json:"clock"` // null while the node reads its log
	Refusal string             `json:"refusal,omitempty"`
	Peers   []peerClock        `json:"peers"`
}

// peerClock is the clock of a peer.
type peerClock struct {
	Node    int    `json:"node"`
	DriftMs int64  `json:"drift_ms"` // ahead of the node that was asked
	State   string `json:"state"`    // of the link: clock while its stamps are refused
}

func clockViewOf(s *node.Status, addr string) *clockView {
	v := &clockView{Admin: addr, Node: s.Node, Clock: s.Clock, Peers: []peerClock{}}
	if s.Store != nil && strings.Contains(s.Store.Refusal, "clock") {
		v.Refusal = s.Store.Refusal
	}
	for _, l := range linksOf(s) {
		if l.Node != 0 {
			v.Peers = append(v.Peers, peerClock{l.Node, l.DriftMs, l.State})
		}
	}
	return v
}

func (v *clockView) print(w io.Writer) error {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, "  "+format+"\n", args...) }
	fmt.Fprintf(&b, "node %d (%s)\n", v.Node, v.Admin)
	if v.Clock == nil {
		line("it reads its log: ask again")
		_, err := io.WriteString(w, b.String())
		return err
	}
	good := true
	bad := func(what, todo string) {
		good = false
		line("%s", what)
		line("  -> %s", todo)
	}
	for _, p := range v.Peers {
		drift := float64(p.DriftMs) / 1000
		text := fmt.Sprintf("the clock of node %d is %s this node's", p.Node, aheadText(p.DriftMs))
		switch {
		case p.State != "stream" && p.State != "snapshot" && p.State != "clock":
			line("the clock of node %d is not known now (link: %s)", p.Node, p.State)
		case math.Abs(drift) >= noticeableSeconds:
			bad(text, "find the wrong one and set it right; run a time service on both")
		default:
			line("%s", text)
		}
	}
	c := v.Clock
	if c.JumpSeconds != 0 {
		bad(fmt.Sprintf("its clock jumped by %s; it goes on with the old time", roundSeconds(math.Abs(c.JumpSeconds))),
			"compare its clock with others; the new time is taken when a peer has it too, or after 10 s if there is no peer")
	}
	if c.RefusedSeconds > 0 {
		bad(fmt.Sprintf("stamps %s ahead of its clock are refused, the link waits", roundSeconds(c.RefusedSeconds)),
			"set the clocks right. If what was written with the wrong one shall be kept: futago clock admit --admin "+v.Admin)
	}
	if v.Refusal != "" {
		bad("clients' writes are refused: "+plain(v.Refusal),
			"if its clock is behind, set it right; if its records are from a clock that was ahead: futago clock admit --admin "+v.Admin)
	}
	if c.AdmittedSeconds > 0 {
		line("stamps up to %s ahead of its clock are taken, because of futago clock admit", roundSeconds(c.AdmittedSeconds))
	} else if c.AheadSeconds >= noticeableSeconds && c.RefusedSeconds == 0 && v.Refusal == "" {
		line("its newest write has a time %s ahead of its clock: new ones go on from there", roundSeconds(c.AheadSeconds))
	}
	if good {
		line("nothing to do")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func aheadText(ms int64) string {
	switch d := time.Duration(ms) * time.Millisecond; {
	case ms < 0:
		return (-d).String() + " behind"
	case ms > 0:
		return d.String() + " ahead of"
	}
	return "the same as"
}
