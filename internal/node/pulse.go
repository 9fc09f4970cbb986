package node

// Pulse reports whether the node goes on: it waits until every lock that requests take was free, for ever if one is held so long, and
// looks whether every network loop came round since the last call, which must be two seconds ago. A node that still reads its log lives.
func (n *Node) Pulse() bool {
	if !n.opened.Load() {
		return true
	}
	n.store.Probe()
	return n.server.Pulse()
}
