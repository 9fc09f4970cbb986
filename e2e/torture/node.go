//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// node is one of the two: its process, and what was seen of it. Its addresses and its disk stay the same.
type node struct {
	name    string // A or B
	index   int
	program string
	clock   *clock
	place   *place
	disk    *disk
	args    []string
	client  string
	admin   string
	http    *http.Client
	log     io.WriteCloser

	sampling sync.Mutex // one status at a time, so that they are in order

	mu      sync.Mutex
	proc    *process
	seen    nodeEvidence
	crashes []string // ends of the process that nobody asked for
}

// process is one life of a node.
type process struct {
	cmd    *exec.Cmd
	asked  bool          // to end, by whatever
	exited chan struct{} // closed after it was waited for
}

// newNode returns a node that does not run.
func newNode(index int, program, dir string, c *clock, p *place, d *disk, l link, client, admin string) (*node, error) {
	n := &node{name: string(rune('A' + index)), index: index, program: program, clock: c, place: p, disk: d, client: client, admin: admin}
	n.http = &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DialContext: p.dial, DisableKeepAlives: true}}
	listen, peer := l.addrs(index)
	n.args = []string{
		"serve", "--node=" + strconv.Itoa(index+1), "--listen=" + client, "--admin-listen=" + admin, "--data=" + d.data(),
		"--peer-listen=" + listen, "--peer=" + peer,
		// Small, so that the run meets compaction, copies instead of the log, and starts without the peer.
		"--segment-size=1MiB", "--log-retain=16MiB", "--min-free=24MiB", "--catchup-timeout=2s",
	}
	var err error
	n.log, err = os.OpenFile(filepath.Join(dir, "node-"+n.name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	return n, err
}

// start begins a new life.
func (n *node) start() error {
	p := &process{cmd: exec.Command(n.program, n.args...), exited: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = n.log, n.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	n.note("start")
	begin := n.clock.now()
	if err := n.place.do(p.cmd.Start); err != nil {
		return fmt.Errorf("start node %s: %w", n.name, err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.proc = p
	n.seen.lives = append(n.seen.lives, span{begin, never})
	life := len(n.seen.lives) - 1
	go func() {
		p.cmd.Wait()
		n.mu.Lock()
		defer n.mu.Unlock()
		n.seen.lives[life].end = n.clock.now()
		if !p.asked {
			n.crashes = append(n.crashes, fmt.Sprintf("%v: node %s ended by itself: %v", n.clock.now().Round(time.Millisecond), n.name, p.cmd.ProcessState))
		}
		close(p.exited)
	}()
	return nil
}

// note writes a line into the node's log.
func (n *node) note(text string) {
	fmt.Fprintf(n.log, "--- %v %s\n", n.clock.now().Round(time.Millisecond), text)
}

// running reports whether there is a process, frozen or not.
func (n *node) running() bool {
	n.mu.Lock()
	p := n.proc
	n.mu.Unlock()
	if p == nil {
		return false
	}
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// signal sends a signal to the process if there is one; ends says that it is meant to end by it.
func (n *node) signal(s syscall.Signal, ends bool) *process {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.proc == nil {
		return nil
	}
	select {
	case <-n.proc.exited: // its number may belong to another process by now
		return n.proc
	default:
	}
	n.proc.asked = n.proc.asked || ends
	syscall.Kill(-n.proc.cmd.Process.Pid, s)
	return n.proc
}

// kill ends the process the hard way and returns when it is gone.
func (n *node) kill() {
	n.note("kill -9")
	if p := n.signal(syscall.SIGKILL, true); p != nil {
		<-p.exited
	}
}

// terminateLimit is longer than the drain timeout.
const terminateLimit = 25 * time.Second

// terminate asks the node to stop and returns how it did that.
func (n *node) terminate() error {
	n.note("SIGTERM")
	p := n.signal(syscall.SIGTERM, true)
	if p == nil {
		return nil
	}
	select {
	case <-p.exited:
	case <-time.After(terminateLimit):
		n.kill()
		return fmt.Errorf("node %s still ran %v after SIGTERM", n.name, terminateLimit)
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("node %s: exit code %d after SIGTERM, want 0", n.name, code)
	}
	return nil
}

// status is the part of the status document that is looked at.
type status struct {
	PID             int    `json:"pid"`
	State           string `json:"state"`
	Reason          string `json:"reason"`
	Ready           bool   `json:"ready"`
	Log             string `json:"log_identity"`
	Acknowledgement struct {
		Solo        bool    `json:"solo"`
		SoloSeconds float64 `json:"solo_seconds"`
		Confirmed   uint64  `json:"confirmed"`
	} `json:"acknowledgement"`
	Store struct {
		LastSeq    uint64 `json:"last_seq"`
		DurableSeq uint64 `json:"durable_seq"`
		Refusal    string `json:"refusal"`
	} `json:"store"`
	Peer struct {
		State    string `json:"state"`
		Lag      uint64 `json:"lag_entries"`
		CaughtUp bool   `json:"caught_up"`
	} `json:"peer"`
	Server struct {
		Connections int `json:"curr_connections"`
	} `json:"server"`
}

// maxStatus bounds what is read of a status document.
const maxStatus = 1 << 20

// get returns code and body of an admin page.
func (n *node) get(ctx context.Context, path string) (code int, body []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, "GET", "http://"+n.admin+path, nil)
	if err != nil {
		return 0, nil, err
	}
	resp, err := n.http.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxStatus))
	return resp.StatusCode, body, err
}

// sample asks the node for its status and remembers the answer. ok is false if there was none.
func (n *node) sample(ctx context.Context) (s sample, ok bool) {
	n.sampling.Lock()
	defer n.sampling.Unlock()
	s.sent = n.clock.now()
	_, body, err := n.get(ctx, "/status")
	s.received = n.clock.now()
	if err != nil || json.Unmarshal(body, &s.status) != nil {
		return sample{}, false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.seen.samples = append(n.seen.samples, s)
	return s, true
}

// latest is the last sample, if it is younger than a second.
func (n *node) latest() (sample, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.seen.samples) == 0 {
		return sample{}, false
	}
	s := n.seen.samples[len(n.seen.samples)-1]
	return s, n.clock.now()-s.received < time.Second
}

// readyz asks the node whether it serves, and why.
func (n *node) readyz(ctx context.Context) (ready bool, reason string) {
	ctx, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	code, body, err := n.get(ctx, "/readyz")
	return err == nil && code == http.StatusOK, string(body)
}

// dial connects to the node's client port.
func (n *node) dial(ctx context.Context) (net.Conn, error) {
	return n.place.dial(ctx, "tcp", n.client)
}
