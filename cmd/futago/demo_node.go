package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"sync"
	"time"

	"github.com/futago/futago/internal/node"
)

const (
	// demoPoll is the time between two looks at a node.
	demoPoll = 250 * time.Millisecond
	// demoAnswer is how long a node may take to answer before it counts as silent.
	demoAnswer = time.Second
	// demoReadyTimeout bounds how long a start may take. A node whose peer is gone waits for it for 10 s.
	demoReadyTimeout = 30 * time.Second
	// demoStopTimeout is how long the nodes may take to drain. Killing them later loses nothing.
	demoStopTimeout = 8 * time.Second
)

// errDemoEnds refuses to start a node while the demo ends.
var errDemoEnds = errors.New("the demo is ending")

// demoNode is a node of the demo through all its lives.
type demoNode struct {
	id      int
	program string
	args    []string
	addr    string // of its clients
	admin   string
	log     string // path of its log
	client  *http.Client
	// onExit is told when a process has ended; asked says that the demo itself ended it. onChange is told
	// how a node that was ready once looked before and looks now. Both are called without the lock.
	onExit   func(n *demoNode, p *demoProcess, asked bool)
	onChange func(n *demoNode, before, after demoNodeView)

	// operating is held by whoever starts the node, or restarts it.
	operating sync.Mutex

	mu      sync.Mutex
	process *demoProcess // the last one; nil before the first
	ending  bool         // no further process may start
	status  *node.Status // the last document of this process, nil before the first
	silence error        // why the last question got no answer; nil when it got one
	meter   meter
	seen    demoNodeView  // at the last answer, or lack of one
	changed chan struct{} // closed and replaced when anything above changes
}

func newDemoNode(id int, ports demoPorts, program, dir string) *demoNode {
	self, other := id-1, demoNodes-id
	return &demoNode{
		id: id, program: program, addr: loopback(ports.client[self]), admin: loopback(ports.admin[self]),
		log: filepath.Join(dir, demoNodeLog(id)),
		args: []string{"serve", "--node", fmt.Sprint(id),
			"--listen", loopback(ports.client[self]), "--admin-listen", loopback(ports.admin[self]),
			"--peer-listen", loopback(ports.peer[self]), "--peer", loopback(ports.peer[other]),
			"--data", filepath.Join(dir, demoNodeFolder(id))},
		client:  &http.Client{Transport: &http.Transport{}, Timeout: demoAnswer}, // no proxy: it is on this machine
		changed: make(chan struct{}),
	}
}

// start begins a new life. The node must not be running; operating must be held.
func (n *demoNode) start() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ending {
		return errDemoEnds
	}
	p, err := startDemoProcess(n.program, n.args, n.log)
	if err != nil {
		return fmt.Errorf("start node %d: %w", n.id, err)
	}
	n.process, n.status, n.silence = p, nil, nil
	n.meter.reset()
	n.changedLocked()
	go n.wait(p)
	return nil
}

// wait tells of the end of p.
func (n *demoNode) wait(p *demoProcess) {
	<-p.exited
	n.mu.Lock()
	asked := p.asked
	if n.process == p {
		n.meter.reset()
	}
	n.changedLocked()
	n.mu.Unlock()
	n.onExit(n, p, asked)
}

func (n *demoNode) changedLocked() {
	close(n.changed)
	n.changed = make(chan struct{})
}

// askEnd marks the end of the present process as wanted, and returns the process; nil before the first.
func (n *demoNode) askEnd() *demoProcess {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.process != nil {
		n.process.asked = true
	}
	return n.process
}

// kill ends the process with SIGKILL and returns it once it has ended; nil when none was running.
func (n *demoNode) kill() *demoProcess {
	n.mu.Lock()
	p := n.process
	n.mu.Unlock()
	if p == nil || !p.running() {
		return nil
	}
	p.process.Kill() // an error only says that it has ended
	<-p.exited
	return p
}

