package servers

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/gomodule/redigo/redis"
)

// Wait polls until ok returns nil, and gives up with an error that says what was waited for.
type Wait func(what string, ok func() error) error

// Assemble makes empty servers that run one cluster, and returns when Ready is content. The first ones are its masters and share the
// slots in equal parts; the others follow them in turn. nodeTimeout is that of their arguments.
//
// It takes two to three seconds: for two of them the servers refuse writes on principle.
func Assemble(all []*Server, masters int, nodeTimeout time.Duration, wait Wait) error {
	for i, s := range all {
		err := wait("server "+s.Addr+" answers", func() error {
			_, err := s.Do("PING")
			return err
		})
		if err != nil {
			return err
		}
		if s.ID, err = redis.String(s.Do("CLUSTER", "MYID")); err != nil {
			return err
		}
		if _, err := s.Do("CLUSTER", "SET-CONFIG-EPOCH", i+1); err != nil {
			return err
		}
		if i >= masters {
			continue
		}
		if _, err := s.Do("CLUSTER", "ADDSLOTSRANGE", Slots*i/masters, Slots*(i+1)/masters-1); err != nil {
			return err
		}
	}
	if err := meet(all, nodeTimeout, wait); err != nil {
		return err
	}
	for i, s := range all[masters:] {
		if _, err := s.Do("CLUSTER", "REPLICATE", all[i%masters].ID); err != nil {
			return err
		}
	}
	return wait("the cluster is ready", func() error { return Ready(all) })
}

// meet makes all servers known to each other. Each pair is introduced: news that go round take longer.
func meet(all []*Server, nodeTimeout time.Duration, wait Wait) error {
	var asked time.Time
	return wait("all servers know each other", func() error {
		again := time.Since(asked) > 2*nodeTimeout // an introduction is forgotten when it takes too long
		if again {
			asked = time.Now()
		}
		var missing error
		for i, s := range all {
			v, err := s.View()
			if err != nil {
				return err
			}
			for j, other := range all {
				if i == j || v.knows(other.ID) {
					continue
				}
				missing = fmt.Errorf("%s does not know %s", s.Addr, other.Addr)
				if again && i < j {
					if err := s.meet(other); err != nil {
						return err
					}
				}
			}
		}
		return missing
	})
}

func (s *Server) meet(other *Server) error {
	host, port, err := net.SplitHostPort(other.Addr)
	if err == nil {
		_, err = s.Do("CLUSTER", "MEET", host, port, other.BusPort)
	}
	return err
}

// Ready returns nil when these servers, which are all that run, serve all slots, agree who keeps which and who follows whom, and each
// replica has what its master had.
func Ready(running []*Server) error {
	views, err := ViewsOf(running)
	if err != nil {
		return err
	}
	if err := views.Agree(running); err != nil {
		return err
	}
	for slot, owner := range views[0].Owners {
		if !slices.ContainsFunc(running, func(s *Server) bool { return s.ID == owner }) {
			return fmt.Errorf("slot %d: kept by %q, which does not run", slot, owner)
		}
	}
	for i, s := range running {
		state, err := s.info("CLUSTER INFO", "cluster_state")
		if err != nil {
			return err
		}
		if state != "ok" {
			return fmt.Errorf("%s: cluster_state is %q", s.Addr, state)
		}
		j := slices.IndexFunc(running, func(m *Server) bool { return m.ID == views[i].Self().Follows })
		if j < 0 {
			continue // a master, or its master does not run
		}
		if err := s.inSync(running[j]); err != nil {
			return err
		}
	}
	return nil
}

// inSync returns nil when a replica has at least what its master has now.
func (s *Server) inSync(master *Server) error {
	text, err := master.info("INFO replication", "master_repl_offset")
	if err != nil {
		return err
	}
	want, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return err
	}
	if link, err := s.info("INFO replication", "master_link_status"); err != nil || link != "up" {
		return fmt.Errorf("%s: its link to the master is %q, error %v", s.Addr, link, err)
	}
	if text, err = s.info("INFO replication", "slave_repl_offset"); err != nil {
		return err
	}
	if got, err := strconv.ParseInt(text, 10, 64); err != nil || got < want {
		return fmt.Errorf("%s: it has %q of its master's %d bytes", s.Addr, text, want)
	}
	return nil
}
