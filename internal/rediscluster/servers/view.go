package servers

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/gomodule/redigo/redis"
)

// View is the cluster as one server sees it.
type View struct {
	Members []Member
	Owners  [Slots]string // the id of each slot's keeper, "" for none
}

// Member is a server in a view.
type Member struct {
	ID      string
	Flags   []string
	Follows string // the id of its master, "" for a master
	Epoch   int64  // of its claim to its slots: the highest wins
}

func (m Member) has(flag string) bool { return slices.Contains(m.Flags, flag) }

// Master says whether it is one; somebody who is being introduced is taken for one, too.
func (m Member) Master() bool { return m.has("master") }

// View asks the server.
func (s *Server) View() (*View, error) {
	text, err := redis.String(s.Do("CLUSTER", "NODES"))
	if err != nil {
		return nil, err
	}
	v, err := parseView(text)
	if err != nil {
		return nil, fmt.Errorf("CLUSTER NODES at %s: %w", s.Addr, err)
	}
	return v, nil
}

// parseView reads the reply to CLUSTER NODES, a line for each server:
//
//	ID HOST:PORT@PORT FLAG,FLAG MASTER PING PONG EPOCH LINK SLOT FIRST-LAST [SLOT->-ID]
//
// Slots are named behind their keeper; those in brackets are on their way.
func parseView(text string) (*View, error) {
	v := &View{}
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 8 {
			return nil, fmt.Errorf("line %.200q: %d fields, want 8 or more", line, len(fields))
		}
		m := Member{ID: fields[0], Flags: strings.Split(fields[2], ","), Follows: strings.TrimPrefix(fields[3], "-")}
		var err error
		if m.Epoch, err = strconv.ParseInt(fields[6], 10, 64); err != nil {
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
				v.Owners[slot] = m.ID
			}
		}
		v.Members = append(v.Members, m)
	}
	if !slices.ContainsFunc(v.Members, func(m Member) bool { return m.has("myself") }) {
		return nil, fmt.Errorf("no line is that of the server itself")
	}
	return v, nil
}

// Self is the server that was asked.
func (v *View) Self() Member {
	return v.Members[slices.IndexFunc(v.Members, func(m Member) bool { return m.has("myself") })]
}

func (v *View) member(id string) (Member, bool) {
	i := slices.IndexFunc(v.Members, func(m Member) bool { return m.ID == id })
	if i < 0 {
		return Member{}, false
	}
	return v.Members[i], true
}

// knows says whether the introduction of a server is over.
func (v *View) knows(id string) bool {
	m, ok := v.member(id)
	return ok && !m.has("handshake") && !m.has("noaddr")
}

// Views are those of several servers, in their order.
type Views []*View

// ViewsOf asks all servers, which are at least one and run.
func ViewsOf(running []*Server) (all Views, err error) {
	for _, s := range running {
		v, err := s.View()
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

// Agree returns nil when the servers have the same view of who keeps each slot, and of what each of them is and since when.
func (all Views) Agree(running []*Server) error {
	for i, v := range all {
		for slot, owner := range v.Owners {
			if first := all[0].Owners[slot]; owner != first {
				return fmt.Errorf("slot %d: kept by %q says %s, by %q says %s", slot, first, running[0].Addr, owner, running[i].Addr)
			}
		}
		for j, s := range running {
			self := all[j].Self()
			m, ok := v.member(s.ID)
			if ok && m.Epoch != self.Epoch {
				return fmt.Errorf("%s has %s in epoch %d, that is in epoch %d", running[i].Addr, s.Addr, m.Epoch, self.Epoch)
			}
			if !ok || m.Master() != self.Master() || m.Follows != self.Follows || m.has("fail") || m.has("fail?") {
				return fmt.Errorf("%s takes %s for %q of %q, that itself for %q of %q", running[i].Addr, s.Addr, m.Flags, m.Follows, self.Flags, self.Follows)
			}
		}
	}
	return nil
}
