//go:build linux

package clustertest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/gomodule/redigo/redis"
)

// view is the cluster as one server sees it.
type view struct {
	members []member
	owners  [Slots]string // the id of each slot's keeper, "" for none
}

// member is a server in a view.
type member struct {
	id      string
	flags   []string
	follows string // the id of its master, "" for a master
	epoch   int64  // of its claim to its slots: the highest wins
}

func (m member) has(flag string) bool { return slices.Contains(m.flags, flag) }

// master says whether it is one; somebody who is being introduced is taken for one, too.
func (m member) master() bool { return m.has("master") }

// view asks the server.
func (n *Node) view() (*view, error) {
	text, err := redis.String(n.Do("CLUSTER", "NODES"))
	if err != nil {
		return nil, err
	}
	v, err := parseView(text)
	if err != nil {
		return nil, fmt.Errorf("CLUSTER NODES at %s: %w", n.Addr, err)
	}
	return v, nil
}

// parseView reads the reply to CLUSTER NODES, a line for each server:
//
//	ID HOST:PORT@PORT FLAG,FLAG MASTER PING PONG EPOCH LINK SLOT FIRST-LAST [SLOT->-ID]
//
// Slots are named behind their keeper; those in brackets are on their way.
func parseView(text string) (*view, error) {
	v := &view{}
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 8 {
			return nil, fmt.Errorf("line %.200q: %d fields, want 8 or more", line, len(fields))
		}
		m := member{id: fields[0], flags: strings.Split(fields[2], ","), follows: strings.TrimPrefix(fields[3], "-")}
		var err error
		if m.epoch, err = strconv.ParseInt(fields[6], 10, 64); err != nil {
			return nil, fmt.Errorf("line %.200q: epoch: %w", line, err)
		}
		for _, part := range fields[8:] {
			if strings.HasPrefix(part, "[") {
				continue
			}
			first, last, isRange := strings.Cut(part, "-")
			if !isRange {
				last = first
			}
			a, errA := strconv.Atoi(first)
			b, errB := strconv.Atoi(last)
			if errA != nil || errB != nil || a < 0 || a > b || b >= Slots {
				return nil, fmt.Errorf("line %.200q: slots %q", line, part)
			}
			for slot := a; slot <= b; slot++ {
				v.owners[slot] = m.id
			}
		}
		v.members = append(v.members, m)
	}
	if !slices.ContainsFunc(v.members, func(m member) bool { return m.has("myself") }) {
		return nil, fmt.Errorf("no line is that of the server itself")
	}
	return v, nil
}

// self is the server that was asked.
func (v *view) self() member {
	return v.members[slices.IndexFunc(v.members, func(m member) bool { return m.has("myself") })]
}

func (v *view) member(id string) (member, bool) {
	i := slices.IndexFunc(v.members, func(m member) bool { return m.id == id })
	if i < 0 {
		return member{}, false
	}
	return v.members[i], true
}

// knows says whether the introduction of a server is over.
func (v *view) knows(id string) bool {
	m, ok := v.member(id)
	return ok && !m.has("handshake") && !m.has("noaddr")
}

// views are those of several servers.
type views []*view

func (c *Cluster) views(nodes []*Node) (all views, err error) {
	for _, n := range nodes {
		v, err := n.view()
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("no server runs")
	}
	return all, nil
}

// agree returns nil when the servers have the same view of who keeps each slot, and of what each of them is and since when.
func (all views) agree(nodes []*Node) error {
	for i, v := range all {
		for slot, owner := range v.owners {
			if first := all[0].owners[slot]; owner != first {
				return fmt.Errorf("slot %d: kept by %q says %s, by %q says %s", slot, first, nodes[0].Addr, owner, nodes[i].Addr)
			}
		}
		for j, n := range nodes {
			self := all[j].self()
			m, ok := v.member(n.ID)
			if ok && m.epoch != self.epoch {
				return fmt.Errorf("%s has %s in epoch %d, that is in epoch %d", nodes[i].Addr, n.Addr, m.epoch, self.epoch)
			}
			if !ok || m.master() != self.master() || m.follows != self.follows || m.has("fail") || m.has("fail?") {
				return fmt.Errorf("%s takes %s for %q of %q, that itself for %q of %q", nodes[i].Addr, n.Addr, m.flags, m.follows, self.flags, self.follows)
			}
		}
	}
	return nil
}
