package proxy

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// A hold lasts for one of these times, unless it is prolonged.
const (
	holdLeaseMin = time.Second
	holdLeaseMax = time.Minute
)

// holds keeps requests at the proxy for who wants to replace the upstreams.
type holds struct {
	waiting atomic.Int64 // clients
	total   atomic.Uint64

	mu      sync.Mutex           // for who changes what follows
	present atomic.Pointer[hold] // nil: requests pass
}

// hold is a lease: requests wait until somebody ends it, or its time does.
type hold struct {
	token string
	by    string        // who asked for it
	ended chan struct{} // closed when requests pass again
	until time.Time     // under holds.mu
	timer *time.Timer
}

// pass waits while there is a hold.
func (h *holds) pass() {
	present := h.present.Load()
	if present == nil {
		return
	}
	h.waiting.Add(1)
	defer h.waiting.Add(-1)
	<-present.ended
}

// findLocked returns the hold with the token if it is in force.
func (h *holds) findLocked(token string) (*hold, error) {
	switch present := h.present.Load(); {
	case present == nil || time.Now().After(present.until):
		return nil, errHoldEnded
	case present.token != token:
		return nil, present.inTheWay()
	default:
		return present, nil
	}
}

// inTheWay is the answer to others.
func (h *hold) inTheWay() error {
	return fmt.Errorf("%w: of %s, until %s if nobody prolongs it", errHeld, h.by, h.until.Format(time.RFC3339))
}

// endLocked lets requests pass again.
func (h *holds) endLocked(present *hold) {
	present.timer.Stop()
	h.present.Store(nil)
	close(present.ended)
}

// held is nil without a hold.
func (p *Proxy) held() *HeldStatus {
	p.holds.mu.Lock()
	defer p.holds.mu.Unlock()
	present := p.holds.present.Load()
	if present == nil {
		return nil
	}
	return &HeldStatus{By: present.by, Until: present.until, InFlight: p.active.Count(), Waiting: p.holds.waiting.Load()}
}

// Hold keeps requests at the proxy from now on, for the given time at most, and returns when no earlier one is at an upstream: each was
// answered, or its client is told that it failed. The token is for Prolong, Switch and Release. When ctx ends before, so does the hold. by
// says to others who holds.
func (p *Proxy) Hold(ctx context.Context, by string, lease time.Duration) (token string, until time.Time, err error) {
	if err := checkLease(lease); err != nil {
		return "", time.Time{}, err
	}
	h, err := p.beginHold(by, lease)
	if err != nil {
		return "", time.Time{}, err
	}
	p.log.Info("requests held", "for", lease)
	begin := time.Now()
	if err := p.settle(ctx, h); err != nil {
		inFlight := p.active.Count()
		p.finishHold(h.token, "hold given up")
		return "", time.Time{}, fmt.Errorf("requests of %d clients were at upstreams still when it ended: hold for longer than timeout (%v): %w", inFlight, p.conf().Timeout, err)
	}
	p.holds.mu.Lock()
	defer p.holds.mu.Unlock()
	if _, err := p.holds.findLocked(h.token); err != nil {
		return "", time.Time{}, err
	}
	p.log.Info("no request is at an upstream", "took", time.Since(begin))
	return h.token, h.until, nil
}

// settle waits until no request is at an upstream, the hold or ctx ends.
func (p *Proxy) settle(ctx context.Context, h *hold) error {
	limited, end := context.WithCancelCause(ctx)
	defer end(nil)
	go func() {
		select {
		case <-h.ended:
			end(errHoldEnded)
		case <-limited.Done():
		}
	}()
	if p.active.Wait(limited) != nil {
		return context.Cause(limited)
	}
	return nil
}

func checkLease(lease time.Duration) error {
	if lease < holdLeaseMin || lease > holdLeaseMax {
		return fmt.Errorf("%w %v: want %v to %v", errLease, lease, holdLeaseMin, holdLeaseMax)
	}
	return nil
}

func (p *Proxy) beginHold(by string, lease time.Duration) (*hold, error) {
	p.holds.mu.Lock()
	defer p.holds.mu.Unlock()
	if p.draining.Load() {
		return nil, errDraining
	}
	if present := p.holds.present.Load(); present != nil {
		return nil, present.inTheWay()
	}
	h := &hold{token: rand.Text(), by: by, ended: make(chan struct{}), until: time.Now().Add(lease)}
	h.timer = time.AfterFunc(lease, func() { p.expireHold(h) })
	p.holds.present.Store(h)
	p.holds.total.Add(1)
	return h, nil
}

// expireHold ends a hold whose time is over, unless it was prolonged meanwhile.
func (p *Proxy) expireHold(h *hold) {
	p.holds.mu.Lock()
	defer p.holds.mu.Unlock()
	if p.holds.present.Load() != h {
		return
	}
	if left := time.Until(h.until); left > 0 {
		h.timer.Reset(left)
		return
	}
	p.holds.endLocked(h)
	p.log.Warn("hold over, requests go to the same upstreams again")
}

// Prolong lets a hold last for the given time from now on.
func (p *Proxy) Prolong(token string, lease time.Duration) (until time.Time, err error) {
	if err := checkLease(lease); err != nil {
		return time.Time{}, err
	}
	p.holds.mu.Lock()
	defer p.holds.mu.Unlock()
	h, err := p.holds.findLocked(token)
	if err != nil {
		return time.Time{}, err
	}
	h.until = time.Now().Add(lease)
	h.timer.Reset(lease)
	return h.until, nil
}

// Release ends a hold: requests go to the same upstreams again.
func (p *Proxy) Release(token string) error { return p.finishHold(token, "hold released") }

func (p *Proxy) finishHold(token, why string) error {
	p.holds.mu.Lock()
	defer p.holds.mu.Unlock()
	h, err := p.holds.findLocked(token)
	if err == nil {
		p.holds.endLocked(h)
		p.log.Info(why)
	}
	return err
}

// endHold ends any hold, because the proxy drains; no other one begins.
func (p *Proxy) endHold() {
	p.holds.mu.Lock()
	defer p.holds.mu.Unlock()
	if h := p.holds.present.Load(); h != nil {
		p.holds.endLocked(h)
	}
}
