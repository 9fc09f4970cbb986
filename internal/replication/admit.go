package replication

import (
	"fmt"
	"net"
	"strconv"

	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/store"
)

// refusal says why a follower cannot be served, without a reason when it can.
func (s *Source) refusal(h *hello) (no refuse) {
	switch {
	case h.Version != protocolVersion:
		no.Reason = fmt.Sprintf("peer speaks protocol version %d, this node %d: run the same release on both", h.Version, protocolVersion)
	case h.Node < 1 || h.Node > hlc.MaxNode:
		no.Reason = fmt.Sprintf("node id %d is out of 1..%d", h.Node, hlc.MaxNode)
	case h.Node == s.cfg.Node:
		no.Reason = fmt.Sprintf("both nodes have the id %d: start one of them with another --node and an empty data folder", h.Node)
	default:
		no.Reason = stranger(s.cfg.Store, h.Node, h.Items)
		no.Outcast = no.Reason != ""
	}
	return no
}

// stranger says why a node that brings so many records of its own must not be united with this one, "" when it may. A node
// that has forgotten deletes takes what is older for deleted: true of those who took part, fatal for others' data.
func stranger(st *store.Store, node int, items int64) string {
	m, known := st.Member(node)
	switch {
	case items == 0:
		return ""
	case m.Gone:
		return fmt.Sprintf("node %d was removed from the mesh (futago peer forget): it may join again with an empty data folder", node)
	case !known && st.Horizon() != 0 && st.Items() != 0:
		return fmt.Sprintf("node %d has data of its own and was never part of this mesh: let it join with an empty data folder", node)
	}
	return ""
}

// addrOf is where the follower can be followed itself, as far as that is news.
func (s *Source) addrOf(h *hello, conn net.Conn) string {
	host, port, err := net.SplitHostPort(h.Addr)
	if err != nil {
		return ""
	}
	if ip := net.ParseIP(host); host != "" && (ip == nil || !ip.IsUnspecified()) {
		return h.Addr
	}
	// It listens everywhere. How it comes to this node may differ from how others reach it: what is known stays.
	if m, ok := s.cfg.Store.Member(h.Node); ok && m.Addr != "" && !m.Gone {
		return ""
	}
	if host, _, err = net.SplitHostPort(conn.RemoteAddr().String()); err != nil {
		return ""
	}
	return net.JoinHostPort(host, port)
}

// adminOf is where the follower's admin port can be asked. A follower tells of its own machine only: what it names otherwise, or what
// cannot be reached from here, is left out, so that nobody makes this node ask others.
func adminOf(h *hello, remote net.Addr) string {
	host, port, err := net.SplitHostPort(h.Admin)
	if err != nil {
		return ""
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return ""
	}
	from, _, err := net.SplitHostPort(remote.String())
	if err != nil {
		return ""
	}
	at, came := net.ParseIP(host), net.ParseIP(from)
	switch {
	case host == "" || at != nil && at.IsUnspecified():
		return net.JoinHostPort(from, port)
	case at == nil || came == nil, !at.Equal(came) && !(at.IsLoopback() && came.IsLoopback()):
		return ""
	}
	return h.Admin
}
