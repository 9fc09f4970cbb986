package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/futago/futago/internal/node"
	"github.com/futago/futago/internal/replication"
	"github.com/spf13/cobra"
)

func newPeerListCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the members of the mesh and the links to them",
		Long: `List the members of the mesh, and the links between them and the node that is asked, as that node sees them.
With several --admin addresses every node is asked.

"reads from it" is how the node follows that member: stream is as it should be, snapshot is a copy of
everything, connecting, clock and refused come with the reason below. "behind" says how many entries of that
member's log are not applied yet, and since when. "it reads" is the same the other way round. "compared" is
what the last comparison with that member found; nodes compare when nothing was written for a while. A member
that was removed may join again with an empty data folder. The last line says which deletes are forgotten: all
members must have them, so one that is away keeps them.`,
		Example: `  futago peer list
  futago peer list --admin 10.0.0.1:11280 --admin 10.0.0.2:11280
  futago peer list --json`,
		Args: noWords,
	}
	config := newAdminConfig(cmd, 2*time.Second)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print what each node says on a line, as JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return printEach(cmd, config, asJSON, "members", func(s *node.Status, addr string) printer {
			return &meshView{Admin: addr, Node: s.Node, Peers: peerRows(s), Horizon: s.Horizon, Waits: s.HorizonWaits, asked: s.Time}
		})
	}
	return cmd
}

// meshView is the mesh as one node sees it.
type meshView struct {
	Admin string    `json:"admin"`
	Node  int       `json:"node"`
	Peers []peerRow `json:"members"`
	// Horizon is up to when deletes are forgotten, null for none; Waits are the members that keep it from rising.
	Horizon *time.Time `json:"horizon"`
	Waits   []int      `json:"horizon_waits_for"`
	asked   time.Time  // by the node's clock
}

// peerRow is what a node knows of a member.
type peerRow struct {
	Node     int                         `json:"node"` // 0: the address was never met
	Addr     string                      `json:"addr"`
	Self     bool                        `json:"self"`
	Gone     bool                        `json:"gone"`               // removed from the mesh
	Member   bool                        `json:"member"`             // false: only configured
	Link     *replication.PullStatus     `json:"link,omitempty"`     // on which the node follows it
	Follower *replication.FollowerStatus `json:"follower,omitempty"` // on which it follows the node
}

// linksOf are all links on which a node follows others.
func linksOf(s *node.Status) (links []replication.PullStatus) {
	if s.Peer != nil {
		links = append(links, *s.Peer)
	}
	return append(links, s.OtherPeers...)
}

// peerRows joins members, links and followers; the node itself first, addresses that were never met last.
func peerRows(s *node.Status) []peerRow {
	rows := map[int]*peerRow{s.Node: {Node: s.Node, Addr: s.PeerListen, Self: true, Member: true}}
	row := func(id int, addr string) *peerRow {
		r := rows[id]
		if r == nil {
			r = &peerRow{Node: id, Addr: addr}
			rows[id] = r
		}
		return r
	}
	for _, m := range s.Members {
		r := row(m.Node, m.Addr)
		r.Addr, r.Gone, r.Member = cmp.Or(m.Addr, r.Addr), m.Gone, true
	}
	var unmet []peerRow
	for _, l := range linksOf(s) {
		if l.Node == 0 {
			unmet = append(unmet, peerRow{Addr: l.Addr, Link: &l})
			continue
		}
		row(l.Node, l.Addr).Link = &l
	}
	for _, f := range s.Followers {
		row(f.Node, f.Addr).Follower = &f
	}
	list := make([]peerRow, 0, len(rows)+len(unmet))
	for _, r := range rows {
		list = append(list, *r)
	}
	slices.SortFunc(list, func(a, b peerRow) int {
		if a.Self != b.Self {
			if a.Self {
				return -1
			}
			return 1
		}
		return a.Node - b.Node
	})
	return append(list, unmet...)
}

func (v *meshView) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintf(t, "as node %d sees it (%s)\n", v.Node, v.Admin)
	fmt.Fprintln(t, "node\tpeer port\treads from it\tbehind\tit reads\tbehind\tcompared")
	var notes []string
	for _, p := range v.Peers {
		id, addr := "?", cmp.Or(p.Addr, "-")
		if p.Node != 0 {
			id = strconv.Itoa(p.Node)
		}
		if p.Self {
			fmt.Fprintf(t, "%s\t%s\tthis node\t\t\t\t\n", id, addr)
			continue
		}
		reads, behind, follows, lag, compared := "no", "-", "no", "-", "-"
		if p.Gone {
			reads = "removed"
		}
		if l := p.Link; l != nil {
			reads = l.State
			switch {
			case l.State == "snapshot":
				behind = fmt.Sprintf("part %d of %d", l.Part, l.Parts)
			case l.Links > 0 || l.Applied > 0:
				behind = fmt.Sprintf("%d, %s", l.LagEntries, roundSeconds(l.LagSeconds))
			}
			if l.Reason != "" {
				notes = append(notes, fmt.Sprintf("%s: %s", peerName(*l), linkState(*l)))
			}
			if !l.Verified.IsZero() {
				compared = comparison(*l) + ", " + ago(l.Verified, v.asked)
			}
		}
		if f := p.Follower; f != nil {
			follows, lag = f.State, strconv.FormatUint(f.Lag, 10)
			if f.State == "snapshot" {
				lag = fmt.Sprintf("part %d of %d", f.Part, f.Parts)
			}
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", id, addr, reads, behind, follows, lag, compared)
	}
	for _, n := range append(notes, horizonNote(v.Horizon, v.Waits)) {
		fmt.Fprintln(t, n)
	}
	fmt.Fprintln(t)
	return t.Flush()
}

// horizonNote says until when deletes are forgotten, and what keeps them.
func horizonNote(horizon *time.Time, waits []int) string {
	text := "no delete is forgotten yet"
	if horizon != nil {
		text = "deletes are forgotten up to " + horizon.UTC().Format(time.RFC3339)
	}
	if len(waits) > 0 {
		text += "; later ones wait for " + nodesText(waits)
	}
	return text
}

// comparison is what the last one found.
func comparison(l replication.PullStatus) string {
	if l.FoundEqual() {
		return "equal"
	}
	return counted(int64(l.Unequal), "range") + " unequal"
}

// peerName names the other end of a link.
func peerName(l replication.PullStatus) string {
	if l.Node == 0 {
		return l.Addr
	}
	return fmt.Sprintf("node %d", l.Node)
}

// linkState is the state of a link and why.
func linkState(l replication.PullStatus) string {
	if l.Reason == "" {
		return l.State
	}
	return l.State + ", " + plain(l.Reason)
}
