package node

import (
	"strings"
	"testing"
	"time"

	"github.com/futago/futago/internal/replication"
	"github.com/futago/futago/internal/store"
)

func TestWarnings(t *testing.T) {
	link := func(change func(*replication.PullStatus)) func(*Status) {
		return func(s *Status) {
			s.Peer = &replication.PullStatus{Addr: "10.0.0.2:11212", Node: 2, State: "stream", PeerReady: true, Equal: new(true)}
			change(s.Peer)
		}
	}
	for _, c := range []struct {
		name   string
		change func(*Status)
		want   string // level and part of the one warning; empty: none
	}{
		{"nothing", func(*Status) {}, ""},
		{"a link in step", link(func(*replication.PullStatus) {}), ""},
		{"solo", func(s *Status) { s.Acknowledgement.Solo, s.Acknowledgement.SoloReason = true, "link is closed" }, "warn SOLO: writes are acknowledged without a peer: link is closed"},
		{"refusal", func(s *Status) { s.Store.Refusal = store.ErrNoSpace.Error() }, "error writes are refused: disk"},
		{"drained", func(s *Status) { s.State = Drained }, "warn an operator has drained"},
		{"lost", func(s *Status) { s.Store.Lost = 3 }, "error 3 records are lost"},
		{"damaged", func(s *Status) { s.Store.Damaged = 1 }, "warn the disk spoilt"},
		{"impossible", func(s *Status) { s.Store.Impossible = 1 }, "error 1 pairs"},
		{"compaction", func(s *Status) { s.Store.CompactFailed = 2 }, "warn compaction"},
		{"disk is short", func(s *Status) { s.Disk = &DiskStatus{Free: 300 << 20, MinFree: 256 << 20} }, "warn the disk has 300 MiB left"},
		{"disk is not", func(s *Status) { s.Disk = &DiskStatus{Free: 3 << 30, MinFree: 256 << 20} }, ""},
		{"clock jump", func(s *Status) { s.Clock.JumpSeconds = -70 }, "warn the wall clock jumped by -70.0 s"},
		{"refused stamps", func(s *Status) { s.Clock.RefusedSeconds = 90 }, "error a peer's stamps are 90 s ahead"},
		{"horizon", func(s *Status) { s.HorizonWaits, s.Uptime = []int{4}, 3600 }, "warn deletes cannot be forgotten: node 4"},
		{"horizon, just started", func(s *Status) { s.HorizonWaits, s.Uptime = []int{4}, 60 }, ""},
		{"drift", link(func(p *replication.PullStatus) { p.DriftMs = -20000 }), "warn the clock of node 2 is -20s ahead"},
		{"lag", link(func(p *replication.PullStatus) { p.LagSeconds = 12 }), "warn this node is 12s behind node 2"},
		{"unequal", link(func(p *replication.PullStatus) { p.Equal, p.Unequal = new(false), 5 }), "warn this node and node 2 differ in 5 ranges"},
		{"refused", link(func(p *replication.PullStatus) { p.State, p.Reason = "refused", "both nodes have the id 1" }), "error node 2 is not followed: both"},
		{"clock", link(func(p *replication.PullStatus) { p.State, p.Reason = "clock", "ahead" }), "error node 2 is not followed: ahead"},
		{"away", link(func(p *replication.PullStatus) { p.State, p.Node, p.Reason = "connecting", 0, "no route" }), "warn 10.0.0.2:11212 is not followed: no route"},
		{"copying", link(func(p *replication.PullStatus) { p.State, p.LagSeconds, p.Equal = "snapshot", 60, nil }), ""},
	} {
		s := Status{State: Ready, Store: &store.Stats{}, Clock: &store.ClockStatus{}}
		c.change(&s)
		got := s.warn(time.Minute)
		switch {
		case c.want == "" && len(got) == 0:
		case c.want == "" || len(got) != 1 || !strings.HasPrefix(got[0].Level+" "+got[0].Text, c.want) || got[0].Advice == "":
			t.Errorf("%s: got %+v, want %q", c.name, got, c.want)
		}
	}
	s := Status{State: Ready, Store: &store.Stats{Damaged: 1, Lost: 1}}
	if got := s.warn(time.Minute); len(got) != 2 || got[0].Level != "error" {
		t.Errorf("order: got %+v, want the error first", got)
	}
}
