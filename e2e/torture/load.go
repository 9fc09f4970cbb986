//go:build linux

package main

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// load is clients that work on the pair, and the keys that they work on.
type load struct {
	clock   *clock
	history *history
	traffic *traffic
	pause   time.Duration // of one worker between two requests
	// gate is held by each worker during a request, and by whoever lets none begin.
	gate    sync.RWMutex
	workers []*worker
	running sync.WaitGroup
	stop    chan struct{}

	mu    sync.Mutex
	round int
	keys  [counter + 1][]*key // of this round, by class
	made  int                 // keys of this round
	old   []*key              // deleted ones of earlier rounds
}

const (
	registerKeys = 300
	hotKeys      = 10
	counterKeys  = 5
	// directWorkers of each node, and pooledWorkers of the pair.
	directWorkers, pooledWorkers = 4, 5
	requestsPerSecond            = 1500
	// expiryMax is the longest expiry.
	expiryMax = 5 * time.Second
)

// worker is one client.
type worker struct {
	l       *load
	id      int
	rng     *rand.Rand
	port    port
	written int
}

func newLoad(c *clock, h *history, nodes [2]*node, seed uint64) *load {
	l := &load{clock: c, history: h, traffic: newTraffic(), stop: make(chan struct{})}
	join := func(p port) {
		id := len(l.workers)
		l.workers = append(l.workers, &worker{l: l, id: id, rng: rand.New(rand.NewPCG(seed, uint64(id))), port: p})
	}
	for range directWorkers {
		for _, n := range nodes {
			join(&directConn{n: n})
		}
	}
	for range pooledWorkers {
		join(newPooled(nodes))
	}
	l.pause = time.Duration(len(l.workers)) * time.Second / requestsPerSecond
	return l
}

// start lets the workers begin. The gate decides when they work.
func (l *load) start() {
	for _, w := range l.workers {
		l.running.Go(w.work)
	}
}

// end returns when all workers have ended. They must be halted.
func (l *load) end() {
	close(l.stop)
	l.resume()
	l.running.Wait()
}

// halt returns when no request is under way and all connections are closed; none begins until resume.
func (l *load) halt() {
	l.gate.Lock()
	for _, w := range l.workers {
		w.port.close()
	}
}

func (l *load) resume() { l.gate.Unlock() }

// newRound begins with fresh keys. Its counters must be set to 0 before the workers see them; the caller does that.
func (l *load) newRound() (counters []*key) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.round++
	l.made = 0
	l.old = append(l.old, l.keys[deleted]...)
	l.keys = [counter + 1][]*key{}
	for range registerKeys {
		l.keys[register] = append(l.keys[register], l.newKeyLocked(register))
	}
	for range counterKeys {
		l.keys[counter] = append(l.keys[counter], l.newKeyLocked(counter))
	}
	return l.keys[counter]
}

// standing are the keys that are written during the whole round.
func (l *load) standing() []*key {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Concat(l.keys[register], l.keys[counter])
}

// newKeyLocked names a key so that no name is part of another one.
func (l *load) newKeyLocked(c class) *key {
	l.made++
	return l.history.newKey(fmt.Sprintf("%s_%d_%d_", c, l.round, l.made), c)
}

// fresh makes a key; shown says that other workers may choose it at once.
func (l *load) fresh(c class, shown bool) *key {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.newKeyLocked(c)
	if shown {
		l.keys[c] = append(l.keys[c], k)
	}
	return k
}

// show lets other workers choose a key.
func (l *load) show(k *key) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.keys[k.class] = append(l.keys[k.class], k)
}

// pick returns a key of a class, nil if there is none; of the newest ones with last > 0.
func (l *load) pick(rng *rand.Rand, c class, last int) *key {
	l.mu.Lock()
	defer l.mu.Unlock()
	keys := l.keys[c]
	if c == deleted && len(l.old) > 0 && rng.IntN(2) == 0 {
		keys = l.old
	}
	if last > 0 {
		keys = keys[max(0, len(keys)-last):]
	}
	if len(keys) == 0 {
		return nil
	}
	return keys[rng.IntN(len(keys))]
}

