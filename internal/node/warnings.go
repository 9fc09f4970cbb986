package node

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/futago/futago/internal/store"
)

// Warning is something that is wrong with a node, or keeps it from all that it promises, and what to do about it.
type Warning struct {
	Level  string `json:"level"` // error: somebody must act; warn: degraded, and the node goes on
	Text   string `json:"text"`
	Advice string `json:"advice"`
}

// lateFor is a lag that a link which works does not have for long.
const lateFor = 10 * time.Second

// warn judges the document of an opened node, the worst first. It is the one place for that: the command line and the dashboard show
// what stands here.
func (s *Status) warn(maxDrift time.Duration) []Warning {
	list := []Warning{}
	add := func(level, advice, format string, args ...any) {
		list = append(list, Warning{level, fmt.Sprintf(format, args...), advice})
	}
	if r := s.Store.Refusal; r != "" {
		add("error", refusalAdvice(r), "writes are refused: %s", r)
	}
	if s.Acknowledgement.Solo {
		add("warn", "Bring the peer or the link back: what is written meanwhile is united then. Until then it is on this machine alone.",
			"SOLO: writes are acknowledged without a peer: %s", s.Acknowledgement.SoloReason)
	}
	if s.State == Drained {
		add("warn", "Undrain it when the work is done; a restart does so too.", "an operator has drained this node: clients are sent away")
	}
	s.warnOfStore(add)
	s.warnOfLinks(add, maxDrift)
	slices.SortStableFunc(list, func(a, b Warning) int { return strings.Compare(a.Level, b.Level) })
	return list
}

// settled is how long a node runs before it is a matter for operators that the horizon stands still.
const settled = 10 * time.Minute

func (s *Status) warnOfStore(add func(level, advice, format string, args ...any)) {
	if n := s.Store.Lost; n > 0 {
		add("error", "Restore them from a copy, and replace the disk.", "%d records are lost: the disk spoilt them and no peer had them", n)
	}
	if n := s.Store.Damaged; n > 0 {
		add("warn", "Look in the events for segment and offset, and check the disk; futago log verify reads all of the log.",
			"the disk spoilt records in %d parts of the keys since the start; the peers are asked for them", n)
	}
	if n := s.Store.Impossible; n > 0 {
		add("error", "Stop the node whose data folder was copied from another one, empty the folder, and start it again.",
			"%d pairs of records share a stamp but differ: a data folder was copied", n)
	}
	if n := s.Store.CompactFailed; n > 0 {
		add("warn", "Look in the events for why: mostly the disk is full or damaged.", "compaction was stopped %d times by an error", n)
	}
	if d := s.Disk; d != nil && d.Free < 2*d.MinFree && s.Store.Refusal == "" {
		add("warn", "Free space, or move the log to a larger disk: below min-free writes are refused.",
			"the disk has %d MiB left; min-free is %d MiB", d.Free>>20, d.MinFree>>20)
	}
	if c := s.Clock; c != nil && c.JumpSeconds != 0 {
		add("warn", "Look at this machine's clock and its time service.", "the wall clock jumped by %.1f s: the old time goes on until a peer agrees", c.JumpSeconds)
	}
	if c := s.Clock; c != nil && c.RefusedSeconds > 0 {
		add("error", "Set the clocks right. If the records are wanted: futago clock admit, on each node that refuses.",
			"a peer's stamps are %.0f s ahead of the clock, and refused", c.RefusedSeconds)
	}
	for _, node := range s.HorizonWaits {
		if s.Uptime < settled.Seconds() {
			break // it has just met the others
		}
		add("warn", fmt.Sprintf("Bring it back, or remove it: futago peer forget %d.", node),
			"deletes cannot be forgotten: node %d is away, takes a copy, or does not keep up", node)
	}
}

func (s *Status) warnOfLinks(add func(level, advice, format string, args ...any), maxDrift time.Duration) {
	for _, p := range s.links() {
		name := p.Addr
		if p.Node != 0 {
			name = fmt.Sprintf("node %d", p.Node)
		}
		drift := time.Duration(p.DriftMs) * time.Millisecond
		switch lag := time.Duration(p.LagSeconds * float64(time.Second)); {
		case p.State == "refused":
			add("error", "Do what the reason says; it goes on by itself.", "%s is not followed: %s", name, p.Reason)
		case p.State == "clock":
			add("error", "Set the clocks right. If the records are wanted: futago clock admit.", "%s is not followed: %s", name, p.Reason)
		case p.State == "connecting" && !s.Acknowledgement.Solo:
			add("warn", "Look whether it runs, and at the network between.", "%s is not followed: %s", name, p.Reason)
		case p.State == "stream" && lag > lateFor:
			add("warn", "Look at the load of both machines and at the network between.", "this node is %v behind %s", lag.Round(time.Second), name)
		}
		if p.State == "stream" && drift.Abs() > maxDrift/4 {
			add("warn", fmt.Sprintf("Set the clocks right: from %v on stamps are refused.", maxDrift), "the clock of %s is %v ahead of this one", name, drift)
		}
		if p.Equal != nil && !*p.Equal {
			add("warn", "The records are exchanged by themselves. If it stays so: futago verify.",
				"this node and %s differ in %d ranges of keys", name, p.Unequal)
		}
	}
}

// refusalAdvice says what to do about writes that are refused.
func refusalAdvice(refusal string) string {
	switch refusal {
	case store.ErrNoSpace.Error():
		return "Free space on the disk of the log; writes are accepted again by themselves."
	case store.ErrNoMemory.Error():
		return "Raise max-memory, delete keys, or run with evict as a cache."
	case store.ErrClock.Error(), store.ErrClockAhead.Error():
		return "Set the clock of this machine right, and run a time service."
	case store.ErrReadOnly.Error():
		return "Look in the events for the error, mend or replace the disk, and restart the node."
	case store.ErrNoPeer.Error():
		return "Bring the peer or the link back; with ack=strict no write is taken without it."
	}
	return "Look in the events for what happened."
}
