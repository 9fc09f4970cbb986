package gateway

import (
	"fmt"
	"strings"
	"time"

	"github.com/futago/futago/internal/front"
)

// Status is the document of /status.
type Status struct {
	Version       string           `json:"version"`
	State         string           `json:"state"` // starting, ready, down or draining
	Reason        string           `json:"reason"`
	UptimeSeconds float64          `json:"uptime_seconds"`
	Listen        string           `json:"listen"`
	AdminListen   string           `json:"admin_listen"`
	Connections   int64            `json:"connections"` // of clients, at present
	Upstreams     []UpstreamStatus `json:"upstreams"`

	LastReload *front.LastReload `json:"last_reload"` // null before the first
}

// UpstreamStatus is the part of Status about one upstream.
type UpstreamStatus struct {
	Addr        string       `json:"addr"`
	State       string       `json:"state"`  // up, penalty, not_ready or dead
	Reason      string       `json:"reason"` // why it is in that state
	Weight      int          `json:"weight"`
	Effective   int          `json:"effective"` // the weight that it is picked with at present
	Fails       int          `json:"fails"`     // towards max_fails
	MaxFails    int          `json:"max_fails"`
	Requests    uint64       `json:"requests"`
	Failures    uint64       `json:"failures"`
	Retries     uint64       `json:"retries"`
	LastFailure *time.Time   `json:"last_failure"` // of a request; null for none
	LastCheck   *CheckStatus `json:"last_check"`   // null before the first
}

// CheckStatus is the result of an active check.
type CheckStatus struct {
	At          time.Time `json:"at"`
	TookSeconds float64   `json:"took_seconds"`
	Ready       bool      `json:"ready"`
	Answer      string    `json:"answer"` // first line of the reply, or the error
}

// Status returns a copy of the gateway's state.
func (g *Gateway) Status() Status {
	gr := g.group.Load()
	s := Status{
		Version: g.cfg.Version, UptimeSeconds: time.Since(g.started).Seconds(), Listen: g.Addr(), AdminListen: g.AdminAddr(),
		Connections: g.conns.open.Load(), Upstreams: make([]UpstreamStatus, len(gr.upstreams)), LastReload: g.reloads.Last(),
	}
	views := gr.balancer.view()
	s.State, s.Reason = g.stateOf(gr, views)
	for i, u := range gr.upstreams {
		s.Upstreams[i] = u.status(views[i])
	}
	return s
}

func (u *upstream) status(v peerView) UpstreamStatus {
	s := UpstreamStatus{
		Addr: u.Addr, State: v.state.String(), Weight: v.weight, Effective: v.effective, Fails: v.fails, MaxFails: u.MaxFails,
		Requests: u.requests.Load(), Failures: u.failures.Load(), Retries: u.retries.Load(),
	}
	if !v.lastFailure.IsZero() {
		s.LastFailure = &v.lastFailure
	}
	answer := ""
	if c := u.lastCheck.Load(); c != nil {
		answer = c.reason
		s.LastCheck = &CheckStatus{At: c.at, TookSeconds: c.took.Seconds(), Ready: c.verdict == verdictReady, Answer: c.reason}
	}
	switch v.state {
	case stateUp:
		s.Reason = "serving"
		if !v.proven {
			s.Reason = "not checked"
		}
	case statePenalty:
		s.Reason = fmt.Sprintf("%d failed requests, fail_timeout %s", v.fails, u.FailTimeout)
	default:
		s.Reason = answer
	}
	return s
}

// stateOf condenses the upstreams' states into that of the gateway, and its reason.
func (g *Gateway) stateOf(gr *group, views []peerView) (state, reason string) {
	usable, unproven := 0, 0
	for _, v := range views {
		switch {
		case v.state != stateUp:
		case v.proven || g.cfg.CheckInterval == 0:
			usable++
		default:
			unproven++
		}
	}
	switch {
	case g.draining.Load():
		return "draining", "shutting down"
	case usable > 0:
		return "ready", fmt.Sprintf("%d of %d upstreams usable", usable, len(views))
	case unproven > 0:
		return "starting", "no upstream has passed a check yet"
	}
	var whys []string
	for i, u := range gr.upstreams {
		s := u.status(views[i])
		whys = append(whys, s.Addr+" "+s.State+", "+s.Reason)
	}
	return "down", fmt.Sprintf("none of %d upstreams usable: %s", len(views), strings.Join(whys, "; "))
}
