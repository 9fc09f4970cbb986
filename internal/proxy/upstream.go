package proxy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/futago/futago/internal/addr"
)

const (
	// holdFirst is how long an upstream that hung is left alone when it hangs again soon after it was back; each further
	// time it is twice as long, up to holdMax. Every hang costs clients time.
	holdFirst = time.Second
	holdMax   = 10 * time.Second
)

// upstream is one node with its links, its state and its counters.
type upstream struct {
	Upstream
	proxy            *Proxy
	network, address string // of Addr
	admin            *http.Transport
	links            [protocols][]atomic.Pointer[link] // as many of each as Config.Pool; nil: not connected

	end   context.CancelFunc // of its loops
	loops sync.WaitGroup

	up atomic.Bool // requests go to it; whoever changes it holds mu

	mu sync.Mutex
	// epoch counts failures. That of a link which was made in an earlier one says nothing new.
	epoch  uint64
	since  time.Time     // of up being what it is
	reason string        // for that, for people
	failed time.Time     // the last failure of a request
	hold   time.Duration // how long after it no check brings it back
	check  *checkRecord  // the last one; nil before

	kick chan struct{} // asks for an early check; holds one wish

	requests, failures, failovers, unknown, checkFailures atomic.Uint64
	latency                                               prometheus.Observer
}

func newUpstream(p *Proxy, described Upstream) *upstream {
	u := &upstream{
		Upstream: described, proxy: p, since: time.Now(), reason: "not checked yet", kick: make(chan struct{}, 1),
		latency: p.latency.WithLabelValues(described.Addr),
	}
	u.network, u.address, _ = addr.Split(u.Addr) // Config.Validate has passed
	for protocol := range u.links {
		u.links[protocol] = make([]atomic.Pointer[link], p.cfg.Pool)
	}
	if u.Check != "" {
		u.admin = newAdminTransport(u.Check, p.cfg.CheckTLS)
	}
	return u
}

// start begins checks, and the watch over the links. checked is called after the first check.
func (u *upstream) start(checked func()) {
	var ctx context.Context
	ctx, u.end = context.WithCancel(context.Background())
	u.loops.Go(func() { u.checkLoop(ctx, checked) })
	u.loops.Go(func() { u.watch(ctx) })
}

// stop ends them and the links, which nobody may use any more. It does nothing to one that was not started.
func (u *upstream) stop() {
	if u.end == nil {
		return
	}
	u.end()
	u.loops.Wait()
	u.each(func(l *link) { l.fail(errStopped) })
}

// watch ends the links that let a request wait too long.
func (u *upstream) watch(ctx context.Context) {
	timer := time.NewTimer(u.proxy.tick())
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		timer.Reset(u.proxy.tick())
		now := u.proxy.clock()
		u.each(func(l *link) {
			if err := l.overdue(now); err != nil {
				l.fail(err)
			}
		})
	}
}

// link returns the connection of a slot, and begins a new one if there is none.
func (u *upstream) link(p protocol, slot int) *link {
	at := &u.links[p][slot]
	if l := at.Load(); l != nil {
		return l
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if l := at.Load(); l != nil {
		return l
	}
	l := newLink(u, p, at, u.epoch)
	at.Store(l)
	return l
}

// each calls fn for every link that there is.
func (u *upstream) each(fn func(*link)) {
	for p := range u.links {
		for slot := range u.links[p] {
			if l := u.links[p][slot].Load(); l != nil {
				fn(l)
			}
		}
	}
}

// fail takes the upstream out after a failure in its given epoch, and ends its links.
func (u *upstream) fail(epoch uint64, err error) {
	u.mu.Lock()
	if epoch != u.epoch {
		u.mu.Unlock()
		return
	}
	u.epoch++
	now := time.Now()
	if u.up.Load() {
		u.hold = nextHold(u.hold, now.Sub(u.since), err)
	}
	u.failed = now
	changed := u.setLocked(false, err.Error())
	u.mu.Unlock()
	if changed {
		u.proxy.log.Warn("upstream out", "upstream", u.Addr, "by", "request", "err", err)
	}
	u.each(func(l *link) { l.fail(fmt.Errorf("upstream is down: %w", err)) })
	u.hurry()
}

// nextHold is the time for which no check brings back an upstream that was up for the given time and hung.
func nextHold(hold, up time.Duration, err error) time.Duration {
	if !errors.Is(err, errTimeout) || up > holdMax {
		return 0
	}
	return min(max(2*hold, holdFirst), holdMax)
}

// setLocked changes the state, and says whether it was another one.
func (u *upstream) setLocked(up bool, reason string) (changed bool) {
	u.reason = reason
	if u.up.Load() == up {
		return false
	}
	u.since = time.Now()
	u.up.Store(up)
	return true
}

// hurry asks for an early check.
func (u *upstream) hurry() {
	select {
	case u.kick <- struct{}{}:
	default:
	}
}

// observe takes the time in nanoseconds from a request to its reply.
func (u *upstream) observe(took int64) {
	u.latency.Observe(float64(took) / 1e9)
}
