//go:build linux

package clustertest

import (
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/futago/futago/internal/rediscluster/servers"
)

const (
	// moveBatch is how many keys Reshard moves at once.
	moveBatch = 100
	// moveTimeout is how long a server waits for the one that it gives keys to.
	moveTimeout = 10 * time.Second
)

// Reshard moves slots to another master, one after the other and with their keys, while clients go on, and waits until
// all running servers know.
func (c *Cluster) Reshard(to *Node, slots ...int) {
	c.t.Helper()
	for _, slot := range slots {
		m := c.StartMove(slot, to)
		for m.Keys(moveBatch) > 0 {
		}
		m.Finish()
	}
}

// Move is a slot on its way to another master. Until Finish the old one answers ASK for the keys that it does not have
// or no longer has; afterwards it answers MOVED.
type Move struct {
	cluster  *Cluster
	slot     int
	from, to *Node
}

// StartMove begins to move a slot, and moves no key yet.
func (c *Cluster) StartMove(slot int, to *Node) *Move {
	c.t.Helper()
	// A taker that has not heard of the giver's epoch would not begin a higher one: an old message of the giver would take the slot
	// back, and its keys with it.
	c.waitAgreed()
	m := &Move{c, slot, c.MasterOf(slot), to}
	if m.from == to {
		c.t.Fatalf("move slot %d: %s has it already", slot, to.Addr)
	}
	// The taker first: the giver sends clients to it.
	c.must(to, "CLUSTER", "SETSLOT", slot, "IMPORTING", m.from.ID)
	c.must(m.from, "CLUSTER", "SETSLOT", slot, "MIGRATING", to.ID)
	return m
}

// Keys moves up to limit keys and returns how many are left.
func (m *Move) Keys(limit int) (left int) {
	m.cluster.t.Helper()
	keys, err := redis.Values(m.from.Do("CLUSTER", "GETKEYSINSLOT", m.slot, limit))
	if err == nil && len(keys) > 0 {
		host, port, _ := net.SplitHostPort(m.to.Addr)
		args := redis.Args{host, port, "", 0, moveTimeout.Milliseconds()}
		if password := m.cluster.config.Password; password != "" {
			args = args.Add("AUTH", password)
		}
		_, err = m.from.Do("MIGRATE", append(args.Add("KEYS"), keys...)...)
	}
	if err == nil {
		left, err = redis.Int(m.from.Do("CLUSTER", "COUNTKEYSINSLOT", m.slot))
	}
	if err != nil {
		m.cluster.t.Fatalf("move slot %d: %v", m.slot, err)
	}
	return left
}

// Finish gives the slot, whose keys have been moved, to the new master, and waits until all running servers know.
func (m *Move) Finish() {
	c := m.cluster
	c.t.Helper()
	// The taker first: if the giver went first and both lost their memory of it, nobody would have the slot.
	for _, n := range []*Node{m.to, m.from} {
		c.must(n, "CLUSTER", "SETSLOT", m.slot, "NODE", m.to.ID)
	}
	c.waitOwner(m.slot, m.slot, m.to.ID)
	c.waitAgreed()
}

// DropSlots takes the slots from first to last from whoever keeps them, and waits until all running servers know. The keys stay
// where they are. All of the cluster refuses service then, or with "--cluster-require-full-coverage", "no" these slots only.
func (c *Cluster) DropSlots(first, last int) {
	c.t.Helper()
	// A message of before may bring a slot back, so nobody may know a keeper twice in succession: by the second time every
	// server has been through all that was sent before the first.
	clean := 0
	c.wait(fmt.Sprintf("slots %d to %d have no master", first, last), func() error {
		running := c.running()
		views, err := servers.ViewsOf(serversOf(running))
		if err != nil {
			return err
		}
		clean++
		for _, keepers := range []bool{true, false} { // the keepers first: they tell the others
			for i, n := range running {
				args := redis.Args{"DELSLOTS"}
				for slot := first; slot <= last; slot++ {
					if owner := views[i].Owners[slot]; owner != "" && (owner == n.ID) == keepers {
						args = args.Add(slot)
					}
				}
				if len(args) > 1 {
					clean = 0
					if _, err := n.Do("CLUSTER", args...); err != nil {
						return err // it learnt of it meanwhile
					}
				}
			}
		}
		if clean < 2 {
			return fmt.Errorf("a server knew a keeper")
		}
		return nil
	})
}

// AssignSlots gives the slots from first to last, which nobody keeps, to a master, and waits until all running servers know.
func (c *Cluster) AssignSlots(to *Node, first, last int) {
	c.t.Helper()
	c.must(to, "CLUSTER", "ADDSLOTSRANGE", first, last)
	c.waitOwner(first, last, to.ID)
}

// waitAgreed waits until all running servers have one view of the cluster.
func (c *Cluster) waitAgreed() {
	c.t.Helper()
	c.wait("the servers agree", func() error {
		running := c.running()
		views, err := servers.ViewsOf(serversOf(running))
		if err != nil {
			return err
		}
		return views.Agree(serversOf(running))
	})
}

// waitOwner waits until all running servers know who keeps the slots from first to last.
func (c *Cluster) waitOwner(first, last int, id string) {
	c.t.Helper()
	c.wait("slots from "+strconv.Itoa(first)+" on have their new master", func() error {
		running := c.running()
		views, err := servers.ViewsOf(serversOf(running))
		if err != nil {
			return err
		}
		for i, v := range views {
			for slot := first; slot <= last; slot++ {
				if v.Owners[slot] != id {
					return fmt.Errorf("slot %d: kept by %q says %s, want %s", slot, v.Owners[slot], running[i].Addr, id)
				}
			}
		}
		return nil
	})
}
