package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
)

// maxStatusBytes bounds what is read of a node's admin port.
const maxStatusBytes = 1 << 20

// pair is two started futago nodes that replicate to each other, both writable.
type pair struct {
	nodes [2]*process
	admin [2]string // their admin addresses
}

// startPair starts two nodes, on any processors, and waits until both are ready and acknowledge through each other.
func startPair(ctx context.Context, futago string) (*pair, error) {
	program, err := lookProgram(futago)
	if err != nil {
		return nil, err
	}
	for attempt := 1; ; attempt++ {
		p, err := startPairOnce(ctx, program)
		if err == nil || attempt == startAttempts || ctx.Err() != nil {
			return p, err
		}
	}
}

func startPairOnce(ctx context.Context, program string) (*pair, error) {
	ports, err := freePorts(6)
	if err != nil {
		return nil, err
	}
	client, replication, admin := ports[0:2], ports[2:4], ports[4:6]
	p := &pair{}
	for i := range p.nodes {
		p.admin[i] = loopback(admin[i])
		node := &peer{
			name: fmt.Sprintf("node %d", i+1), program: program, protocol: Memcache,
			// Acknowledgement and sync are the defaults, named so that nothing in the environment changes them.
			args: func(port int, dir string) []string {
				return []string{"serve", "--node", strconv.Itoa(i + 1), "--data", dir, "--listen", loopback(port),
					"--peer-listen", loopback(replication[i]), "--peer", loopback(replication[1-i]),
					"--admin-listen", p.admin[i], "--ack", "peer", "--fsync", "interval"}
			},
		}
		// Both are started before one is waited for: each of them waits for the other.
		if p.nodes[i], err = node.spawn(program, -1, client[i]); err != nil {
			return nil, errors.Join(err, p.stop())
		}
	}
	for i, node := range p.nodes {
		if err := node.until(ctx, func(ctx context.Context) error { return p.ready(ctx, i) }); err != nil {
			return nil, errors.Join(err, p.stop())
		}
	}
	return p, nil
}

func loopback(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }

// ready returns nil when node i serves clients and its writes wait for the other node.
func (p *pair) ready(ctx context.Context, i int) error {
	code, body, err := p.ask(ctx, i, "/readyz")
	if err != nil {
		return err
	}
	if code != http.StatusOK {
		return fmt.Errorf("not ready: %.200q", body)
	}
	solo, _, err := p.solo(ctx, i)
	if err == nil && solo {
		err = errors.New("acknowledges writes without the other node")
	}
	return err
}

// solo says whether node i acknowledges without the other one now, and for how many seconds it did since its start.
func (p *pair) solo(ctx context.Context, i int) (now bool, seconds float64, err error) {
	_, body, err := p.ask(ctx, i, "/status")
	if err != nil {
		return false, 0, err
	}
	var status struct {
		Acknowledgement *struct {
			Mode        string  `json:"mode"`
			Solo        bool    `json:"solo"`
			SoloSeconds float64 `json:"solo_seconds"`
		} `json:"acknowledgement"`
	}
	if err := json.Unmarshal(body, &status); err != nil {
		return false, 0, fmt.Errorf("read status of %s: %w", p.admin[i], err)
	}
	ack := status.Acknowledgement
	if ack == nil || ack.Mode != "peer" {
		return false, 0, fmt.Errorf("read status of %s: acknowledgement is not by the peer", p.admin[i])
	}
	return ack.Solo, ack.SoloSeconds, nil
}

// ask gets a page of node i's admin port.
func (p *pair) ask(ctx context.Context, i int, path string) (code int, body []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.admin[i]+path, nil)
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

// pids returns the processes of both nodes.
func (p *pair) pids() []int {
	return []int{p.nodes[0].cmd.Process.Pid, p.nodes[1].cmd.Process.Pid}
}

// stop stops the nodes that were started.
func (p *pair) stop() error {
	var errs []error
	for _, node := range p.nodes {
		if node != nil {
			errs = append(errs, node.stop())
		}
	}
	return errors.Join(errs...)
}
