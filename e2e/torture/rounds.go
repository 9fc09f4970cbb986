//go:build linux

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"time"
)

// play runs all rounds. The error is of this program, not of the pair.
func (r *run) play(ctx context.Context) error {
	watched, cancel := context.WithCancel(context.Background())
	var watchers sync.WaitGroup
	defer watchers.Wait()
	defer cancel()
	defer func() {
		for _, n := range r.nodes {
			n.kill()
		}
	}()
	for _, n := range r.nodes {
		if err := n.start(); err != nil {
			return err
		}
		watchers.Go(func() { r.watch(watched, n) })
	}
	watchers.Go(func() { r.follow(watched) })
	r.load.halt()
	defer r.load.end()
	r.load.start()
	halted := r.clock.now()
	defer func() { r.calm = append(r.calm, span{halted, never}) }()
	if !r.heal() {
		return nil
	}
	c := &chaos{r: r, rng: rand.New(rand.NewPCG(r.seed, 1<<32))}
	rounds := max(1, int((r.length+roundLength/2)/roundLength))
	for i := range rounds {
		if err := r.newRound(); err != nil {
			return err
		}
		r.calm = append(r.calm, span{halted, r.clock.now()})
		r.load.resume()
		// Ends count from the start of the run, so that a long calm makes trouble shorter, not the run longer.
		left := r.length*time.Duration(i+1)/time.Duration(rounds) - r.clock.now()
		trouble, over := context.WithTimeout(ctx, max(left, 5*time.Second))
		err := c.reign(trouble)
		over()
		r.load.halt()
		halted = r.clock.now()
		last := i == rounds-1 || ctx.Err() != nil
		if err != nil || !r.heal() || !r.compare(last) {
			return err
		}
		if last {
			break
		}
	}
	r.stopAll()
	return nil
}

// heal makes everything work again and waits until the pair is whole: both nodes are ready, hold everything, and wait for
// each other. It reports false if that does not happen, which is noted as a violation.
func (r *run) heal() bool {
	limit := time.Now().Add(healLimit)
	for ; ; <-time.After(50 * time.Millisecond) {
		whole, why := true, ""
		for _, n := range r.nodes {
			_, reason := n.readyz(context.Background())
			if unhealthy(reason) { // its log has stopped: an operator restarts it
				n.kill()
			}
			if !n.running() {
				if err := n.start(); err != nil {
					r.broken(err)
					return false
				}
			}
			s, ok := n.sample(context.Background())
			if ok {
				n.refilled(s)
			}
			if !ok || !s.Ready || s.Acknowledgement.Solo || !s.Peer.CaughtUp || s.Store.Refusal != "" || !r.answers(n) {
				whole, why = false, fmt.Sprintf("node %s: state %s, %s; solo %v, caught up %v, refusal %q", n.name, s.State, s.Reason, s.Acknowledgement.Solo, s.Peer.CaughtUp, s.Store.Refusal)
			}
		}
		if whole && r.settle() {
			return true
		}
		if time.Now().After(limit) {
			if why == "" {
				why = "connections that clients have closed are still there"
			}
			r.broken(fmt.Errorf("the pair is not whole %v after all trouble has ended: %s", healLimit, why))
			return false
		}
	}
}

// answers asks for the version on a new connection. Once it is answered, all connections made before were accepted.
func (r *run) answers(n *node) bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	c, err := n.dial(ctx)
	if err != nil {
		return false
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Second))
	if _, err := io.WriteString(c, "version\r\n"); err != nil {
		return false
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	return err == nil && strings.HasPrefix(line, "VERSION ")
}

