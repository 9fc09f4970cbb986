//go:build linux

package main

import (
	"fmt"
	"testing"
	"time"
)

const (
	nodeA = int8(0)
	nodeB = int8(1)
)

// sec is a time of the tests' histories.
func sec(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// pair is evidence of two nodes that live for a minute and are sampled five times a second. solo are times in which node A
// acknowledges alone and hands nothing to B.
func pair(solo ...span) *evidence {
	e := &evidence{}
	for i := range e.nodes {
		n := &e.nodes[i]
		n.lives = []span{{0, never}}
		var seconds float64
		handed := uint64(0)
		for step := range 300 {
			at := time.Duration(step) * 200 * time.Millisecond
			var s sample
			s.sent, s.received = at, at+time.Millisecond
			s.PID, s.Log, s.Ready = 1, "life", true
			s.Store.LastSeq = uint64(step)
			if i == 0 && touches(solo, at, at) {
				s.Acknowledgement.Solo = true
				seconds += 0.2
			} else {
				handed = uint64(step)
			}
			s.Acknowledgement.SoloSeconds = seconds
			s.Acknowledgement.Confirmed = handed
			s.Store.DurableSeq = s.Store.LastSeq
			n.samples = append(n.samples, s)
		}
	}
	return e
}

func (e *evidence) with(change func(*evidence)) *evidence {
	change(e)
	return e
}

// write is an acknowledged write that took 10 ms.
func write(k kind, node int8, at float64, value string) op {
	return op{kind: k, node: node, inv: sec(at), ret: sec(at + 0.01), value: value}
}

func count(node int8, at float64, delta uint64) op {
	return op{kind: incr, node: node, inv: sec(at), ret: sec(at + 0.01), delta: delta}
}

func (o op) lost() op {
	o.outcome, o.pending = unknown, 1<<o.node
	return o
}

func (o op) turnedDown() op {
	o.outcome = refused
	return o
}

func (o op) living(seconds float64) op {
	o.ttl = sec(seconds)
	return o
}

func read(node int8, at float64, value string) op {
	return op{kind: get, node: node, inv: sec(at), ret: sec(at + 0.01), value: value}
}

func sweep(at float64, value string) op {
	o := read(nodeB, at, value)
	o.sweep = true
	return o
}

func returning(node int8, at, horizon float64, value string) op {
	o := read(node, at, value)
	o.returning, o.horizon = true, sec(horizon)
	return o
}

// wiped is a pair of which node A was solo from 10 to 20 s, lost its disk at 21 s and was refilled at 25 s.
func wiped(handed bool) *evidence {
	solo := span{sec(10), sec(22)}
	if handed {
		solo.end = sec(20)
	}
	return pair(solo).with(func(e *evidence) {
		e.nodes[0].losses = []loss{{at: sec(21)}}
		e.nodes[0].hollow = []span{{sec(21), sec(25)}}
	})
}

// TestCheckers gives each checker histories that keep the promises and histories that were tampered with.
func TestCheckers(t *testing.T) {
	const kept, counts, buried, adds, expires, past = "acknowledged writes", "counters", "no resurrection", "adds", "expiry", "never the past"
	alone := span{sec(10), sec(20)}
	tests := []struct {
		name  string
		class class
		e     *evidence
		ops   []op
		wrong string // the checker that must complain; "" is none
	}{
		{"read after write", register, pair(), []op{write(set, nodeA, 1, "a"), read(nodeA, 2, "a"), read(nodeB, 2, "a"), sweep(50, "a")}, ""},
		{"lost write", register, pair(), []op{write(set, nodeA, 1, "a"), sweep(50, "")}, kept},
		{"old value at the end", register, pair(), []op{write(set, nodeA, 1, "a"), write(set, nodeB, 2, "b"), sweep(50, "a")}, kept},
		{"concurrent writes", register, pair(), []op{write(set, nodeA, 1, "a"), write(set, nodeB, 1.005, "b"), sweep(50, "a")}, ""},
		{"value of nobody", register, pair(), []op{write(set, nodeA, 1, "a"), sweep(50, "x")}, kept},
		{"value of a later write", register, pair(), []op{read(nodeA, 1, "a"), write(set, nodeA, 2, "a")}, kept},
		{"stale read at the other node", register, pair(), []op{write(set, nodeA, 1, "a"), write(set, nodeA, 2, "b"), read(nodeB, 3, "a")}, kept},
		{"the same while A is solo", register, pair(alone), []op{write(set, nodeA, 1, "a"), write(set, nodeA, 12, "b"), read(nodeB, 13, "a"), sweep(50, "b")}, ""},
		{"the same after A has handed it over", register, pair(alone), []op{write(set, nodeA, 1, "a"), write(set, nodeA, 12, "b"), read(nodeB, 22, "a")}, kept},
		{"A itself must know what it wrote solo", register, pair(alone), []op{write(set, nodeA, 1, "a"), write(set, nodeA, 12, "b"), read(nodeA, 13, "a")}, kept},
		{"write without reply shows", register, pair(), []op{write(set, nodeA, 1, "a"), write(set, nodeA, 2, "b").lost(), sweep(50, "b")}, ""},
		{"write without reply does not show", register, pair(), []op{write(set, nodeA, 1, "a"), write(set, nodeA, 2, "b").lost(), sweep(50, "a")}, ""},
		{"write without reply comes later", register, pair(), []op{write(set, nodeA, 1, "a").lost(), write(set, nodeB, 2, "b"), sweep(50, "a")}, ""},
		{"not after the death of its node", register, pair().with(func(e *evidence) {
			e.nodes[0].lives = []span{{0, sec(1.5)}, {sec(3), never}}
		}), []op{write(set, nodeA, 1, "a").lost(), write(set, nodeB, 2, "b"), sweep(50, "a")}, kept},
		{"not after all connections were done with", register, pair().with(func(e *evidence) { e.settled = []time.Duration{sec(1.5)} }),
			[]op{write(set, nodeA, 1, "a").lost(), write(set, nodeB, 2, "b"), sweep(50, "a")}, kept},
		{"deleted", register, pair(), []op{write(set, nodeA, 1, "a"), write(remove, nodeB, 2, ""), sweep(50, "")}, ""},
		{"set after the delete is missing", register, pair(), []op{write(remove, nodeB, 1, ""), write(set, nodeA, 2, "a"), sweep(50, "")}, kept},
		{"refused delete explains nothing", register, pair(), []op{write(set, nodeA, 1, "a"), write(remove, nodeB, 2, "").turnedDown(), sweep(50, "")}, kept},
		{"lost with the disk while solo", register, wiped(false), []op{write(set, nodeA, 1, "a"), write(set, nodeA, 12, "b"), sweep(50, "a")}, ""},
		{"lost with the disk though handed over", register, wiped(true), []op{write(set, nodeA, 1, "a"), write(set, nodeA, 12, "b"), sweep(50, "a")}, kept},
		{"lost with the disk though both had it", register, wiped(false), []op{write(set, nodeA, 1, "a"), write(set, nodeA, 5, "b"), sweep(50, "a")}, kept},
		{"written after the loss", register, wiped(false), []op{write(set, nodeA, 1, "a"), write(set, nodeA, 30, "b"), sweep(50, "a")}, kept},
		{"what an empty node serves", register, wiped(false), []op{write(set, nodeA, 1, "a"), read(nodeA, 23, "")}, ""},
		{"what a refilled node serves", register, wiped(false), []op{write(set, nodeA, 1, "a"), read(nodeA, 26, "")}, kept},
		{"power cut, not synced", register, pair(span{sec(10), sec(22)}).with(func(e *evidence) {
			e.nodes[0].losses = []loss{{sec(12.05), true}}
		}), []op{write(set, nodeA, 1, "a"), write(set, nodeA, 12, "b"), sweep(50, "a")}, ""},
		{"power cut, synced", register, pair(span{sec(10), sec(22)}).with(func(e *evidence) {
			e.nodes[0].losses = []loss{{sec(20), true}}
		}), []op{write(set, nodeA, 1, "a"), write(set, nodeA, 12, "b"), sweep(50, "a")}, kept},

		{"clock ahead after a power cut", register, pair(alone).with(func(e *evidence) {
			e.nodes[0].losses = []loss{{sec(9), true}}
		}), []op{write(set, nodeA, 12, "a"), write(set, nodeB, 13, "b"), sweep(50, "a")}, ""},
		{"clock further ahead after two power cuts", register, pair(alone).with(func(e *evidence) {
			e.nodes[0].losses = []loss{{sec(2), true}}
			e.nodes[1].losses = []loss{{sec(3), true}}
		}), []op{write(set, nodeA, 14, "a"), write(set, nodeB, 15, "b"), sweep(50, "a")}, ""},
		{"clock ahead, and the other forgot", register, pair().with(func(e *evidence) {
			e.nodes[0].losses = []loss{{sec(9), true}}
			e.nodes[1].losses = []loss{{at: sec(12.5)}}
			e.nodes[1].hollow = []span{{sec(12.5), sec(20)}}
		}), []op{write(set, nodeA, 12, "a"), write(set, nodeB, 13, "b"), sweep(50, "a")}, ""},
		{"clock ahead, but on one node", register, pair(alone).with(func(e *evidence) {
			e.nodes[0].losses = []loss{{sec(9), true}}
		}), []op{write(set, nodeA, 12, "a"), write(set, nodeA, 13, "b"), sweep(50, "a")}, kept},
		{"clock ahead, but the other knew", register, pair().with(func(e *evidence) {
			e.nodes[0].losses = []loss{{sec(9), true}}
		}), []op{write(set, nodeA, 12, "a"), write(set, nodeB, 13, "b"), sweep(50, "a")}, kept},
		{"clock no longer ahead", register, pair(alone).with(func(e *evidence) {
			e.nodes[0].losses = []loss{{sec(2), true}}
		}), []op{write(set, nodeA, 11, "a"), write(set, nodeB, 13, "b"), sweep(50, "a")}, kept},
		{"clock ahead because the log lost something", register, pair(alone).with(func(e *evidence) {
			e.nodes[0].lives = []span{{0, sec(9)}, {sec(9.1), never}}
			for i := range e.nodes[0].samples {
				if s := &e.nodes[0].samples[i]; s.sent > sec(9) {
					s.Log, s.PID = "another life", 2
				}
			}
		}), []op{write(set, nodeA, 12, "a"), write(set, nodeB, 13, "b"), sweep(50, "a")}, ""},

		{"ready and caught up", register, pair(alone), []op{write(set, nodeA, 12, "b"), returning(nodeB, 15, 14, "b")}, ""},
		{"ready with the past", register, pair(alone), []op{write(set, nodeA, 12, "b"), returning(nodeB, 15, 14, "")}, past},
		{"written after it was ready", register, pair(alone), []op{write(set, nodeA, 14.5, "b"), returning(nodeB, 15, 14, "")}, ""},

		{"stays deleted", deleted, pair(), []op{write(set, nodeA, 1, "a"), write(remove, nodeB, 2, ""), read(nodeA, 3, ""), sweep(50, "")}, ""},
		{"comes back", deleted, pair(), []op{write(set, nodeA, 1, "a"), write(remove, nodeB, 2, ""), read(nodeA, 3, ""), sweep(50, "a")}, buried},
		{"comes back for a moment", deleted, pair(), []op{write(set, nodeA, 1, "a"), write(remove, nodeB, 2, ""), read(nodeA, 3, "a"), sweep(50, "")}, buried},
		{"delete was lost with the disk", deleted, wiped(false), []op{write(set, nodeA, 1, "a"), write(remove, nodeA, 12, ""), sweep(50, "a")}, ""},

		{"one add wins", added, pair(), []op{write(add, nodeA, 1, "a"), write(add, nodeB, 1.02, "b").turnedDown(), sweep(50, "a")}, ""},
		{"refused add wins", added, pair(), []op{write(add, nodeA, 1, "a"), write(add, nodeB, 1.02, "b").turnedDown(), sweep(50, "b")}, adds},
		{"added key is missing", added, pair(), []op{write(add, nodeA, 1, "a"), sweep(50, "")}, adds},
		{"two adds at one node", added, pair(), []op{write(add, nodeA, 1, "a"), write(add, nodeA, 2, "b"), sweep(50, "a")}, adds},
		{"two adds at both nodes", added, pair(), []op{write(add, nodeA, 1, "a"), write(add, nodeB, 2, "b"), sweep(50, "a")}, adds},
		{"two adds while solo", added, pair(alone), []op{write(add, nodeA, 12, "a"), write(add, nodeB, 13, "b"), sweep(50, "a")}, ""},

		{"there until it expires", expiring, pair(), []op{write(set, nodeA, 1, "a").living(3), read(nodeB, 3, "a"), read(nodeA, 5, "")}, ""},
		{"gone too early", expiring, pair(), []op{write(set, nodeA, 1, "a").living(3), read(nodeB, 3, "")}, expires},
		{"there for too long", expiring, pair(), []op{write(set, nodeA, 1, "a").living(3), read(nodeB, 5, "a")}, expires},

		{"all count", counter, pair(), []op{count(nodeA, 1, 2), count(nodeB, 1, 3), sweep(50, "5")}, ""},
		{"an increment is missing", counter, pair(), []op{count(nodeA, 1, 2), count(nodeB, 1, 3), sweep(50, "3")}, counts},
		{"an increment counts twice", counter, pair(), []op{count(nodeA, 1, 2), count(nodeB, 1, 3), sweep(50, "8")}, counts},
		{"unknown increment counts", counter, pair(), []op{count(nodeA, 1, 2), count(nodeB, 1, 3).lost(), sweep(50, "5")}, ""},
		{"unknown increment does not", counter, pair(), []op{count(nodeA, 1, 2), count(nodeB, 1, 3).lost(), sweep(50, "2")}, ""},
		{"refused increment counts", counter, pair(), []op{count(nodeA, 1, 2), count(nodeB, 1, 3).turnedDown(), sweep(50, "5")}, counts},
		{"counter is gone", counter, pair(), []op{count(nodeA, 1, 2), sweep(50, "")}, counts},
		{"stale counter", counter, pair(), []op{count(nodeA, 1, 2), read(nodeB, 2, "0")}, counts},
		{"stale counter while solo", counter, pair(alone), []op{count(nodeA, 12, 2), read(nodeB, 13, "0"), sweep(50, "2")}, ""},
		{"increment lost with the disk", counter, wiped(false), []op{count(nodeA, 1, 2), count(nodeA, 12, 3), sweep(50, "2")}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := checkHistory([]*key{{name: "k", class: tt.class, ops: tt.ops}}, tt.e)
			for _, v := range got {
				if want := v.name == tt.wrong; (v.wrong > 0) != want {
					t.Errorf("%s: %d violations %v, want some: %v", v.name, v.wrong, v.violations, want)
				}
			}
		})
	}
}

