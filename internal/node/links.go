package node

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/futago/futago/internal/replication"
	"github.com/futago/futago/internal/store"
)

// links are the pullers of this node: one for each configured address, and one for each other member of the mesh that is
// known by now. A node that joins names one member, the others learn of it by the members' records: so every mesh is whole.
type links struct {
	mu   sync.Mutex
	list []*link
}

type link struct {
	*replication.Puller
	member int // that it was made for, 0 = for a configured address
}

// pullers are the present links, those of the configured addresses first.
func (n *Node) pullers() []*link {
	n.links.mu.Lock()
	defer n.links.mu.Unlock()
	return slices.Clone(n.links.list)
}

// follow opens both directions of the peer links. The source asks readiness, so it comes last.
func (n *Node) follow() {
	for _, addr := range n.cfg.Peer {
		n.addLink(addr, 0)
	}
	n.settleLinks()
	if n.peerLn == nil {
		return
	}
	n.source = replication.NewSource(replication.SourceConfig{
		Store: n.store, Node: n.cfg.Node, PeerTimeout: n.cfg.PeerTimeout, Logger: n.logger, Process: n.process,
		Link: n.link, SnapshotRate: n.cfg.PeerCopyRate,
		Ready: func() bool { ok, _ := n.readiness(); return ok },
		Reborn: func(node int) {
			for _, l := range n.pullers() {
				if l.Status().Node == node {
					l.Cut()
				}
			}
		},
	}, n.peerLn)
	n.logger.Info("listening for the peer", "addr", n.peerLn.Addr().String())
	n.workers.Go(func() {
		if err := n.source.Serve(); err != nil {
			n.logger.Error("peer port stopped", "err", err)
		}
	})
	n.workers.Go(n.watchMembers)
}

// addLink begins to follow an address.
func (n *Node) addLink(addr string, member int) {
	l := &link{member: member, Puller: replication.NewPuller(replication.PullerConfig{
		Store: n.store, Node: n.cfg.Node, Addr: addr, PeerTimeout: n.cfg.PeerTimeout, Durable: n.cfg.Fsync != "never", Logger: n.logger,
		Advertise: n.advertised(), Admin: n.adminAddr(), VerifyEvery: n.cfg.VerifyInterval, Process: n.process, Link: n.link,
		Returned: func() { n.again("link to the peer was down", false) },
		Changed: func() {
			select {
			case n.nudge <- struct{}{}:
			default:
			}
		},
	})}
	n.links.mu.Lock()
	n.links.list = append(n.links.list, l)
	n.links.mu.Unlock()
	l.Start()
}

// advertised is the address under which others find this node's peer port.
func (n *Node) advertised() string {
	switch {
	case n.cfg.PeerAdvertise != "":
		return n.cfg.PeerAdvertise
	case n.peerLn != nil:
		return n.peerLn.Addr().String()
	}
	return ""
}

// adminAddr is where the admin port is, for other nodes; "" when it is none that they may reach.
func (n *Node) adminAddr() string {
	if n.admin == nil || n.admin.ln.Addr().Network() != "tcp" {
		return ""
	}
	return n.admin.addr()
}

// watchMembers keeps the links as the members are.
func (n *Node) watchMembers() {
	tick := time.NewTicker(time.Second) // a configured address may turn out to be a member
	defer tick.Stop()
	for {
		changed := n.store.MembersChanged()
		n.settleLinks()
		n.noticeCaughtUp()
		if state, _, _ := n.state.get(); state == Ready && n.outcast() != "" {
			n.again("removed from the mesh", false)
		}
		select {
		case <-n.stopping:
			return
		case <-changed:
		case <-tick.C:
		}
	}
}

// addressMark names the note of which node was last met at a configured address.
func addressMark(addr string) string { return "at/" + addr }

