package replication

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/record"
	"github.com/futago/futago/internal/store"
)

// cluster is a mesh of two or three nodes in one process, run inside a synctest bubble: time passes only when nothing else happens.
// The wall clocks that stamps and expiry see stand still until a test moves them.
type cluster struct {
	t         *testing.T
	wire      *wire
	wall      atomic.Int64 // of all nodes, milliseconds since hlc.Epoch
	nodes     []*testNode
	retention time.Duration       // how long deletes are remembered at least
	adapt     func(*store.Config) // changes the configuration of each store
	silence   time.Duration       // the peer timeout; 0: the default
}

// testNode is one node, running or not.
type testNode struct {
	c      *cluster
	id     int
	name   string
	offset atomic.Int64 // of its wall clock, milliseconds
	fs     *crashFS
	up     bool

	st      *store.Store
	source  *Source
	pullers []*Puller // of all other nodes
	puller  *Puller   // the first of them
	served  chan struct{}
}

// clusterTime is when every test begins.
var clusterTime = hlc.Millis(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))

// newCluster returns two nodes that do not run yet; they end with the test.
func newCluster(t *testing.T) *cluster { return newMesh(t, 2) }

func newMesh(t *testing.T, nodes int) *cluster {
	c := &cluster{t: t, wire: newWire(), retention: 20 * 365 * 24 * time.Hour}
	c.wall.Store(clusterTime)
	for i, name := range []string{"a", "b", "c"}[:nodes] {
		c.nodes = append(c.nodes, &testNode{c: c, id: i + 1, name: name, fs: newCrashFS()})
	}
	return c
}

// startCluster returns two running nodes in sync.
func startCluster(t *testing.T) *cluster {
	c := newCluster(t)
	c.start()
	return c
}

func (c *cluster) start() {
	c.t.Helper()
	for _, n := range c.nodes {
		if err := n.start(); err != nil {
			c.t.Fatal(err)
		}
	}
	c.sync()
	c.wall.Add(1) // what the nodes wrote to know each other is behind them
}

// stop ends both nodes; no goroutine may be left at the end of the bubble.
func (c *cluster) stop() {
	c.wire.setCut(true)
	for _, n := range c.nodes {
		if n.up {
			n.kill()
		}
	}
	c.wire.carriers.Wait()
}

func (c *cluster) a() *testNode { return c.nodes[0] }
func (c *cluster) b() *testNode { return c.nodes[1] }

func (n *testNode) peer() *testNode { return n.others()[0] }

// others are the other nodes of the mesh, in order.
func (n *testNode) others() (list []*testNode) {
	for _, o := range n.c.nodes {
		if o != n {
			list = append(list, o)
		}
	}
	return list
}

func (n *testNode) now() time.Time {
	return hlc.Epoch.Add(time.Duration(n.c.wall.Load()+n.offset.Load()) * time.Millisecond)
}

func (n *testNode) millis() int64 { return hlc.Millis(n.now()) }

// start opens the store on what its file system holds and joins the wire.
func (n *testNode) start() error {
	cfg := store.DefaultConfig()
	cfg.FS, cfg.InMemory, cfg.Node, cfg.Now = n.fs, false, n.id, n.now
	cfg.SegmentSize, cfg.LogRetain, cfg.AckPeer, cfg.AckTimeout, cfg.AwaitPeer = 16<<10, 256<<10, true, time.Second, true
	cfg.TombstoneRetention = n.c.retention
	if os.Getenv("FUTAGO_TEST_LOG") != "" {
		cfg.Logger = slog.New(slog.NewTextHandler(os.Stderr, nil)).With("on", n.name)
	}
	cfg.Damaged = func(part int) {
		for _, p := range n.pullers {
			p.Mend(part)
		}
	}
	if n.c.adapt != nil {
		n.c.adapt(&cfg)
	}
	st, err := store.Open(cfg)
	if err != nil {
		return fmt.Errorf("open store of %s: %w", n.name, err)
	}
	n.st, n.up = st, true
	ln := n.c.wire.listen(n.name)
	n.source = NewSource(SourceConfig{Store: st, Node: n.id, PeerTimeout: n.c.silence, Logger: cfg.Logger}, ln)
	n.served = make(chan struct{})
	go func() {
		defer close(n.served)
		n.source.Serve()
	}()
	n.pullers = nil
	for _, o := range n.others() {
		p := NewPuller(PullerConfig{Store: st, Node: n.id, Addr: o.name, PeerTimeout: n.c.silence, Durable: true, VerifyEvery: 3 * time.Second, Dial: n.c.wire.dial(n.name, o.name), Logger: cfg.Logger})
		p.Start()
		n.pullers = append(n.pullers, p)
	}
	n.puller = n.pullers[0]
	return nil
}

// end stops what runs; the file system must have been replaced before when the end is not an orderly one.
func (n *testNode) end() {
	n.up = false
	for _, p := range n.pullers {
		p.Stop()
	}
	n.source.Close()
	<-n.served
	n.st.Close()
}

// stopOrderly closes the node as an operator would.
func (n *testNode) stopOrderly() { n.end() }

