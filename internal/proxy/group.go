package proxy

import (
	"context"
	"math/bits"
	"slices"
	"sync"
	"unsafe"

	"github.com/futago/futago"
	"github.com/futago/futago/internal/front"
)

// group is the upstreams of a time, in the order of the configuration. It never changes: another one takes its place.
type group struct {
	upstreams []*upstream
	selector  futago.Selector // nil: keys do not matter
	active    *front.Tally    // clients that wait for its upstreams
}

// newGroup makes a group of what cfg describes. What is the same in old, which may be nil, is kept with its connections.
func (p *Proxy) newGroup(cfg *Config, old *group) (*group, error) {
	selector, err := cfg.selector()
	if err != nil {
		return nil, err
	}
	g := &group{selector: selector, active: front.NewTally()}
	for _, described := range cfg.Upstreams {
		if old != nil {
			if i := slices.IndexFunc(old.upstreams, func(u *upstream) bool { return u.Upstream == described }); i >= 0 {
				g.upstreams = append(g.upstreams, old.upstreams[i])
				continue
			}
		}
		g.upstreams = append(g.upstreams, newUpstream(p, described))
	}
	return g, nil
}

// up is the set of upstreams that requests go to, by number.
func (g *group) up() (set uint64) {
	for i, u := range g.upstreams {
		if u.up.Load() {
			set |= 1 << i
		}
	}
	return set
}

// hurry asks for early checks of all upstreams that are down, because a request found none.
func (g *group) hurry() {
	for _, u := range g.upstreams {
		if !u.up.Load() {
			u.hurry()
		}
	}
}

// choose returns the number of the upstream for a key out of a set that is not empty: the key's own or the next one.
func (g *group) choose(key []byte, candidates uint64) int {
	first := 0
	if g.selector != nil && len(key) > 0 {
		first = g.selector.Select(unsafe.String(&key[0], len(key))) // which keeps nothing of it
	}
	return (first + bits.TrailingZeros64(bits.RotateLeft64(candidates, -first))) % 64
}

// home is the number of the upstream that a key belongs to while all are up.
func (g *group) home(key []byte) int {
	if g.selector == nil {
		return 0
	}
	return g.choose(key, 1<<len(g.upstreams)-1)
}

// without are the upstreams that other does not have.
func (g *group) without(other *group) []*upstream {
	return slices.DeleteFunc(slices.Clone(g.upstreams), func(u *upstream) bool { return other != nil && slices.Contains(other.upstreams, u) })
}

// startAll begins the checks of upstreams and returns when each was checked once.
func startAll(upstreams []*upstream) {
	var checked sync.WaitGroup
	checked.Add(len(upstreams))
	for _, u := range upstreams {
		u.start(checked.Done)
	}
	checked.Wait()
}

func stopAll(upstreams []*upstream) {
	for _, u := range upstreams {
		u.stop()
	}
}

// prepare makes a group to take the place of the present one, and returns when its new upstreams have been checked once: a second
// at most. Whoever does not install it must drop it. The caller holds changes.
func (p *Proxy) prepare(cfg *Config) (*group, error) {
	present := p.group.Load()
	g, err := p.newGroup(cfg, present)
	if err == nil && p.checks {
		startAll(g.without(present))
	}
	return g, err
}

// drop ends what prepare began.
func (p *Proxy) drop(g *group) { p.forget(g.without(p.group.Load())) }

// install puts g in the place of the present group, whose other upstreams end once their requests have. The caller holds changes.
func (p *Proxy) install(g *group) {
	old := p.group.Swap(g)
	p.retiring.Go(func() {
		_ = old.active.Wait(context.Background())
		p.forget(old.without(g))
	})
}

// forget ends upstreams that nobody uses.
func (p *Proxy) forget(upstreams []*upstream) {
	stopAll(upstreams)
	for _, u := range upstreams {
		if !slices.ContainsFunc(p.group.Load().upstreams, func(now *upstream) bool { return now.Addr == u.Addr }) {
			p.latency.DeleteLabelValues(u.Addr)
		}
	}
}

// enter waits while there is a hold, and returns the group whose upstreams the caller may use until it calls leave.
func (p *Proxy) enter() *group {
	for {
		p.active.Enter()
		if p.holds.present.Load() != nil {
			p.active.Leave()
			p.holds.pass()
			continue
		}
		g := p.group.Load()
		g.active.Enter()
		if p.group.Load() == g { // else it may have been counted as idle
			return g
		}
		g.active.Leave()
		p.active.Leave()
	}
}

// leave ends what enter began.
func (p *Proxy) leave(g *group) {
	g.active.Leave()
	p.active.Leave()
}

// split makes of gets whose keys were put together for another group such as this one takes, each with keys of one upstream.
func (g *group) split(calls []call) []call {
	if g.selector == nil || !slices.ContainsFunc(calls, func(k call) bool { return len(k.keys) > 1 }) {
		return calls
	}
	var all []call
	for _, k := range calls {
		keys, from := k.keys, k.wholePassed
		if !k.todo && !k.cut || len(keys) < 2 || from >= len(keys) {
			all = append(all, k)
			continue
		}
		part := k.part
		for begin := from; begin < len(keys); {
			end, home := begin+1, g.home(keys[begin])
			for end < len(keys) && g.home(keys[end]) == home {
				end++
			}
			piece := k
			if begin > from { // the first one has what came already
				piece = call{round: k.round, shape: k.shape, head: k.head, safe: k.safe, mute: k.mute, todo: k.todo, cut: k.cut}
				piece.keys = keys[begin:end:end]
			} else {
				piece.keys = keys[:end:end]
			}
			piece.key, piece.part = keys[begin], part || end < len(keys)
			all = append(all, piece)
			begin = end
		}
	}
	return all
}