// settleLinks adds links to members that nobody follows yet and ends those that are needed no longer.
func (n *Node) settleLinks() {
	followed := map[int]bool{n.cfg.Node: true}
	for _, l := range n.pullers() {
		if l.member != 0 {
			continue
		}
		st := l.Status()
		node := st.Node
		if node == 0 { // not met yet: it is who it was
			node, _ = strconv.Atoi(string(n.store.Mark(addressMark(st.Addr))))
		} else if id := strconv.Itoa(node); string(n.store.Mark(addressMark(st.Addr))) != id {
			n.store.SetMark(addressMark(st.Addr), []byte(id))
			n.store.Log().Flush()
		}
		followed[node] = true
	}
	members := map[int]store.Member{}
	for _, m := range n.store.Members() {
		if !m.Gone {
			members[m.Node] = m
		} else if n.source != nil {
			n.source.DropNode(m.Node)
		}
	}
	for _, l := range n.pullers() {
		self := l.Self()
		m, ok := members[l.member]
		if !self && (l.member == 0 || ok && !followed[l.member] && m.Addr == l.Status().Addr) {
			followed[l.member] = true
			continue
		}
		n.links.mu.Lock()
		n.links.list = slices.DeleteFunc(n.links.list, func(x *link) bool { return x == l })
		n.links.mu.Unlock()
		l.Stop()
	}
	unmet := slices.ContainsFunc(n.pullers(), func(l *link) bool {
		st := l.Status()
		return l.member == 0 && st.Node == 0 && n.store.Mark(addressMark(st.Addr)) == nil
	})
	for node, m := range members {
		// While a configured address was never met, the member may be who is there.
		if !followed[node] && m.Addr != "" && (!unmet || n.otherThanConfigured(m.Addr)) {
			n.addLink(m.Addr, node)
		}
	}
}

// otherThanConfigured reports whether more members are known than addresses are configured.
func (n *Node) otherThanConfigured(addr string) bool {
	others := 0
	for _, m := range n.store.Members() {
		if !m.Gone && m.Node != n.cfg.Node {
			others++
		}
	}
	return others > len(n.cfg.Peer) && !slices.Contains(n.cfg.Peer, addr)
}

// stopLinks ends all.
func (n *Node) stopLinks() {
	var stops sync.WaitGroup
	for _, l := range n.pullers() {
		stops.Go(l.Stop)
	}
	stops.Wait()
}

// caughtUp reports whether this node holds what its peers have. waits tells that one of them may still bring it.
func (n *Node) caughtUp(begin time.Time) (ok, waits bool) {
	ok = true
	for _, l := range n.pullers() {
		if l.Self() {
			continue
		}
		caught, still := l.CaughtUp()
		ok = ok && caught
		// What was no progress before, such as the time that this process stood still, does not count.
		waits = waits || !caught && min(still, time.Since(begin)) <= n.cfg.CatchupTimeout
	}
	return ok, waits
}

// followsOthers reports whether there is a link to another node, or to where one may be.
func (n *Node) followsOthers() bool {
	return slices.ContainsFunc(n.pullers(), func(l *link) bool { return !l.Self() })
}

// knowsOthers reports whether there is another member, with an address.
func (n *Node) knowsOthers() bool {
	return slices.ContainsFunc(n.store.Members(), func(m store.Member) bool { return !m.Gone && m.Node != n.cfg.Node && m.Addr != "" })
}

// outcast returns why the mesh does not take this node with the data that it has: then it must not serve, for nobody would
// ever get what it acknowledges. "" while it is taken by anybody, or nobody said so.
func (n *Node) outcast() (reason string) {
	for _, l := range n.pullers() {
		if ok, _ := l.CaughtUp(); ok {
			return ""
		}
		reason = cmp.Or(reason, l.Outcast())
	}
	return reason
}

// drainLinks hands the last entries to the peers, within the time of ctx, and ends all links.
func (n *Node) drainLinks(ctx context.Context) {
	if n.source != nil {
		if err := n.source.Drain(ctx); err != nil {
			n.logger.Warn("the peer may lack the last entries until this node is back", "err", err)
		}
	}
	n.stopLinks()
}
