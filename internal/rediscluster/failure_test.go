//go:build e2e && linux

package rediscluster

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/futago/futago/internal/rediscluster/clustertest"
	"github.com/futago/futago/internal/store"
)

// impatient is a front that gives up after a time.
func impatient(timeout time.Duration, change ...func(*Config)) func(*Config) {
	return func(cfg *Config) {
		cfg.Timeout = timeout
		for _, c := range change {
			c(cfg)
		}
	}
}

// tally is what counting clients were told.
type tally struct{ acked, unknown atomic.Int64 }

// count increments a key once.
func (y *tally) count(s *Store, key string) error {
	err := s.Commit(&store.Request{Op: store.Incr, Key: []byte(key), Delta: 1, Create: true, Initial: 1}, new(store.Result))
	switch {
	case err == nil:
		y.acked.Add(1)
	case errors.Is(err, store.ErrUnknown):
		y.unknown.Add(1)
	}
	return err
}

// number reads a counter as soon as it can be read.
func number(t *testing.T, s *Store, key string) (n int64) {
	t.Helper()
	await(t, "counter "+key+" can be read", func() bool {
		var v store.View
		found := s.Acquire([]byte(key), &v)
		if found {
			n, _ = strconv.ParseInt(string(v.Value), 10, 64)
		}
		return v.Fault == nil
	})
	return n
}

// get reads a key, and says how long that took.
func get(s *Store, key string) (found bool, took time.Duration, fault error) {
	var v store.View
	began := time.Now()
	found = s.Acquire([]byte(key), &v)
	return found, time.Since(began), v.Fault
}

// keyAt returns a key that a master has, or that another one has.
func keyAt(c *clustertest.Cluster, n *clustertest.Node, at bool) string {
	for i := 0; ; i++ {
		key := fmt.Sprintf("{%d}", i)
		if (c.MasterOf(c.SlotOf(key)) == n) == at {
			return key
		}
	}
}

// TestFailures breaks a cluster without replicas.
func TestFailures(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Config{NodeTimeout: 5 * time.Second, Args: []string{"--cluster-require-full-coverage", "no"}})
	for _, test := range []struct {
		name string
		run  func(*testing.T, *clustertest.Cluster)
	}{
		{"reshard under load", testReshardUnderLoad}, {"there and back", testThereAndBack}, {"no master", testNoMaster}, {"standstill", testStandstill},
	} {
		if !t.Run(test.name, func(t *testing.T) { test.run(t, c) }) {
			return
		}
	}
}

// testReshardUnderLoad moves slots while clients count, write, read and walk: nobody notices but who walks.
func testReshardUnderLoad(t *testing.T, c *clustertest.Cluster) {
	const tags, listed = 1050, 2 // of which some share a slot
	fronts := []*Store{open(t, c, nil), open(t, c, nil)}
	walker := open(t, c, func(cfg *Config) { cfg.Prefix = "w:" })
	masters := c.Masters()
	slots := map[int]bool{}
	for i := range tags {
		slots[c.SlotOf(fmt.Sprintf("{%d}", i))] = true
		set(t, fronts[0], fmt.Sprintf("{%d}set", i), "x")
		for k := range listed {
			set(t, walker, fmt.Sprintf("{%d}%d", i, k), "x")
		}
	}
	for i := range floorKeys {
		slots[c.SlotOf(fronts[0].floorKey(i))] = true
	}
	var stop atomic.Bool
	var counts [tags]tally
	var group sync.WaitGroup
	fail := func(format string, args ...any) {
		stop.Store(true)
		t.Errorf(format, args...)
	}
	for client := range 4 {
		s := fronts[client%2]
		group.Go(func() {
			for n := 0; !stop.Load(); n++ {
				i := rand.IntN(tags)
				tag := fmt.Sprintf("{%d}", i)
				if err := counts[i].count(s, tag+"count"); err != nil {
					fail("count: %v", err)
				}
				if found, _, fault := get(s, tag+"set"); !found {
					fail("get %sset: not there, %v", tag, fault)
				}
				if err := s.Commit(&store.Request{Op: store.Set, Key: []byte(tag + "set"), Value: []byte("y")}, new(store.Result)); err != nil {
					fail("set: %v", err)
				}
				own := fmt.Appendf(nil, "%sadd%d", tag, client)
				for _, step := range []struct {
					op   store.Op
					want error
				}{{store.Add, nil}, {store.Add, store.ErrExists}, {store.Delete, nil}, {store.Delete, store.ErrNotFound}} {
					if err := s.Commit(&store.Request{Op: step.op, Key: own}, new(store.Result)); !errors.Is(err, step.want) {
						fail("operation %d on %s: %v, want %v", step.op, own, err, step.want)
					}
				}
			}
		})
	}
	var whole, moved atomic.Int64
	group.Go(func() {
		for !stop.Load() {
			switch n, err := walk(walker); {
			case errors.Is(err, store.ErrMoved):
				moved.Add(1)
			case err != nil:
				fail("list: %v", err)
			case n != tags*listed:
				fail("list: %d keys of %d and no error", n, tags*listed)
			default:
				whole.Add(1)
			}
		}
	})
	moves := 0
	for slot := range slots {
		if stop.Load() {
			break
		}
		i := slices.Index(masters, c.MasterOf(slot))
		c.Reshard(masters[(i+1)%len(masters)], slot)
		moves++
	}
	for was := whole.Load(); whole.Load() == was && !stop.Load(); {
		runtime.Gosched()
		time.Sleep(time.Millisecond)
	}
	stop.Store(true)
	group.Wait()
	total := int64(0)
	for i := range tags {
		acked := counts[i].acked.Load()
		if got := number(t, fronts[1], fmt.Sprintf("{%d}count", i)); got != acked {
			t.Errorf("counter %d: %d, want %d", i, got, acked)
		}
		total += acked
	}
	if total == 0 || moved.Load() == 0 {
		t.Errorf("counted %d times, %d walks were disturbed", total, moved.Load())
	}
	t.Logf("%d slots moved, counted %d times, %d walks whole, %d disturbed", moves, total, whole.Load(), moved.Load())
}

