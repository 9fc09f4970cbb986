//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// options of a run.
type options struct {
	length  time.Duration
	seed    uint64
	program string // futago
	dir     string // for disks, data and logs
	plain   bool   // no namespaces, even where they are possible
	tell    func(string)
}

// run is one run: the pair, its clients, and what was seen.
type run struct {
	options
	clock       *clock
	link        link
	nodes       [2]*node
	load        *load
	history     *history
	notIsolated error // why there are no namespaces

	mu       sync.Mutex
	taken    [parts]bool
	events   []event
	active   map[*event]bool
	settled  []time.Duration
	calm     []span // times in which no client worked
	problems []violation
	rounds   int
	returns  int // times that a node became ready again and was asked for everything at once
	unequal  verdict
}

// roundLength is how long there is trouble before everything is healed and checked.
const roundLength = 45 * time.Second

// healLimit is how long the pair may take to become whole when all trouble has ended.
const healLimit = 60 * time.Second

// newRun sets the pair up. Nothing runs yet.
func newRun(o options) (*run, error) {
	r := &run{options: o, clock: &clock{time.Now()}, history: &history{}, active: map[*event]bool{}}
	r.unequal = verdict{name: "convergence", unit: "records compared",
		rule: "When all is healed and nobody writes, both nodes hold the same records: value, flags, presence and CAS unique."}
	places, err := r.makePlaces()
	if err != nil {
		return nil, err
	}
	for i, p := range places {
		dir := filepath.Join(o.dir, "node-"+string(rune('a'+i)))
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
		d, err := newDisk(p, dir, r.notIsolated == nil)
		if err != nil {
			return nil, err
		}
		// In a network of its own nobody else has these ports. The addresses differ because a client tells nodes by them.
		host := fmt.Sprintf("127.0.0.%d", 1+i)
		client, admin := host+":11211", host+":11280"
		if r.notIsolated != nil {
			host = loopbackHost(i)
			client, err = freeAddr(host)
			if err == nil {
				admin, err = freeAddr(host)
			}
			if err != nil {
				return nil, err
			}
		}
		if r.nodes[i], err = newNode(i, o.program, o.dir, r.clock, p, d, r.link, client, admin); err != nil {
			return nil, err
		}
	}
	r.load = newLoad(r.clock, r.history, r.nodes, o.seed)
	return r, nil
}

// makePlaces decides how nodes and link are made.
func (r *run) makePlaces() (places [2]*place, err error) {
	isolated := func() error {
		if r.plain {
			return errors.New("not asked for")
		}
		for i := range places {
			if places[i], err = newPlace(true); err != nil {
				return err
			}
		}
		l, err := newTunLink(places)
		r.link = l
		return err
	}
	if r.notIsolated = isolated(); r.notIsolated == nil {
		return places, nil
	}
	for i := range places {
		if places[i], err = newPlace(false); err != nil {
			return places, err
		}
	}
	r.link, err = newProxyLink(loopbackHost(9))
	return places, err
}

// loopbackHost is an address that other programs hardly use: a port that was free there stays free.
func loopbackHost(i int) string {
	return fmt.Sprintf("127.%d.%d.%d", 64+os.Getpid()%128, 1+os.Getpid()/128%250, 100+i)
}

func (r *run) other(n *node) *node { return r.nodes[1-n.index] }

// broken notes a broken promise that shows at once.
func (r *run) broken(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.problems = append(r.problems, violation{at: r.clock.now(), text: err.Error()})
}

// take takes parts for a fault, all or none.
func (r *run) take(list []part) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range list {
		if r.taken[p] {
			return false
		}
	}
	for _, p := range list {
		r.taken[p] = true
	}
	return true
}

func (r *run) release(list []part) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range list {
		r.taken[p] = false
	}
}

// idle reports whether no fault works on any of the parts.
func (r *run) idle(list ...part) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range list {
		if r.taken[p] {
			return false
		}
	}
	return true
}

// whole reports whether a node has everything again since it last lost something.
func (n *node) whole() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	last := len(n.seen.hollow) - 1
	return last < 0 || n.seen.hollow[last].end != never
}