func TestExemptionsAreCounted(t *testing.T) {
	got := checkHistory([]*key{{name: "k", class: register, ops: []op{write(set, nodeA, 5, "a"), write(set, nodeA, 12, "b"), write(set, nodeA, 13, "c")}}}, wiped(false))
	if got[0].exempt != 2 {
		t.Errorf("exempt writes: got %d, want the 2 of the solo time", got[0].exempt)
	}
}

func TestCheckAvailable(t *testing.T) {
	every := func(step float64, gaps ...span) (list []time.Duration) {
		for at := 0.0; at < 60; at += step {
			if !touches(gaps, sec(at), sec(at)) {
				list = append(list, sec(at))
			}
		}
		return list
	}
	gap := span{sec(20), sec(30)}
	dead := func(e *evidence) { // node A, and the samples of its silence
		e.nodes[0].samples = e.nodes[0].samples[:90]
	}
	tests := []struct {
		name      string
		successes []time.Duration
		e         *evidence
		blocked   [2][]span
		wrong     bool
	}{
		{"always", every(0.1), pair(), [2][]span{}, false},
		{"nothing for ten seconds", every(0.1, gap), pair(), [2][]span{}, true},
		{"one node alive", every(0.1, gap), pair().with(dead), [2][]span{}, true},
		{"both in trouble", every(0.1, gap), pair(), [2][]span{{gap}, {gap}}, false},
		{"one in trouble, one dead", every(0.1, gap), pair().with(dead), [2][]span{nil, {gap}}, false},
		{"one frozen, one dead", every(0.1, gap), pair().with(dead).with(func(e *evidence) { e.nodes[1].frozen = []span{gap} }), [2][]span{}, false},
		{"nothing at all", nil, pair(), [2][]span{}, true},
	}
	for _, tt := range tests {
		if v := checkAvailable(tt.successes, tt.e, tt.blocked); (v.wrong > 0) != tt.wrong {
			t.Errorf("%s: %d violations, %s, want some: %v", tt.name, v.wrong, v.note, tt.wrong)
		}
	}
}