// kill is the death of the process: what was written to files stays.
func (n *testNode) kill() {
	n.c.wire.sever(n.name)
	n.fs = n.fs.afterKill()
	n.end()
}

// power is the loss of power: what was not synced is lost, or with a random source any part of it.
func (n *testNode) power(random *rand.Rand) {
	n.c.wire.sever(n.name)
	n.fs = n.fs.afterPowerLoss(random)
	n.end()
}

// wipe is the loss of the disk.
func (n *testNode) wipe() {
	n.c.wire.sever(n.name)
	n.fs = newCrashFS()
	n.end()
}

// commit executes an operation and hands it to the OS, as a session does after a round.
func (n *testNode) commit(req store.Request) (store.Result, error) {
	var res store.Result
	err := n.st.Commit(&req, &res)
	n.st.Flush()
	return res, err
}

// get returns what a client reads.
func (n *testNode) get(key string) (string, bool) {
	var v store.View
	if !n.st.Acquire([]byte(key), &v) {
		return "", false
	}
	defer v.Release()
	return string(v.Value), true
}

// records returns every record that the node holds, by key; floors have none and are left out.
func (n *testNode) records() map[string]record.Record {
	all := map[string]record.Record{}
	n.st.BeginScan()
	defer n.st.EndScan()
	for part := range store.ScanParts {
		n.st.ScanPart(part, func(r *record.Record) bool {
			all[string(r.Key)] = r.Clone()
			return false
		}, func() bool { return true })
	}
	return all
}

// holdsAll reports whether n has applied everything that the others have written.
func (n *testNode) holdsAll() bool {
	for i, o := range n.others() {
		end := o.st.Log().Written()
		if st := n.pullers[i].Status(); !st.CaughtUp || st.State != "stream" || st.Applied != end {
			return false
		}
	}
	return true
}

// sync waits until all nodes hold everything.
func (c *cluster) sync() {
	c.t.Helper()
	if !c.trySync() {
		c.t.Fatalf("nodes do not come together:%s", c.links())
	}
}

// links describes what each node follows.
func (c *cluster) links() (text string) {
	for _, n := range c.nodes {
		if n.up {
			for _, p := range n.pullers {
				text += fmt.Sprintf("\n%s follows %+v", n.name, p.Status())
			}
		}
	}
	return text
}

func (c *cluster) trySync() bool {
	return c.until(func() bool {
		for _, n := range c.nodes {
			if !n.holdsAll() {
				return false
			}
		}
		return true
	})
}

// until waits in the bubble's time, which passes only while everything is idle; false when the condition does not come.
func (c *cluster) until(ok func() bool) bool {
	for range 3000 {
		if ok() {
			return true
		}
		time.Sleep(10 * time.Millisecond)
	}
	return false
}

// equal compares what all nodes hold and returns the first difference, "" for none. What a node may have forgotten counts
// as nothing.
func (c *cluster) equal() string {
	all := make([]map[string]record.Record, len(c.nodes))
	for i, n := range c.nodes {
		all[i] = n.records()
	}
	for i, n := range c.nodes {
		for j, o := range c.nodes {
			for key, r := range all[i] {
				if n.flushed(&r) || n.settled(&r) {
					continue // a floor or the horizon may be swept on one node and not yet on the other
				}
				s, ok := all[j][key]
				if !ok {
					return fmt.Sprintf("%q: %s has %s, %s has nothing", key, n.name, describe(&r), o.name)
				}
				if !record.Equal(&r, &s) {
					return fmt.Sprintf("%q: %s has %s, %s has %s", key, n.name, describe(&r), o.name, describe(&s))
				}
			}
		}
	}
	return ""
}

// settled reports whether some node may have forgotten the record: it is deleted or has expired.
func (n *testNode) settled(r *record.Record) bool {
	born := n.st.Born()
	return r.NewestStamp() <= born && (r.Kind == record.Tombstone || r.ExpiredAt(n.millis()) && hlc.Make(int64(r.Expires), 0, 0) <= born)
}

// flushed reports whether a flush that is in force at the node killed the record.
func (n *testNode) flushed(r *record.Record) bool {
	now := max(n.millis(), n.st.Clock().Last().Millis())
	for _, f := range n.st.Floors() {
		if f.FloorStamp().Millis() <= now && r.DeadBelow(f.FloorStamp()) {
			return true
		}
	}
	return false
}

func describe(r *record.Record) string {
	s := fmt.Sprintf("%v gen %v stamp %v", r.Kind, r.Gen(), r.Stamp)
	if r.Kind == record.Counter {
		c, _ := record.DecodeCounter(r.Value)
		s += fmt.Sprintf(" base %q@%v", c.Base, c.BaseStamp)
		for i := range c.N() {
			s += fmt.Sprintf(" %+d@%v(%x)", c.At(i).Sum, c.At(i).Stamp, c.At(i).Epoch>>48)
		}
	} else if r.Kind == record.Value {
		s += fmt.Sprintf(" value %.40q", r.Value)
	}
	if r.Expires != 0 {
		s += fmt.Sprintf(" expires %d", r.Expires)
	}
	return s
}
