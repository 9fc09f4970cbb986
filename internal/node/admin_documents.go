package node

import (
	"cmp"
	"net/http"
	"slices"

	"github.com/futago/futago/internal/reload"
)

// maxClients is how many machines GET /clients names.
const maxClients = 100

// serveClients lists who is connected to the client port.
func (n *Node) serveClients(w http.ResponseWriter, r *http.Request) error {
	list, all := n.server.Clients(maxClients)
	return writeJSON(w, map[string]any{"node": n.cfg.Node, "count": all, "clients": list})
}

// servePeers tells what the other nodes say of themselves.
func (n *Node) servePeers(w http.ResponseWriter, r *http.Request) error {
	return writeJSON(w, map[string]any{"node": n.cfg.Node, "peers": n.askPeers(r, "/status")})
}

// Segment is a sealed file of the log.
type Segment struct {
	ID     uint64 `json:"id"`
	Size   int64  `json:"size"`   // bytes
	Live   int64  `json:"live"`   // of them, what the index points to
	Copied bool   `json:"copied"` // made by compaction
}

// serveSegments lists the sealed segments, the oldest first.
func (n *Node) serveSegments(w http.ResponseWriter, r *http.Request) error {
	list := []Segment{}
	for _, s := range n.store.Log().Sealed() {
		list = append(list, Segment{s.ID, s.Size, s.Live, !s.Log})
	}
	slices.SortFunc(list, func(a, b Segment) int { return cmp.Compare(a.ID, b.ID) })
	return writeJSON(w, map[string]any{"node": n.cfg.Node, "segment_size": n.cfg.SegmentSize, "sealed": list})
}

// serveSettings lists the settings in force.
func (n *Node) serveSettings(w http.ResponseWriter, r *http.Request) error {
	return writeJSON(w, map[string]any{"node": n.cfg.Node, "settings": append([]reload.Setting{}, n.present().Settings...)})
}