// walk lists all keys and returns how many there are.
func walk(s *Store) (n int, err error) {
	seen := map[string]bool{}
	var place store.Cursor
	for more := true; more; {
		if more, err = s.List(&place, func(r *store.Listed) bool {
			seen[string(r.Key)] = true
			return true
		}); err != nil {
			return 0, err
		}
	}
	return len(seen), nil
}

// testThereAndBack moves a slot away and back between two steps of a walk, which could have missed it.
func testThereAndBack(t *testing.T, c *clustertest.Cluster) {
	s := open(t, c, nil)
	var place store.Cursor
	if more, err := s.List(&place, func(*store.Listed) bool { return true }); !more || err != nil {
		t.Fatalf("first step: %v, %v", more, err)
	}
	slot := c.SlotOf("{0}")
	from := c.MasterOf(slot)
	to := c.Masters()[0]
	if to == from {
		to = c.Masters()[1]
	}
	c.Reshard(to, slot)
	c.Reshard(from, slot)
	if _, err := s.List(&place, func(*store.Listed) bool { return true }); !errors.Is(err, store.ErrMoved) {
		t.Errorf("list after a slot was away: %v, want %v", err, store.ErrMoved)
	}
}

// testNoMaster takes slots from everybody.
func testNoMaster(t *testing.T, c *clustertest.Cluster) {
	const timeout = time.Second
	s := open(t, c, impatient(timeout))
	const lost = "{0}lost"
	slot := c.SlotOf(lost)
	owner := c.MasterOf(slot)
	kept := keyAt(c, owner, false) + "kept"
	set(t, s, lost, "x")
	c.DropSlots(slot, slot)
	for range 2 { // the cluster refuses, and then the client knows
		var group sync.WaitGroup
		for what, do := range map[string]func() error{
			"get": func() error {
				found, _, fault := get(s, lost)
				if found {
					t.Error("get: a key without a master is there")
				}
				return fault
			},
			"count":     func() error { return new(tally).count(s, lost) },
			"list":      func() error { _, err := walk(s); return err },
			"flush_all": func() error { _, err := s.FlushAll(0); return err },
		} {
			group.Go(func() {
				began := time.Now()
				if err := do(); !errors.Is(err, store.ErrUnreached) || time.Since(began) > timeout+margin {
					t.Errorf("%s: %v after %v", what, err, time.Since(began))
				}
			})
		}
		set(t, s, kept, "x")
		if !has(t, s, kept) {
			t.Error("a key of another master is gone")
		}
		group.Wait()
	}
	c.AssignSlots(owner, slot, slot)
	await(t, "the key is back", func() bool {
		found, _, fault := get(s, lost)
		if !found && fault == nil {
			t.Fatal("the key is gone")
		}
		return found
	})
	set(t, s, lost, "y")
}

