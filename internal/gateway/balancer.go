package gateway

import (
	"math/bits"
	"sync"
	"time"
)

// balancer chooses upstreams by smooth weighted round robin and counts their failures, with the arithmetic of
// nginx 1.22 (ngx_http_upstream_round_robin), but on a clock finer than a second. Two things are added: active
// checks take peers out and bring them back, and when every peer is out the least recently failed one is tried.
//
// It knows peers by index and does no I/O. All methods may be called at once from many goroutines.
type balancer struct {
	now func() time.Time

	mu    sync.Mutex
	peers []peer
}

// peer is the state of one upstream. All fields are guarded by balancer.mu.
type peer struct {
	weight      int // configured, > 0
	maxFails    int // 0: failures never take it out
	failTimeout time.Duration

	effective int // 0 <= effective <= weight; falls with failures, climbs by 1 a pick
	current   int // the round robin's running sum

	fails    int       // failures since the last success in a later window
	accessed time.Time // last failure of a request
	checked  time.Time // begin of the window: last failure, or the pick after the time-out

	check      checkState
	checkFails int       // consecutive checks that found nobody
	pardoned   time.Time // when a check last ended a penalty although it had never seen the peer down
}

// checkState is what the active checks say.
type checkState uint8

const (
	checkUnknown  checkState = iota // no check yet, or no checks at all: requests decide
	checkReady                      // the last check, or the one before, found it ready
	checkNotReady                   // it answers, and says that it is not ready
	checkDead                       // two checks in a row found nobody
)

// out says whether the checks keep the peer from getting requests.
func (s checkState) out() bool { return s == checkNotReady || s == checkDead }

// checkFailsMax is the number of consecutive checks without an answer that take a peer out: one may be lost to a
// busy moment.
const checkFailsMax = 2

// peerSet is the set of peers that a request has tried.
type peerSet uint64

func (s peerSet) has(i int) bool       { return s&(1<<i) != 0 }
func (s peerSet) with(i int) peerSet   { return s | 1<<i }
func (s peerSet) size() int            { return bits.OnesCount64(uint64(s)) }
func (b *balancer) all(s peerSet) bool { return s.size() >= len(b.peers) }

// pick is a chosen peer. Its outcome goes to succeed or fail; nothing is reported when the client went away.
type pick struct {
	peer       int
	lastResort bool // nobody was usable; this one failed the longest ago
}

func newBalancer(upstreams []Upstream, now func() time.Time) *balancer {
	b := &balancer{now: now, peers: make([]peer, len(upstreams))}
	for i, u := range upstreams {
		b.peers[i] = peer{weight: u.Weight, effective: u.Weight, maxFails: u.MaxFails, failTimeout: u.FailTimeout}
	}
	return b
}

// pick chooses a peer that is not in tried; false when all are.
func (b *balancer) pick(tried peerSet) (pick, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	best, total := -1, 0
	for i := range b.peers {
		p := &b.peers[i]
		if tried.has(i) || p.check.out() || b.penalisedLocked(p, now) {
			continue
		}
		p.current += p.effective
		total += p.effective
		if p.effective < p.weight {
			p.effective++
		}
		if best < 0 || p.current > b.peers[best].current {
			best = i
		}
	}
	if best < 0 {
		return b.lastResortLocked(tried)
	}
	p := &b.peers[best]
	p.current -= total
	if now.Sub(p.checked) > p.failTimeout {
		p.checked = now // after a time-out this makes the pick the one probe: the others still see the peer out
	}
	return pick{peer: best}, true
}

// penalisedLocked is the passive part: too many failures, and the time-out is not over. A lone peer never is.
func (b *balancer) penalisedLocked(p *peer, now time.Time) bool {
	return len(b.peers) > 1 && p.maxFails > 0 && p.fails >= p.maxFails && now.Sub(p.checked) <= p.failTimeout
}

// lastResortLocked chooses among peers that are out. The round robin's sums stay as they are.
func (b *balancer) lastResortLocked(tried peerSet) (pick, bool) {
	best := -1
	for i := range b.peers {
		if !tried.has(i) && (best < 0 || b.peers[i].accessed.Before(b.peers[best].accessed)) {
			best = i
		}
	}
	return pick{peer: best, lastResort: true}, best >= 0
}

