//go:build linux

// Package clustertest starts clusters of real Redis servers for tests, each on a loopback address of its own, and
// troubles them: servers die, stand still and come back, slots move to another server or to none. It tells what the
// servers say themselves, and keeps no picture of the cluster of its own.
//
// The functions without an error fail the test when they cannot do what they promise, so they belong to the goroutine of
// the test; Node.Do may be called by any.
package clustertest

import (
	"cmp"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"
)

// Slots is how many slots a cluster has, whatever its size.
const Slots = 16384

// Config says what Start starts. The zero value is three masters without replicas.
type Config struct {
	// Masters is how many servers share the slots at the start, in equal parts; 0 is 3.
	Masters int
	// Replicas is how many servers follow each master.
	Replicas int
	// NodeTimeout is how long a server may be silent before the others take it for dead; 0 is a second. On a busy machine a
	// small one makes replicas take over for no reason.
	NodeTimeout time.Duration
	// Password is that of clients, and of the servers among themselves; empty for none.
	Password string
	// Args are further arguments of every server, such as "--maxmemory", "2mb". They win over those of this package, which
	// keep no data on disk: a server that is started again is empty until it has copied its master's data.
	Args []string
}

// Cluster is a running cluster. It ends with the test, and with the process of the test however that ends.
type Cluster struct {
	t      testing.TB
	config Config
	nodes  []*Node // the first masters, then their replicas in turn
}

const (
	program = "redis-server"
	// patience is how long a busy machine may take for anything.
	patience = time.Minute
	// pollInterval is how often a condition is looked at.
	pollInterval = 10 * time.Millisecond
)

// Start starts a cluster and returns when WaitReady is content. It takes two to three seconds: for two of them the
// servers refuse writes on principle.
func Start(t testing.TB, config Config) *Cluster {
	t.Helper()
	config.Masters = cmp.Or(config.Masters, 3)
	config.NodeTimeout = cmp.Or(config.NodeTimeout, time.Second)
	path, err := exec.LookPath(program)
	if err != nil {
		t.Fatalf("start a cluster: %s is not installed: run scripts/test-deps, or install the Debian package %s", program, program)
	}
	c := &Cluster{t: t, config: config}
	size := config.Masters * (1 + config.Replicas)
	host := newHost()
	// A server's second port, for the others, is free too; by default it would be 10,000 above the first.
	ports, err := freePorts(host, 2*size)
	if err != nil {
		t.Fatalf("start a cluster: %v", err)
	}
	dir := t.TempDir()
	for i := range size {
		n := &Node{
			Addr: net.JoinHostPort(host, strconv.Itoa(ports[2*i])), cluster: c, program: path,
			host: host, port: ports[2*i], busPort: ports[2*i+1], dir: filepath.Join(dir, strconv.Itoa(i)),
		}
		if err := os.Mkdir(n.dir, 0o700); err != nil {
			t.Fatalf("start a cluster: %v", err)
		}
		c.nodes = append(c.nodes, n)
		n.start()
	}
	for i, n := range c.nodes {
		n.awaitAnswer()
		n.ID = c.text(n, "CLUSTER", "MYID")
		c.must(n, "CLUSTER", "SET-CONFIG-EPOCH", i+1)
		if i < config.Masters {
			c.must(n, "CLUSTER", "ADDSLOTSRANGE", Slots*i/config.Masters, Slots*(i+1)/config.Masters-1)
		}
	}
	c.meet()
	for i, n := range c.nodes[config.Masters:] {
		c.must(n, "CLUSTER", "REPLICATE", c.nodes[i%config.Masters].ID)
	}
	c.WaitReady()
	return c
}

// meet makes all servers known to each other. Each pair is introduced: news that go round take longer.
func (c *Cluster) meet() {
	c.t.Helper()
	var asked time.Time
	c.wait("all servers know each other", func() error {
		again := time.Since(asked) > 2*c.config.NodeTimeout // an introduction is forgotten when it takes too long
		if again {
			asked = time.Now()
		}
		var missing error
		for i, n := range c.nodes {
			v, err := n.view()
			if err != nil {
				return err
			}
			for j, other := range c.nodes {
				if i == j || v.knows(other.ID) {
					continue
				}
				missing = fmt.Errorf("%s does not know %s", n.Addr, other.Addr)
				if again && i < j {
					c.must(n, "CLUSTER", "MEET", other.host, other.port, other.busPort)
				}
			}
		}
		return missing
	})
}

// Addrs returns the addresses of all servers, those that do not run included.
func (c *Cluster) Addrs() []string {
	addrs := make([]string, len(c.nodes))
	for i, n := range c.nodes {
		addrs[i] = n.Addr
	}
	return addrs
}

// Nodes returns all servers: first those that were masters at the start, in the order of their slots, then their first
// replicas in the same order, then their second ones.
func (c *Cluster) Nodes() []*Node { return slices.Clone(c.nodes) }

// Masters returns the running servers that take themselves for masters, also one without slots.
func (c *Cluster) Masters() (masters []*Node) {
	c.t.Helper()
	for _, n := range c.running() {
		if n.Role() == Master {
			masters = append(masters, n)
		}
	}
	return masters
}

