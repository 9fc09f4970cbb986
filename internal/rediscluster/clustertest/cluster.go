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

	"github.com/futago/futago/internal/rediscluster/servers"
)

// Slots is how many slots a cluster has, whatever its size.
const Slots = servers.Slots

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
			Server: servers.Server{
				Addr: net.JoinHostPort(host, strconv.Itoa(ports[2*i])), BusPort: ports[2*i+1], Password: config.Password,
			},
			cluster: c, program: path, dir: filepath.Join(dir, strconv.Itoa(i)),
		}
		if err := os.Mkdir(n.dir, 0o700); err != nil {
			t.Fatalf("start a cluster: %v", err)
		}
		c.nodes = append(c.nodes, n)
		n.start()
	}
	if err := servers.Assemble(serversOf(c.nodes), config.Masters, config.NodeTimeout, c.poll); err != nil {
		t.Fatalf("start a cluster: %v", err)
	}
	return c
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
			v, err := n.View()
			if err != nil {
				return err
			}
			// A master that was away may take itself for the keeper still, of an older time.
			if self := v.Self(); self.Master() && v.Owners[slot] == self.ID && self.Epoch > epoch {
				master, epoch = n, self.Epoch
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
		v, err := n.View()
		if err != nil {
			c.t.Fatal(err)
		}
		if v.Self().Follows == master.ID {
			replicas = append(replicas, n)
		}
	}
	return replicas
}

// SlotOf returns the slot of a key as the servers compute it.
func (c *Cluster) SlotOf(key string) int {
	c.t.Helper()
	slot, err := c.running()[0].Server.SlotOf(key)
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
	c.wait("the cluster is ready", func() error { return servers.Ready(serversOf(c.running())) })
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

// serversOf are the nodes without their processes.
func serversOf(nodes []*Node) (all []*servers.Server) {
	for _, n := range nodes {
		all = append(all, &n.Server)
	}
	return all
}

// must sends a command whose reply does not matter.
func (c *Cluster) must(n *Node, command string, args ...any) {
	c.t.Helper()
	if _, err := n.Do(command, args...); err != nil {
		c.t.Fatal(err)
	}
}

// wait is poll, whose error fails the test.
func (c *Cluster) wait(what string, ok func() error) {
	c.t.Helper()
	if err := c.poll(what, ok); err != nil {
		c.t.Fatal(err)
	}
}

// poll polls until ok returns nil. It gives up when a server has ended by itself meanwhile.
func (c *Cluster) poll(what string, ok func() error) error {
	for deadline := time.Now().Add(patience); ; <-time.After(pollInterval) {
		err := ok()
		if err == nil {
			return nil
		}
		for _, n := range c.nodes {
			if end := n.ended(); end != "" {
				return fmt.Errorf("wait until %s: server %s ended: %s", what, n.Addr, end)
			}
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("waited %v until %s: %w", patience, what, err)
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
