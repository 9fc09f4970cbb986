package node

import (
	"os"
	"time"

	"github.com/futago/futago/internal/backup"
	"github.com/futago/futago/internal/mirror"
	"github.com/futago/futago/internal/replication"
	"github.com/futago/futago/internal/server"
	"github.com/futago/futago/internal/store"
	"github.com/futago/futago/internal/ulog"
)

// Status is the one document that dashboard, command line and checks read. It is served as JSON at /status.
type Status struct {
	Version     string    `json:"version"`
	Node        int       `json:"node"`
	PID         int       `json:"pid"`
	State       State     `json:"state"`
	Reason      string    `json:"reason"`
	Since       time.Time `json:"since"` // of the state
	Ready       bool      `json:"ready"`
	Time        time.Time `json:"time"` // of this document, by the node's clock
	Uptime      float64   `json:"uptime_seconds"`
	Listen      []string  `json:"listen"`       // addresses of the client port; empty until it is open
	PeerListen  string    `json:"peer_listen"`  // empty for a single node
	AdminListen string    `json:"admin_listen"` //

	Fsync           string                       `json:"fsync"`
	FsyncInterval   float64                      `json:"fsync_interval_seconds"`
	Acknowledgement store.Acknowledgement        `json:"acknowledgement"`
	Store           *store.Stats                 `json:"store,omitempty"` // absent while the log is read
	Clock           *store.ClockStatus           `json:"clock,omitempty"`
	Log             string                       `json:"log_identity,omitempty"`
	PeerLogs        []string                     `json:"peer_log_identities,omitempty"` // of the peers that this node has followed
	Peer            *replication.PullStatus      `json:"peer,omitempty"`                // the link on which this node follows: in a pair the only one
	OtherPeers      []replication.PullStatus     `json:"other_peers,omitempty"`         // further ones, in a mesh of more than two
	Members         []Member                     `json:"members"`                       // of the mesh, as far as this node knows
	Horizon         *time.Time                   `json:"horizon"`                       // deletes before it may be forgotten; null: none may
	HorizonWaits    []int                        `json:"horizon_waits_for"`             // members without which it cannot rise, while it is due
	Followers       []replication.FollowerStatus `json:"followers"`                     // peers that follow this node
	TyrantMaster    *mirror.FollowerStatus       `json:"tyrant_master,omitempty"`       // the Tokyo Tyrant server that this node follows
	Server          *server.Stats                `json:"server,omitempty"`
	Memory          *MemoryStatus                `json:"memory,omitempty"` // absent where the kernel does not say
	Disk            *DiskStatus                  `json:"disk,omitempty"`   // absent with data none
	Backup          *backup.Last                 `json:"backup"`           // the last that was given whole since the start; null: none
	Warnings        []Warning                    `json:"warnings"`         // what is wrong, the worst first
	Events          []Event                      `json:"events"`           // newest last
}

// Member is a node of the mesh.
type Member struct {
	Node int    `json:"node"`
	Addr string `json:"addr,omitempty"` // of its peer port
	Gone bool   `json:"gone,omitempty"` // removed
}

// Status composes the document.
func (n *Node) Status() Status {
	state, reason, since := n.current()
	s := Status{
		Version: n.cfg.Version, Node: n.cfg.Node, PID: os.Getpid(), State: state, Reason: reason, Since: since,
		Time: time.Now(), Uptime: time.Since(n.started).Seconds(), Listen: []string{}, Followers: []replication.FollowerStatus{},
		Members: []Member{}, Warnings: []Warning{},
		Fsync: n.cfg.Fsync, FsyncInterval: n.cfg.FsyncInterval.Seconds(), Events: n.events.recent(),
	}
	if n.admin != nil {
		s.AdminListen = n.admin.addr()
	}
	if !n.opened.Load() {
		return s
	}
	ready, _ := n.readiness()
	s.Ready = ready && n.listening.Load()
	if state == Ready {
		s.Reason = n.withSolo(reason)
	}
	s.Listen = append(s.Listen, n.Addrs()...)
	s.Acknowledgement = n.store.Acknowledgement()
	stats := n.store.Stats()
	s.Store, s.Log = &stats, n.store.Log().Identity().String()
	for _, note := range n.store.PeerNotes() {
		if life := note.Followed.Position.Life; life != (ulog.Identity{}) {
			s.PeerLogs = append(s.PeerLogs, life.String())
		}
	}
	clock := n.store.ClockStatus()
	s.Clock = &clock
	if n.peerLn != nil {
		s.PeerListen = n.peerLn.Addr().String()
		s.Followers = n.source.Followers()
	}
	if all := n.pullers(); len(all) > 0 {
		first := all[0].Status()
		s.Peer = &first
		for _, l := range all[1:] {
			s.OtherPeers = append(s.OtherPeers, l.Status())
		}
	}
	for _, m := range n.store.Members() {
		s.Members = append(s.Members, Member{m.Node, m.Addr, m.Gone})
	}
	s.HorizonWaits = append([]int{}, n.store.WaitsFor()...)
	if h := n.store.Horizon(); h != 0 {
		at := h.Time()
		s.Horizon = &at
	}
	if last := n.backup.Last(); !last.Time.IsZero() {
		s.Backup = &last
	}
	clients := n.server.Stats()
	s.Server = &clients
	s.TyrantMaster = n.mirrorStatus()
	s.Memory, s.Disk = readMemory(), n.disk()
	s.Warnings = s.warn(n.cfg.MaxClockDrift)
	return s
}

// links are those on which the node follows others.
func (s *Status) links() []replication.PullStatus {
	if s.Peer == nil {
		return nil
	}
	return append([]replication.PullStatus{*s.Peer}, s.OtherPeers...)
}