// succeed records that the peer answered. It returns whether that brought it back.
func (b *balancer) succeed(k pick) (back bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := &b.peers[k.peer]
	// Only a success after a new window began clears the counter. A last resort has no window of its own; that it
	// answered is proof enough.
	if !k.lastResort && !p.accessed.Before(p.checked) {
		return false
	}
	back = len(b.peers) > 1 && p.maxFails > 0 && p.fails >= p.maxFails
	p.fails = 0
	return back
}

// fail records that the peer did not answer as it must. It returns whether that took it out.
func (b *balancer) fail(k pick) (out bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := &b.peers[k.peer]
	now := b.now()
	p.accessed = now
	if len(b.peers) == 1 {
		return false
	}
	wasOut := b.penalisedLocked(p, now) || p.check.out()
	p.fails = min(p.fails+1, maxFailsMax)
	p.checked = now
	if p.maxFails > 0 {
		p.effective = max(p.effective-p.weight/p.maxFails, 0)
	}
	return !wasOut && b.penalisedLocked(p, now)
}

// verdict is the result of one active check.
type verdict uint8

const (
	verdictReady    verdict = iota
	verdictNotReady         // a clear no
	verdictFailed           // no usable answer
)

// judge records the result of an active check of peer i that began at the given time of the balancer's clock, and
// returns the peer's state before and after.
func (b *balancer) judge(i int, v verdict, began time.Time) (before, after peerState) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := &b.peers[i]
	now := b.now()
	before = b.stateLocked(p, now)
	switch v {
	case verdictReady:
		b.pardonLocked(p, now, began)
		p.check, p.checkFails = checkReady, 0
	case verdictNotReady:
		p.check, p.checkFails = checkNotReady, 0
	case verdictFailed:
		p.checkFails = min(p.checkFails+1, checkFailsMax)
		if p.checkFails == checkFailsMax {
			p.check = checkDead
		}
	}
	return before, b.stateLocked(p, now)
}

// pardonLocked ends the penalty of a peer that a check finds ready. A check that began before the last failure knows
// nothing of it. And it is not believed twice within a fail_timeout when it never saw the peer down: then it asks
// something that works while requests fail, and each pardon would cost clients a time-out.
func (b *balancer) pardonLocked(p *peer, now, began time.Time) {
	if began.Before(p.accessed) {
		return
	}
	if !p.check.out() && p.checkFails == 0 {
		if !b.penalisedLocked(p, now) || now.Sub(p.pardoned) <= p.failTimeout {
			return
		}
		p.pardoned = now
	}
	p.fails = 0
}

// penalised says whether failed requests keep peer i out at present.
func (b *balancer) penalised(i int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.penalisedLocked(&b.peers[i], b.now())
}

// peerState is what operators see.
type peerState uint8

const (
	stateUp       peerState = iota
	statePenalty            // out for fail_timeout after failed requests
	stateNotReady           // out: says that it is not ready
	stateDead               // out: checks find nobody
)

var peerStates = [...]string{stateUp: "up", statePenalty: "penalty", stateNotReady: "not_ready", stateDead: "dead"}

func (s peerState) String() string { return peerStates[s] }

func (b *balancer) stateLocked(p *peer, now time.Time) peerState {
	switch {
	case p.check == checkNotReady:
		return stateNotReady
	case p.check == checkDead:
		return stateDead
	case b.penalisedLocked(p, now):
		return statePenalty
	}
	return stateUp
}

// peerView is a copy of what the balancer knows of a peer.
type peerView struct {
	weight, effective, fails int
	state                    peerState
	proven                   bool      // a check has found it ready
	lastFailure              time.Time // zero: none yet
}

// view returns a copy of the state of all peers.
func (b *balancer) view() []peerView {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	views := make([]peerView, len(b.peers))
	for i := range b.peers {
		p := &b.peers[i]
		views[i] = peerView{
			weight: p.weight, effective: p.effective, fails: p.fails,
			state: b.stateLocked(p, now), proven: p.check == checkReady, lastFailure: p.accessed,
		}
	}
	return views
}