// restart kills the node if it runs, starts it and returns what happened once it is ready again.
func (n *demoNode) restart(ctx context.Context) (string, error) {
	n.operating.Lock()
	defer n.operating.Unlock()
	n.askEnd()
	report := fmt.Sprintf("node %d was not running", n.id)
	if p := n.kill(); p != nil {
		report = fmt.Sprintf("node %d %s", n.id, p.ending())
	}
	begin := time.Now()
	if err := n.start(); err != nil {
		return "", err
	}
	status, err := n.waitReady(ctx)
	if err != nil {
		return "", fmt.Errorf("%s; %w", report, err)
	}
	return fmt.Sprintf("%s; started again as pid %d, ready after %v: %s", report, status.PID, time.Since(begin).Round(10*time.Millisecond), status.Reason), nil
}

// waitReady waits until the running process serves clients, and returns its document. The hint of the error is
// the end of the log of a process that ended before.
func (n *demoNode) waitReady(ctx context.Context) (*node.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, demoReadyTimeout)
	defer cancel()
	for {
		n.mu.Lock()
		changed, p, status, view := n.changed, n.process, n.status, n.viewLocked()
		n.mu.Unlock()
		switch {
		case !p.running():
			err := fmt.Errorf("node %d %s before it was ready", n.id, p.ending())
			return nil, withHint(err, fmt.Sprintf("The end of %s:\n%s", n.log, logTail(n.log)))
		case view.State == string(node.Ready):
			return status, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return nil, fmt.Errorf("node %d is not ready after %v: %s, %s", n.id, demoReadyTimeout, view.State, view.Reason)
			}
			return nil, ctx.Err()
		}
	}
}

// stop asks the process to drain and waits for its end, for a while: then it is killed. The node cannot start again.
func (n *demoNode) stop(ctx context.Context) {
	n.mu.Lock()
	n.ending = true
	n.mu.Unlock()
	p := n.askEnd()
	if p == nil {
		return
	}
	terminate(p.process) // an error only says that it has ended
	select {
	case <-p.exited:
	case <-ctx.Done():
		n.kill()
	}
}

// watch asks the node for its status until ctx ends, and gives its events to journal.
func (n *demoNode) watch(ctx context.Context, journal *demoJournal) {
	tick := time.NewTicker(demoPoll)
	defer tick.Stop()
	for {
		n.mu.Lock()
		p := n.process
		n.mu.Unlock()
		if p != nil && p.running() {
			status, err := n.ask(ctx, p.pid)
			if status != nil {
				journal.take(n.id, status.Events)
				status.Events = nil // the journal has them
			}
			n.heard(p, status, shortSilence(err))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// ask gets the status document of the process pid.
func (n *demoNode) ask(ctx context.Context, pid int) (*node.Status, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.admin+"/status", nil)
	if err != nil {
		return nil, err
	}
	response, err := n.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	var status node.Status
	if err := json.NewDecoder(io.LimitReader(response.Body, maxStatus)).Decode(&status); err != nil {
		return nil, fmt.Errorf("read status: %w", err)
	}
	if status.PID != pid {
		return nil, fmt.Errorf("process %d answers, not %d", status.PID, pid)
	}
	return &status, nil
}

// shortSilence is err in the words of somebody who knows who was asked.
func shortSilence(err error) error {
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return fmt.Errorf("no reply within %v", demoAnswer)
	}
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err
	}
	return err
}

// heard takes the answer of process p: a document, or why there is none.
func (n *demoNode) heard(p *demoProcess, status *node.Status, err error) {
	n.mu.Lock()
	if n.process != p || !p.running() {
		n.mu.Unlock()
		return
	}
	n.silence = err
	if status == nil {
		n.meter.reset()
	} else {
		n.status = status
		if status.Server != nil {
			n.meter.add(status.Time, status.Server.Ops)
		}
	}
	before, after, news := n.seen, n.viewLocked(), p.served
	n.seen = after
	p.served = p.served || after.State == string(node.Ready)
	n.changedLocked()
	n.mu.Unlock()
	if news {
		n.onChange(n, before, after)
	}
}

// tick puts the present rate into the history.
func (n *demoNode) tick() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.meter.tick()
}
