package main

import (
	"time"

	"github.com/futago/futago/internal/gateway"
	"github.com/futago/futago/internal/node"
)

// demoState is the document that the page shows, served as JSON.
type demoState struct {
	Time    time.Time       `json:"time"`
	Version string          `json:"version"`
	Nodes   []demoNodeView  `json:"nodes"`
	Gateway demoGatewayView `json:"gateway"`
	Events  []demoEvent     `json:"events"` // newest first
	Steps   []demoStep      `json:"steps"`  // commands to try
}

// The states of a node that only somebody outside can see.
const (
	stateDead      = "dead"      // no process
	stateSilent    = "silent"    // the process does not answer
	stateUnhealthy = "unhealthy" // ready, but the node asks load balancers to go elsewhere
)

// demoNodeView is a node as seen from outside.
type demoNodeView struct {
	Node   int    `json:"node"`
	PID    int    `json:"pid"` // 0: no process
	Addr   string `json:"addr"`
	Admin  string `json:"admin"`
	State  string `json:"state"` // of the node itself, or one of those above
	Reason string `json:"reason"`
	// Ops is requests a second over the last seconds, History the same of the last minute, oldest first.
	Ops     float64   `json:"ops_per_second"`
	History []float64 `json:"history"`
	// Status is the node's own document, null while nothing true is known.
	Status *node.Status `json:"status"`
}

// demoGatewayView is the gateway as it sees itself.
type demoGatewayView struct {
	Addr     string         `json:"addr"`
	Admin    string         `json:"admin"`
	Requests float64        `json:"requests_per_second"`
	History  []float64      `json:"history"`
	Status   gateway.Status `json:"status"`
}

// view is the node as of now.
func (n *demoNode) view() demoNodeView {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.viewLocked()
}

func (n *demoNode) viewLocked() demoNodeView {
	v := demoNodeView{Node: n.id, Addr: n.addr, Admin: n.admin, History: n.meter.history()}
	p := n.process
	switch {
	case p == nil:
		v.State, v.Reason = string(node.Starting), "not started yet"
		return v
	case !p.running():
		v.State, v.Reason = stateDead, p.ending()
		return v
	}
	v.PID = p.pid
	v.Status = n.status
	v.State, v.Reason = outsideState(n.status, n.silence)
	if v.State != stateSilent {
		v.Ops = n.meter.rate()
	}
	return v
}

// outsideState judges a running process by its last document, nil before the first, and by why the last question got
// no answer, nil when it got one.
func outsideState(s *node.Status, silence error) (state, reason string) {
	switch {
	case s == nil:
		return string(node.Starting), "process started"
	case silence != nil:
		return stateSilent, "does not answer: " + silence.Error()
	case s.State != node.Ready:
		return string(s.State), s.Reason
	case len(s.Listen) == 0:
		return string(node.Starting), "the client port is being opened"
	case !s.Ready && s.Store != nil && s.Store.Refusal != "":
		return stateUnhealthy, s.Store.Refusal
	case !s.Ready:
		return stateUnhealthy, "asks for no requests; see its /readyz"
	}
	return string(s.State), s.Reason
}

// solo says whether the node acknowledges writes without its peer, against its orders.
func (v demoNodeView) solo() bool { return v.Status != nil && v.Status.Acknowledgement.Solo }

// state composes the document.
func (d *demo) state() demoState {
	s := demoState{Time: time.Now(), Version: thisBuild().Version, Events: d.journal.newest(60), Steps: d.guide().steps()}
	for _, n := range d.nodes {
		s.Nodes = append(s.Nodes, n.view())
	}
	s.Gateway = demoGatewayView{Addr: d.gateway.Addr(), Admin: d.gateway.AdminAddr(), Status: d.gateway.Status()}
	d.mu.Lock()
	defer d.mu.Unlock()
	s.Gateway.Requests, s.Gateway.History = d.gatewayMeter.rate(), d.gatewayMeter.history()
	return s
}