// MasterOf returns the running server that keeps a slot. Where that one was killed or stopped it waits until a replica
// has taken its place.
func (c *Cluster) MasterOf(slot int) (master *Node) {
	c.t.Helper()
	c.wait(fmt.Sprintf("slot %d has a master", slot), func() error {
		master = nil
		epoch := int64(-1)
		for _, n := range c.running() {
			v, err := n.view()
			if err != nil {
				return err
			}
			// A master that was away may take itself for the keeper still, of an older time.
			if self := v.self(); self.master() && v.owners[slot] == self.id && self.epoch > epoch {
				master, epoch = n, self.epoch
			}
		}
		if master == nil {
			return fmt.Errorf("no running server says that it keeps slot %d", slot)
		}
		return nil
	})
	return master
}

// ReplicasOf returns the running servers that follow a master.
func (c *Cluster) ReplicasOf(master *Node) (replicas []*Node) {
	c.t.Helper()
	for _, n := range c.running() {
		v, err := n.view()
		if err != nil {
			c.t.Fatal(err)
		}
		if v.self().follows == master.ID {
			replicas = append(replicas, n)
		}
	}
	return replicas
}

// SlotOf returns the slot of a key as the servers compute it.
func (c *Cluster) SlotOf(key string) int {
	c.t.Helper()
	slot, err := redis.Int(c.running()[0].Do("CLUSTER", "KEYSLOT", key))
	if err != nil {
		c.t.Fatalf("ask for the slot of %q: %v", key, err)
	}
	return slot
}

// FlushAll empties the cluster.
func (c *Cluster) FlushAll() {
	c.t.Helper()
	for _, n := range c.Masters() {
		c.must(n, "FLUSHALL")
	}
}

// WaitReady waits until the running servers serve all slots, agree who keeps which and who follows whom, and each replica
// has what its master had.
func (c *Cluster) WaitReady() {
	c.t.Helper()
	c.wait("the cluster is ready", func() error {
		running := c.running()
		views, err := c.views(running)
		if err != nil {
			return err
		}
		if err := views.agree(running); err != nil {
			return err
		}
		for slot, owner := range views[0].owners {
			if !slices.ContainsFunc(running, func(n *Node) bool { return n.ID == owner }) {
				return fmt.Errorf("slot %d: kept by %q, which does not run", slot, owner)
			}
		}
		for i, n := range running {
			state, err := n.info("CLUSTER INFO", "cluster_state")
			if err != nil {
				return err
			}
			if state != "ok" {
				return fmt.Errorf("%s: cluster_state is %q", n.Addr, state)
			}
			if master := views[i].self().follows; master != "" {
				if err := c.inSync(n, master); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// inSync returns nil when a replica has at least what its master has now, also when that does not run.
func (c *Cluster) inSync(replica *Node, master string) error {
	i := slices.IndexFunc(c.running(), func(n *Node) bool { return n.ID == master })
	if i < 0 {
		return nil
	}
	text, err := c.running()[i].info("INFO replication", "master_repl_offset")
	if err != nil {
		return err
	}
	want, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return err
	}
	if link, err := replica.info("INFO replication", "master_link_status"); err != nil || link != "up" {
		return fmt.Errorf("%s: its link to the master is %q, error %v", replica.Addr, link, err)
	}
	if text, err = replica.info("INFO replication", "slave_repl_offset"); err != nil {
		return err
	}
	if got, err := strconv.ParseInt(text, 10, 64); err != nil || got < want {
		return fmt.Errorf("%s: it has %q of its master's %d bytes", replica.Addr, text, want)
	}
	return nil
}

// running are the servers that were neither killed nor stopped.
func (c *Cluster) running() (running []*Node) {
	for _, n := range c.nodes {
		if n.isRunning() {
			running = append(running, n)
		}
	}
	return running
}

// must sends a command whose reply does not matter.
func (c *Cluster) must(n *Node, command string, args ...any) {
	c.t.Helper()
	if _, err := n.Do(command, args...); err != nil {
		c.t.Fatal(err)
	}
}

// text sends a command that is answered by a text.
func (c *Cluster) text(n *Node, command string, args ...any) string {
	c.t.Helper()
	text, err := redis.String(n.Do(command, args...))
	if err != nil {
		c.t.Fatal(err)
	}
	return text
}

// wait polls until ok returns nil. It fails the test when a server has ended by itself meanwhile.
func (c *Cluster) wait(what string, ok func() error) {
	c.t.Helper()
	for deadline := time.Now().Add(patience); ; <-time.After(pollInterval) {
		err := ok()
		if err == nil {
			return
		}
		for _, n := range c.nodes {
			if end := n.ended(); end != "" {
				c.t.Fatalf("wait until %s: server %s ended: %s", what, n.Addr, end)
			}
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("waited %v until %s: %v", patience, what, err)
		}
	}
}

// hosts counts the clusters of this process.
var hosts atomic.Uint32

// newHost returns an address of the loopback network that other clusters hardly have at the same time. A port that was
// free there once stays free: clients are numbered at 127.0.0.1 and cannot take it while its owner is down.
func newHost() string {
	pid := os.Getpid()
	return fmt.Sprintf("127.%d.%d.%d", 192+pid>>8%62, pid&0xFF, 1+hosts.Add(1)%250)
}

// freePorts returns n different ports of a host.
func freePorts(host string, n int) (ports []int, err error) {
	for range n {
		l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		defer l.Close() // only at the end: until then nobody gets the port again
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}