// testStandstill stops a master.
func testStandstill(t *testing.T, c *clustertest.Cluster) {
	const timeout = 2 * time.Second
	brief := func(cfg *Config) { cfg.Lease = 10 * time.Millisecond }
	fronts := []*Store{open(t, c, impatient(timeout)), open(t, c, impatient(timeout, brief))}
	still := c.Masters()[1]
	key := keyAt(c, still, true) + "stand"
	other := keyAt(c, still, false) + "go on"
	var y, y2 tally
	for _, s := range fronts {
		if err := errors.Join(y.count(s, key), y2.count(s, other)); err != nil {
			t.Fatal(err)
		}
	}
	still.Pause()
	continued := sync.OnceFunc(still.Continue)
	defer continued()
	var group sync.WaitGroup
	const clients = 1500 // more than a connection has places for
	for i := range clients {
		s := fronts[i%2]
		group.Go(func() {
			if found, took, fault := get(s, key); found || !errors.Is(fault, store.ErrUnreached) || took > timeout+margin {
				t.Errorf("get: %v, %v after %v", found, fault, took)
			}
		})
		group.Go(func() {
			began := time.Now()
			if err := y.count(s, key); !errors.Is(err, store.ErrUnknown) && !errors.Is(err, store.ErrUnreached) || time.Since(began) > timeout+margin {
				t.Errorf("count: %v after %v", err, time.Since(began))
			}
		})
	}
	var ended atomic.Bool
	go func() {
		group.Wait()
		ended.Store(true)
	}()
	var times []time.Duration
	for n := 0; !ended.Load() || n < 500; n++ {
		began := time.Now()
		if err := y2.count(fronts[n%2], other); err != nil {
			t.Fatalf("count at another master: %v after %v", err, time.Since(began))
		}
		times = append(times, time.Since(began))
	}
	slices.Sort(times)
	t.Logf("at another master: %d times, median %v, 99%% %v, longest %v; at the one that stands still: %d unknown", len(times), times[len(times)/2], times[len(times)*99/100], times[len(times)-1], y.unknown.Load())
	if median := times[len(times)/2]; median > timeout/8 {
		t.Errorf("counting at another master takes %v", median)
	}
	continued()
	c.WaitReady()
	for _, s := range fronts {
		await(t, "counting goes on", func() bool { return y.count(s, key) == nil })
	}
	if n := number(t, fronts[0], key); n < y.acked.Load() || n > y.acked.Load()+y.unknown.Load() {
		t.Errorf("counted %d, acknowledged %d, unknown %d", n, y.acked.Load(), y.unknown.Load())
	}
	if n := number(t, fronts[0], other); n != y2.acked.Load() {
		t.Errorf("at another master: counted %d, acknowledged %d", n, y2.acked.Load())
	}
}

// TestReplicas breaks a cluster with replicas.
func TestReplicas(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Config{Replicas: 1})
	for _, test := range []struct {
		name string
		run  func(*testing.T, *clustertest.Cluster)
	}{
		{"wait", testWait}, {"failover", testFailover},
	} {
		if !t.Run(test.name, func(t *testing.T) { test.run(t, c) }) {
			return
		}
	}
}