func (w *worker) work() {
	for {
		w.l.gate.RLock()
		sent := false
		select {
		case <-w.l.stop: // while this worker was halted
		default:
			sent = w.step()
		}
		w.l.gate.RUnlock()
		pause := time.Duration(w.rng.ExpFloat64() * float64(w.l.pause))
		if !sent {
			pause = max(pause, 20*time.Millisecond)
		}
		select {
		case <-w.l.stop:
			return
		case <-time.After(pause):
		}
	}
}

// step does something, and reports false if no node could be asked.
func (w *worker) step() bool {
	l, rng := w.l, w.rng
	switch n := rng.IntN(100); {
	case n < 32:
		i := rng.IntN(registerKeys)
		if rng.IntN(3) == 0 {
			i %= hotKeys
		}
		l.mu.Lock()
		k := l.keys[register][i]
		l.mu.Unlock()
		if n < 4 {
			return w.do(k, request{kind: remove})
		}
		return w.do(k, w.newValue(set, 0))
	case n < 44:
		return w.do(l.pick(rng, counter, 0), request{kind: incr, delta: 1 + rng.Uint64N(9)})
	case n < 50:
		// Several workers meet at the newest keys.
		k := l.pick(rng, added, 3)
		if k == nil || rng.IntN(3) == 0 {
			k = l.fresh(added, true)
		}
		return w.do(k, w.newValue(add, 0))
	case n < 53:
		return w.do(l.fresh(expiring, true), w.newValue(set, time.Second+time.Duration(rng.IntN(int(expiryMax/time.Second)))*time.Second))
	case n < 57:
		k := l.fresh(deleted, false)
		if !w.do(k, w.newValue(set, 0)) {
			return false
		}
		sent := w.do(k, request{kind: remove})
		l.show(k)
		return sent
	}
	class := [...]class{register, register, register, register, deleted, deleted, added, expiring, counter}[rng.IntN(9)]
	k := l.pick(rng, class, 0)
	if class == expiring {
		k = l.pick(rng, class, 100) // some live, some are just gone
	}
	return k == nil || w.do(k, request{kind: get})
}

// newValue is a request that stores a value which nobody else stores.
func (w *worker) newValue(k kind, ttl time.Duration) request {
	w.written++
	id := fmt.Sprintf("w%d-%d", w.id, w.written)
	return request{kind: k, value: encode(id), flags: flagsOf(id), ttl: ttl}
}

// do sends a request and records what came of it. It reports false if no node was asked.
func (w *worker) do(k *key, r request) bool {
	if k == nil {
		return true
	}
	r.key = k.name
	o := op{kind: r.kind, delta: r.delta, ttl: r.ttl, inv: w.l.clock.now()}
	got, err := w.port.do(r)
	o.ret = w.l.clock.now()
	if err != nil {
		w.l.traffic.count(o.ret, 0, false)
		return false
	}
	o.outcome, o.node, o.pending = got.outcome, got.node, got.pending
	switch {
	case r.kind == get && got.found:
		o.value = decode(got.value, got.flags)
	case r.kind != get && r.value != "":
		o.value, _, _ = strings.Cut(r.value, ".")
	}
	k.record(o)
	w.l.traffic.count(o.ret, o.ret-o.inv, o.outcome != unknown)
	return true
}

// encode makes a value of its name: mostly short, sometimes long. decode returns the name, or a text that nobody wrote
// where a byte or a flag is wrong. A number is its own name.
func encode(id string) string {
	h := flagsOf(id)
	size := h % 64
	switch h / 64 % 50 {
	case 0:
		size = h / 3200 % 20000
	case 1, 2, 3, 4, 5:
		size = h / 3200 % 1000
	}
	return id + "." + strings.Repeat(string(rune('a'+h%26)), int(size))
}

func decode(value string, flags uint32) string {
	if _, err := strconv.ParseUint(value, 10, 64); err == nil && flags == 0 {
		return value
	}
	id, _, _ := strings.Cut(value, ".")
	if value != encode(id) || flags != flagsOf(id) {
		return fmt.Sprintf("damaged value %.40q of %d bytes with flags %d", value, len(value), flags)
	}
	return id
}

func flagsOf(id string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(id))
	return h.Sum32()
}
