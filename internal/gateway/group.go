package gateway

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/futago/futago/internal/front"
)

// group is the upstreams of a time with what chooses among them. Its list never changes: another group takes its place.
type group struct {
	upstreams []*upstream
	balancer  *balancer
	active    *front.Tally // requests that use it

	endChecks context.CancelFunc // nil: there are none
	checks    sync.WaitGroup
}

// newGroup makes a group of what is described. What is the same in old, which may be nil, is kept with its connections.
func (g *Gateway) newGroup(described []Upstream, old *group) *group {
	next := &group{balancer: newBalancer(described, time.Now), active: front.NewTally()}
	for _, d := range described {
		if i := old.find(d); i >= 0 {
			next.upstreams = append(next.upstreams, old.upstreams[i])
			continue
		}
		u := newUpstream(d, g.conf)
		u.response = g.metrics.upResponse.WithLabelValues(d.Addr)
		next.upstreams = append(next.upstreams, u)
	}
	return next
}

// find is the number of an upstream, -1 if there is none.
func (gr *group) find(d Upstream) int {
	if gr == nil {
		return -1
	}
	return slices.IndexFunc(gr.upstreams, func(u *upstream) bool { return u.Upstream == d })
}

// startChecks begins the checks of all upstreams of a group. The caller holds changes.
func (g *Gateway) startChecks(gr *group) {
	if g.cfg.CheckInterval == 0 {
		return
	}
	var ctx context.Context
	ctx, gr.endChecks = context.WithCancel(context.Background())
	for i := range gr.upstreams {
		gr.checks.Go(func() { g.checkLoop(ctx, gr, i) })
	}
}

// stopChecks ends them.
func (gr *group) stopChecks() {
	if gr.endChecks != nil {
		gr.endChecks()
		gr.checks.Wait()
	}
}

// replace puts a group of other upstreams in the place of the present one, after one look at those that are new: a second at most.
// Requests under way end where they are, then the others' connections are closed. The caller holds changes.
func (g *Gateway) replace(described []Upstream) {
	old := g.group.Load()
	next := g.newGroup(described, old)
	if g.checking {
		var looks sync.WaitGroup
		for i, u := range next.upstreams {
			if old.find(u.Upstream) < 0 {
				looks.Go(func() { g.checkOnce(context.Background(), next, i) })
			}
		}
		looks.Wait()
		old.stopChecks()
	}
	next.balancer.inherit(old, next)
	g.group.Store(next)
	if g.checking {
		g.startChecks(next)
	}
	g.retiring.Go(func() {
		_ = old.active.Wait(g.stopped)
		for _, u := range old.upstreams {
			if next.find(u.Upstream) >= 0 {
				continue
			}
			u.close()
			if !slices.ContainsFunc(g.group.Load().upstreams, func(now *upstream) bool { return now.Addr == u.Addr }) {
				g.metrics.upResponse.DeleteLabelValues(u.Addr)
			}
		}
	})
}

// inherit takes over what the balancer of old knows of upstreams that next has too.
func (b *balancer) inherit(old, next *group) {
	old.balancer.mu.Lock()
	defer old.balancer.mu.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, u := range next.upstreams {
		if at := old.find(u.Upstream); at >= 0 {
			b.peers[i] = old.balancer.peers[at]
		}
	}
}

// enter returns the group whose upstreams a request may use until it calls its active.Leave.
func (g *Gateway) enter() *group {
	for {
		gr := g.group.Load()
		gr.active.Enter()
		if g.group.Load() == gr { // else it may have been counted as idle
			return gr
		}
		gr.active.Leave()
	}
}