// testWait has a replica confirm each write.
func testWait(t *testing.T, c *clustertest.Cluster) {
	const timeout = 3 * time.Second
	s := open(t, c, impatient(timeout, func(cfg *Config) { cfg.Replicas = 1 }))
	const key = "{0}wait"
	slot := c.SlotOf(key)
	from := c.MasterOf(slot)
	to := c.MasterOf(c.SlotOf(keyAt(c, from, false)))
	var y tally
	count := func(when string) {
		t.Helper()
		if err := y.count(s, key); err != nil {
			t.Errorf("count %s: %v", when, err)
		}
		if n := number(t, s, key); n != y.acked.Load() {
			t.Errorf("%s: counted %d, acknowledged %d", when, n, y.acked.Load())
		}
	}
	count("at the start")
	move := c.StartMove(slot, to)
	count("before the key moves")
	for move.Keys(10) > 0 {
	}
	before := s.Counts().Repeated
	count("while the slot moves, behind the key")
	if err := s.Commit(&store.Request{Op: store.Add, Key: []byte("{0}new")}, new(store.Result)); err != nil {
		t.Errorf("add while the slot moves: %v", err)
	}
	move.Finish()
	count("after the slot has moved")
	if n := s.Counts().Repeated - before; n > 0 {
		t.Errorf("%d repetitions: redirects are to be followed", n)
	}
	free := open(t, c, impatient(timeout))
	other := open(t, c, impatient(timeout, func(cfg *Config) { cfg.Prefix = "flushed:" }))
	replica := c.ReplicasOf(to)[0]
	replica.Pause()
	began := time.Now()
	if err := y.count(s, key); !errors.Is(err, store.ErrUnknown) || time.Since(began) > timeout+margin {
		t.Errorf("count without a replica: %v after %v", err, time.Since(began))
	}
	if err := s.Commit(&store.Request{Op: store.Add, Key: []byte(key)}, new(store.Result)); !errors.Is(err, store.ErrExists) {
		t.Errorf("what changes nothing: %v", err)
	}
	// Who waits for no replica goes on, with walks and flush_all, too.
	set(t, free, key+"2", "x")
	if _, err := walk(free); err != nil {
		t.Errorf("list while a replica stands still: %v", err)
	}
	if _, err := other.FlushAll(0); err != nil {
		t.Errorf("flush_all while a replica stands still: %v", err)
	}
	replica.Continue()
	c.WaitReady()
	await(t, "a replica confirms again", func() bool { return y.count(s, key) == nil })
	if n := number(t, s, key); n < y.acked.Load() || n > y.acked.Load()+y.unknown.Load() {
		t.Errorf("counted %d, acknowledged %d, unknown %d", n, y.acked.Load(), y.unknown.Load())
	}
}

// testFailover kills a master while clients count, after flush_all.
func testFailover(t *testing.T, c *clustertest.Cluster) {
	own := impatient(3*time.Second, func(cfg *Config) { cfg.Prefix = "over:" })
	fronts := []*Store{open(t, c, own), open(t, c, own)}
	const key, dead = "{0}count", "{0}dead"
	slot := c.SlotOf(key)
	master := c.MasterOf(slot)
	set(t, fronts[0], dead, "x")
	record, err := redis.Bytes(master.Do("GET", "over:k:"+dead))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fronts[0].FlushAll(0); err != nil {
		t.Fatal(err)
	}
	c.WaitReady()
	var y tally
	var after atomic.Int64 // acknowledged after the failover
	var over, stop atomic.Bool
	var group sync.WaitGroup
	for client := range 4 {
		group.Go(func() {
			for !stop.Load() {
				was := over.Load()
				switch err := y.count(fronts[client%2], key); {
				case err == nil && was:
					after.Add(1)
				case err != nil && !errors.Is(err, store.ErrUnknown) && !errors.Is(err, store.ErrUnreached):
					t.Errorf("count: %v", err)
				}
			}
		})
	}
	await(t, "clients count", func() bool { return y.acked.Load() > 100 })
	master.Kill()
	heir := c.MasterOf(slot)
	over.Store(true)
	await(t, "clients count after the failover", func() bool { return after.Load() > 100 })
	stop.Store(true)
	group.Wait()
	if n := number(t, fronts[0], key); n < after.Load() || n > y.acked.Load()+y.unknown.Load() {
		t.Errorf("counted %d, acknowledged %d, after the failover %d, unknown %d", n, y.acked.Load(), after.Load(), y.unknown.Load())
	}
	t.Logf("acknowledged %d, after the failover %d, unknown %d", y.acked.Load(), after.Load(), y.unknown.Load())
	// The dead record stands there still, and the heir knows nothing of the flush.
	if _, err := heir.Do("SET", "over:k:"+dead, record); err != nil {
		t.Fatal(err)
	}
	forgot := 0
	for i := range floorKeys {
		if name := fronts[0].floorKey(i); c.MasterOf(c.SlotOf(name)) == heir {
			if _, err := heir.Do("DEL", name); err != nil {
				t.Fatal(err)
			}
			forgot++
		}
	}
	if forgot == 0 || forgot == floorKeys {
		t.Fatalf("the heir has %d of %d copies of the flush", forgot, floorKeys)
	}
	for _, s := range append(fronts, open(t, c, own)) {
		if has(t, s, dead) {
			t.Error("a flushed record is there after the failover")
		}
		if err := s.Commit(&store.Request{Op: store.Replace, Key: []byte(dead)}, new(store.Result)); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("replace of a flushed record after the failover: %v", err)
		}
	}
	for i := range floorKeys {
		name := fronts[0].floorKey(i)
		at := c.MasterOf(c.SlotOf(name))
		await(t, "the heir learns of the flush", func() bool {
			there, err := redis.Bool(at.Do("EXISTS", name))
			return err == nil && there
		})
	}
}