// A solo moment between two samples shows in their sum of solo time.
func TestJointNeedsProof(t *testing.T) {
	e := pair().with(func(e *evidence) {
		for i := range e.nodes[0].samples {
			if i >= 50 { // at 10 s
				e.nodes[0].samples[i].Acknowledgement.SoloSeconds += 0.001
			}
			if i >= 100 { // at 20 s
				e.nodes[0].samples[i].PID = 2
			}
		}
	})
	e.index()
	for at, want := range map[float64]bool{5: true, 9.85: false, 9.78: true, 10.1: true, 19.9: false, 30: true} {
		o := write(set, nodeA, at, "a")
		if got := e.joint(&o); got != want {
			t.Errorf("write at %v s: joint %v, want %v", at, got, want)
		}
	}
}

func TestValuesAreTheirOwnProof(t *testing.T) {
	long := 0
	for i := range 5000 {
		id := fmt.Sprintf("w1-%d", i)
		value := encode(id)
		long = max(long, len(value))
		if got := decode(value, flagsOf(id)); got != id {
			t.Fatalf("decode of %.40q: got %q, want %q", value, got, id)
		}
		for name, wrong := range map[string]string{"cut": value[:len(value)-1], "longer": value + "x", "other": "w2" + value[2:]} {
			if got := decode(wrong, flagsOf(id)); got == id {
				t.Errorf("%s value %.40q was taken for %s", name, wrong, id)
			}
		}
		if got := decode(value, flagsOf(id)+1); got == id {
			t.Errorf("value %.40q with wrong flags was taken for %s", value, id)
		}
	}
	if long < 10000 {
		t.Errorf("the longest value has %d bytes, want long ones too", long)
	}
	if got := decode("17", 0); got != "17" {
		t.Errorf("number: got %q", got)
	}
}