// refilled notes that a node has everything again, as of a sample that says so: the link to its peer is up and it holds
// what the peer had then.
func (n *node) refilled(s sample) {
	n.mu.Lock()
	defer n.mu.Unlock()
	last := len(n.seen.hollow) - 1
	if last >= 0 && n.seen.hollow[last].end == never && s.sent > n.seen.hollow[last].begin && s.Peer.CaughtUp {
		n.seen.hollow[last].end = s.received
	}
}

// watch samples a node until ctx ends.
func (r *run) watch(ctx context.Context, n *node) {
	const every = 200 * time.Millisecond
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if s, ok := n.sample(ctx); ok {
				n.refilled(s)
			}
		}
	}
}

// startNode starts a node and waits until it is ready; then it must not serve the past. A node that another fault keeps
// from becoming ready is left alone when the round is over.
func (r *run) startNode(ctx context.Context, n *node) error {
	begin := r.clock.now()
	if err := n.start(); err != nil {
		return err
	}
	unready := begin // the last time at which it certainly was not ready
	for limit := time.Now().Add(healLimit); ; <-time.After(10 * time.Millisecond) {
		asked := r.clock.now()
		ready, reason := n.readyz(context.Background())
		if ready {
			r.checkReturn(n, begin, unready, reason)
			return nil
		}
		unready = asked
		switch {
		case !n.running():
			return nil // it ended by itself, which is noted
		case time.Now().After(limit):
			r.broken(fmt.Errorf("node %s is not ready %v after its start: %s", n.name, healLimit, strings.TrimSpace(reason)))
			return nil
		case ctx.Err() != nil && r.clock.now()-begin > healLimit/2:
			return nil
		}
	}
}

// waitReady waits until a node that was started is ready.
func (r *run) waitReady(n *node) error {
	for limit := time.Now().Add(healLimit); n.running(); <-time.After(10 * time.Millisecond) {
		if ready, reason := n.readyz(context.Background()); ready {
			return nil
		} else if time.Now().After(limit) {
			return fmt.Errorf("node %s is not ready %v after its start: %s", n.name, healLimit, strings.TrimSpace(reason))
		}
	}
	return nil
}

// returnKeys is how many of the newest keys a node that came back is asked for, besides the standing ones.
const returnKeys = 500

// checkReturn reads many keys of a node that has just become ready, if it says that it has caught up and nothing else
// was in trouble meanwhile.
func (r *run) checkReturn(n *node, begin, unready time.Duration, reason string) {
	if s, ok := n.sample(context.Background()); ok {
		n.refilled(s)
	}
	if !strings.Contains(reason, "caught up with the peer") || !r.undisturbed(n, begin) {
		return
	}
	r.mu.Lock()
	r.returns++
	r.mu.Unlock()
	newest := r.history.all()
	keys := append(r.load.standing(), newest[max(0, len(newest)-returnKeys):]...)
	err := n.readAll(context.Background(), keys, func(k *key, it item, inv, ret time.Duration) {
		o := it.read(n, inv, ret)
		o.returning, o.horizon = true, unready
		k.record(o)
	})
	if err != nil { // the next fault may have come
		n.note("reading after the return: " + err.Error())
	}
}

// undisturbed reports whether nothing but the restart of a node itself happened since begin.
func (r *run) undisturbed(n *node, begin time.Duration) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.clock.now()
	for _, e := range r.events {
		if touches([]span{e.span}, begin, now) {
			return false
		}
	}
	for e := range r.active {
		own := true
		for _, p := range e.parts {
			own = own && (p == processOf(n) || p == diskOf(n))
		}
		if !own {
			return false
		}
	}
	return r.other(n).running()
}

// read makes a record of an answer.
func (it item) read(n *node, inv, ret time.Duration) op {
	o := op{kind: get, node: int8(n.index), inv: inv, ret: ret}
	if it.token != "" {
		var flags uint32
		fmt.Sscan(it.flags, &flags)
		o.value = decode(it.value, flags)
	}
	return o
}

func unhealthy(reason string) bool { return strings.HasPrefix(reason, "unhealthy") }
