package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// maxStatusBytes bounds what is read of a node's admin port.
const maxStatusBytes = 1 << 20

// pairHost is where nodes listen. Connections that go out are numbered at localhost, so none takes a port of a node that
// is down for a while.
const pairHost = "127.0.0.2"

// pair is two started futago nodes that replicate to each other, both writable.
type pair struct {
	nodes [2]*process
	admin [2]string // their admin addresses
	ack   string    // as in --ack
	past  processes // ended before the nodes of now
}

// startPair starts two nodes, on any processors, and waits until both are ready and follow each other.
func startPair(ctx context.Context, futago, ack, fsync string) (*pair, error) {
	program, err := lookProgram(futago)
	if err != nil {
		return nil, err
	}
	for attempt := 1; ; attempt++ {
		p, err := startPairOnce(ctx, program, ack, fsync)
		if err == nil || attempt == startAttempts || ctx.Err() != nil {
			return p, err
		}
	}
}

func startPairOnce(ctx context.Context, program, ack, fsync string) (*pair, error) {
	ports, err := freePorts(pairHost, 6)
	if err != nil {
		return nil, err
	}
	client, replication, admin := ports[0:2], ports[2:4], ports[4:6]
	p := &pair{ack: ack}
	for i := range p.nodes {
		p.admin[i] = at(pairHost, admin[i])
		node := &peer{
			name: fmt.Sprintf("node %d", i+1), program: program, protocol: Memcache, host: pairHost,
			args: func(port int, dir string) []string {
				return []string{"serve", "--node", strconv.Itoa(i + 1), "--data", dir, "--listen", at(pairHost, port),
					"--peer-listen", at(pairHost, replication[i]), "--peer", at(pairHost, replication[1-i]),
					"--admin-listen", p.admin[i], "--ack", ack, "--fsync", fsync}
			},
		}
		// Both are started before one is waited for: each of them waits for the other.
		if p.nodes[i], err = node.spawn(program, -1, client[i]); err != nil {
			return nil, errors.Join(err, p.discard())
		}
	}
	if err := p.together(ctx); err != nil {
		return nil, errors.Join(err, p.discard())
	}
	return p, nil
}

// together waits until both nodes are ready and each one's writes reach the other.
func (p *pair) together(ctx context.Context) error {
	for i, node := range p.nodes {
		if err := node.until(ctx, readyTimeout, func(ctx context.Context) error { return p.joined(ctx, i) }); err != nil {
			return err
		}
	}
	return nil
}

// joined returns nil when node i serves clients and its writes go to the other node.
func (p *pair) joined(ctx context.Context, i int) error {
	if err := p.ready(ctx, i); err != nil {
		return err
	}
	s, err := p.status(ctx, i)
	switch {
	case err != nil:
		return err
	case s.Acknowledgement.Mode != p.ack:
		return fmt.Errorf("acknowledges writes by %q instead of %q", s.Acknowledgement.Mode, p.ack)
	case s.Acknowledgement.Solo:
		return errors.New("acknowledges writes without the other node")
	case len(s.Followers) != 1 || s.Followers[0].State != "stream":
		return errors.New("is not followed by the other node")
	}
	return nil
}

// ready returns nil when node i says on /readyz that it serves clients.
func (p *pair) ready(ctx context.Context, i int) error {
	code, body, err := p.ask(ctx, i, "/readyz")
	if err == nil && code != http.StatusOK {
		err = fmt.Errorf("not ready: %.200q", body)
	}
	return err
}

// nodeStatus is the part of a node's status document that is looked at.
type nodeStatus struct {
	Acknowledgement struct {
		Mode        string  `json:"mode"`
		Solo        bool    `json:"solo"`
		SoloSeconds float64 `json:"solo_seconds"` // since the start of the node
	} `json:"acknowledgement"`
	Store struct {
		Items int `json:"items"`
	} `json:"store"`
	Peer struct {
		Links     int `json:"links"`     // since the start
		Snapshots int `json:"snapshots"` // received since the start
	} `json:"peer"`
	Followers []struct {
		State     string `json:"state"`
		Lag       uint64 `json:"lag_entries"`
		WireBytes int64  `json:"wire_bytes"` // sent on this connection
	} `json:"followers"`
}

func (p *pair) status(ctx context.Context, i int) (s nodeStatus, err error) {
	_, body, err := p.ask(ctx, i, "/status")
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(body, &s); err != nil {
		return s, fmt.Errorf("read status of %s: %w", p.admin[i], err)
	}
	return s, nil
}

// ask gets a page of node i's admin port.
func (p *pair) ask(ctx context.Context, i int, path string) (code int, body []byte, err error) {
	return askAdmin(ctx, p.admin[i], path)
}

// askAdmin gets a page of a node's admin port.
func askAdmin(ctx context.Context, admin, path string) (code int, body []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+admin+path, nil)
	if err != nil {
		return 0, nil, err
	}
	req.Close = true // the node may stop next: it must not wait for an idle connection
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxStatusBytes))
	return resp.StatusCode, body, err
}

// askTimeout is above what a busy node needs: a hung one must not hold up a measurement for ever.
const askTimeout = 10 * time.Second

// kill9 ends node i without giving it a chance, and returns when it is gone.
func (p *pair) kill9(i int) { p.nodes[i].kill() }

// restart starts the killed node i again, and does not wait for it.
func (p *pair) restart(i int) error {
	again, err := p.nodes[i].again()
	if err != nil {
		return err
	}
	p.past = append(p.past, p.nodes[i])
	p.nodes[i] = again
	return nil
}

// pids returns the processes of both nodes.
func (p *pair) pids() []int {
	return []int{p.nodes[0].cmd.Process.Pid, p.nodes[1].cmd.Process.Pid}
}

// all returns the processes of both nodes, those before a restart included.
func (p *pair) all() processes {
	all := append(processes{}, p.past...)
	for _, node := range p.nodes {
		if node != nil { // while the pair starts
			all = append(all, node)
		}
	}
	return all
}

// discard kills the nodes and removes their folders.
func (p *pair) discard() error { return p.all().discard() }