// settle reports whether no node has a client connection, and notes the time: no request of before can have an effect now.
// All workers must be halted.
func (r *run) settle() bool {
	var latest time.Duration
	for _, n := range r.nodes {
		s, ok := n.sample(context.Background())
		if !ok || s.Server.Connections != 0 || s.Acknowledgement.Solo || s.Peer.Lag != 0 {
			return false
		}
		latest = max(latest, s.received)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.settled = append(r.settled, latest)
	return true
}

// newRound makes fresh keys and sets the counters on both nodes.
func (r *run) newRound() error {
	r.mu.Lock()
	r.rounds++
	r.mu.Unlock()
	counters := r.load.newRound()
	d := &directConn{n: r.nodes[0]}
	defer d.close()
	for _, k := range counters {
		if got, err := d.do(request{kind: set, key: k.name, value: "0"}); err != nil || got.outcome != done {
			return fmt.Errorf("set counter %s: outcome %d, error %v", k.name, got.outcome, err)
		}
	}
	for _, n := range r.nodes {
		for limit := time.Now().Add(10 * time.Second); ; <-time.After(10 * time.Millisecond) {
			missing := 0
			err := n.readAll(context.Background(), counters, func(_ *key, it item, _, _ time.Duration) {
				if it.value != "0" {
					missing++
				}
			})
			if err == nil && missing == 0 {
				break
			}
			if time.Now().After(limit) {
				return fmt.Errorf("node %s lacks %d new counters, error %v", n.name, missing, err)
			}
		}
	}
	return nil
}

// compareLimit is how long two nodes that are whole may take to hold the same.
const compareLimit = 20 * time.Second

// compare reads keys from both nodes, compares the records, and records the reads. With all, it takes every key that the
// run ever used, after the last one has expired; otherwise those of this round and some of earlier ones. It reports false if
// a node could not be read, which is noted as a violation.
func (r *run) compare(all bool) bool {
	if all {
		<-time.After(expiryMax + 2*expirySlack)
	}
	current := fmt.Sprintf("_%d_", r.rounds)
	rng := rand.New(rand.NewPCG(r.seed, uint64(r.rounds)))
	var keys []*key
	for _, k := range r.history.all() {
		if all || strings.Contains(k.name, current) || rng.IntN(20) == 0 {
			keys = append(keys, k)
		}
	}
	var differ int
	var example string
	for limit := time.Now().Add(compareLimit); ; <-time.After(100 * time.Millisecond) {
		var reads [2][]op
		var items [2][]item
		for i, n := range r.nodes {
			err := n.readAll(context.Background(), keys, func(k *key, it item, inv, ret time.Duration) {
				o := it.read(n, inv, ret)
				o.sweep = true
				reads[i], items[i] = append(reads[i], o), append(items[i], it)
			})
			if err != nil {
				r.broken(err)
				return false
			}
		}
		differ = 0
		for j, k := range keys {
			if items[0][j] != items[1][j] && (all || k.class != expiring) {
				differ++
				example = fmt.Sprintf("%s is at A: %s; at B: %s", k.name, items[0][j], items[1][j])
			}
		}
		if late := time.Now().After(limit); differ == 0 || late {
			for i := range reads {
				for j, k := range keys {
					k.record(reads[i][j])
				}
			}
			break
		}
	}
	r.unequal.checked += len(keys)
	if differ > 0 {
		r.unequal.fail(r.clock.now(), nil, "%d of %d records differ %v after the pair was whole, such as: %s", differ, len(keys), compareLimit, example)
	}
	return true
}

func (it item) String() string {
	if it.token == "" {
		return "absent"
	}
	return fmt.Sprintf("%.60q, flags %s, CAS unique %s", it.value, it.flags, it.token)
}

// stopAll ends both nodes in order.
func (r *run) stopAll() {
	for _, n := range r.nodes {
		if err := n.terminate(); err != nil {
			r.broken(err)
		}
	}
}

// follow tells each second how it goes.
func (r *run) follow(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			r.tell(r.progress())
		}
	}
}

func (r *run) progress() string {
	succeeded, failed := r.load.traffic.totals()
	text := fmt.Sprintf("%v of %v, round %d: %d operations, %d failed", r.clock.now().Round(time.Second), r.length, r.rounds, succeeded, failed)
	for _, n := range r.nodes {
		state := "does not answer"
		if s, ok := n.latest(); ok {
			state = s.State
			if s.Acknowledgement.Solo {
				state += ", solo"
			}
		}
		text += fmt.Sprintf("; %s %s", n.name, state)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for e := range r.active {
		text += "; " + strings.TrimSpace(e.fault+" "+e.node)
	}
	return text
}
