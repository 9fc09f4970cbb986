package proxy

import (
	"fmt"
	"math/bits"
	"time"

	"github.com/futago/futago/internal/front"
)

// Status is the document of /status.
type Status struct {
	Version       string           `json:"version"`
	State         string           `json:"state"` // ready, down or draining
	Reason        string           `json:"reason"`
	UptimeSeconds float64          `json:"uptime_seconds"`
	Listen        string           `json:"listen"`
	AdminListen   string           `json:"admin_listen"`
	Choice        string           `json:"choice"`
	Connections   uint64           `json:"connections"` // of clients, at present
	Upstreams     []UpstreamStatus `json:"upstreams"`

	Held     *HeldStatus `json:"held"` // null while requests pass
	Holds    uint64      `json:"holds"`
	Switched bool        `json:"switched"` // upstreams are those of the last switch, not of the configuration

	LastReload *front.LastReload `json:"last_reload"` // null before the first
}

// HeldStatus is the part of Status about a hold in force.
type HeldStatus struct {
	By       string    `json:"by"` // who asked for it: address, and user if there are any
	Until    time.Time `json:"until"`
	InFlight int64     `json:"in_flight"` // clients whose requests are at upstreams still
	Waiting  int64     `json:"waiting"`   // clients whose requests wait at the proxy
}

// UpstreamStatus is the part of Status about one upstream.
type UpstreamStatus struct {
	Addr           string       `json:"addr"`
	State          string       `json:"state"`  // up or down
	Reason         string       `json:"reason"` // why it is in that state
	Since          time.Time    `json:"since"`
	Weight         int          `json:"weight"`
	Connections    int          `json:"connections"` // to it, at present
	Requests       uint64       `json:"requests"`    // tries, repetitions included
	Failures       uint64       `json:"failures"`
	Failovers      uint64       `json:"failovers"` // tries here after another upstream had failed
	UnknownEffects uint64       `json:"unknown_effects"`
	LastCheck      *CheckStatus `json:"last_check"` // null before the first
}

// CheckStatus is the result of a check.
type CheckStatus struct {
	At          time.Time `json:"at"`
	TookSeconds float64   `json:"took_seconds"`
	Ready       bool      `json:"ready"`
	Answer      string    `json:"answer"` // first line of the reply, or the error
}

// Status returns a copy of the proxy's state.
func (p *Proxy) Status() Status {
	s := Status{
		Version: p.cfg.Version, UptimeSeconds: time.Since(p.started).Seconds(), Listen: p.Addr(), AdminListen: p.AdminAddr(),
		Choice: p.conf().Choice, Connections: p.open.Load(), LastReload: p.reloads.Last(),
	}
	s.State, s.Reason = p.state()
	s.Held, s.Holds, s.Switched = p.held(), p.holds.total.Load(), p.switched.Load()
	for _, u := range p.group.Load().upstreams {
		s.Upstreams = append(s.Upstreams, u.status())
	}
	return s
}

func (u *upstream) status() UpstreamStatus {
	s := UpstreamStatus{
		Addr: u.Addr, State: "down", Weight: u.Weight, Requests: u.requests.Load(), Failures: u.failures.Load(),
		Failovers: u.failovers.Load(), UnknownEffects: u.unknown.Load(),
	}
	u.each(func(*link) { s.Connections++ })
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.up.Load() {
		s.State = "up"
	}
	s.Reason, s.Since = u.reason, u.since
	if r := u.check; r != nil {
		s.LastCheck = &CheckStatus{At: r.at, TookSeconds: r.took.Seconds(), Ready: r.err == nil, Answer: r.answer}
		if r.err != nil {
			s.LastCheck.Answer = r.err.Error()
		}
	}
	return s
}

// state condenses the upstreams' states into that of the proxy, and its reason.
func (p *Proxy) state() (state, reason string) {
	g := p.group.Load()
	up := bits.OnesCount64(g.up())
	switch {
	case p.draining.Load():
		return "draining", "shutting down"
	case up > 0 && p.holds.present.Load() != nil:
		return "ready", fmt.Sprintf("%d of %d upstreams up, and requests wait for a switch of upstreams", up, len(g.upstreams))
	case up > 0:
		return "ready", fmt.Sprintf("%d of %d upstreams up", up, len(g.upstreams))
	}
	return "down", fmt.Sprintf("none of %d upstreams up: %s", len(g.upstreams), g.whyDown())
}
