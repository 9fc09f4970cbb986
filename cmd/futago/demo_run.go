package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/futago/futago/internal/gateway"
	"github.com/futago/futago/internal/node"
)

// demo runs the nodes, the gateway and the page. The gateway and the page live in this process, so that they stay when a
// node is killed.
type demo struct {
	ports   demoPorts
	program string
	say     *announcer
	journal *demoJournal
	nodes   []*demoNode
	gateway *gateway.Gateway
	page    net.Listener
	// keys says that somebody can press them.
	keys bool

	mu           sync.Mutex
	gatewayMeter meter
	introduced   bool // the guide was printed: changes are news from now on
	ending       bool // the ends of nodes are no news any more
}

// newDemo opens the listeners of the gateway and the page; no node runs yet. run must follow, or nothing closes them.
func newDemo(ports demoPorts, program, dir string, say *announcer) (*demo, error) {
	d := &demo{ports: ports, program: program, say: say, journal: &demoJournal{}}
	for id := 1; id <= demoNodes; id++ {
		n := newDemoNode(id, ports, program, dir)
		n.onExit, n.onChange = d.nodeExited, d.nodeChanged
		if err := os.Remove(n.log); err != nil && !os.IsNotExist(err) {
			return nil, fmt.Errorf("begin a new log: %w", err)
		}
		d.nodes = append(d.nodes, n)
	}
	c := gateway.DefaultConfig()
	c.Listen, c.AdminListen = loopback(ports.gateway), loopback(ports.gatewayAdmin)
	c.Version = thisBuild().Version
	c.Logger = slog.New(journalHandler{journal: d.journal, source: "gateway"})
	c.ShutdownTimeout = time.Second
	for _, n := range d.nodes {
		u, err := gateway.ParseUpstream(n.addr + ",check=" + n.admin)
		if err != nil {
			return nil, fmt.Errorf("configure gateway: %w", err)
		}
		c.Upstreams = append(c.Upstreams, u)
	}
	var err error
	if d.gateway, err = gateway.New(c); err != nil {
		return nil, err
	}
	if d.page, err = net.Listen("tcp", loopback(ports.page)); err != nil {
		return nil, fmt.Errorf("listen for the page: %w", err)
	}
	if err := d.gateway.Listen(); err != nil {
		d.page.Close()
		return nil, err
	}
	return d, nil
}

// run starts everything and returns when ctx has ended or somebody pressed q, after all children have ended; or with the
// error that keeps the demo from running. keys may be nil.
func (d *demo) run(ctx context.Context, keys <-chan byte) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	failed := make(chan error, 2)
	var running sync.WaitGroup
	running.Go(func() {
		if err := d.gateway.Run(ctx); err != nil {
			failed <- err
		}
	})
	server := d.pageServer(ctx)
	running.Go(func() {
		if err := server.Serve(d.page); err != http.ErrServerClosed {
			failed <- fmt.Errorf("serve the page: %w", err)
		}
	})
	for _, n := range d.nodes {
		running.Go(func() { n.watch(ctx, d.journal) })
	}
	running.Go(func() { d.measure(ctx) })

	err := d.introduce(ctx)
	if err == nil {
		err = d.attend(ctx, keys, failed)
	}
	if ctx.Err() != nil {
		err = nil // told to end, perhaps while the nodes were starting
	}
	d.end()
	cancel()
	server.Close()
	running.Wait()
	if err == nil {
		d.say.event(plainTone, "demo ended")
	}
	return err
}

// introduce starts the nodes and prints the guide when both are ready.
func (d *demo) introduce(ctx context.Context) error {
	begin := time.Now()
	d.say.event(plainTone, "starting two nodes and a gateway")
	for _, n := range d.nodes {
		n.operating.Lock()
		defer n.operating.Unlock()
		if err := n.start(); err != nil {
			return err
		}
	}
	// A node that cannot start leaves the other one waiting for it: the first error ends the wait for all.
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var waiting sync.WaitGroup
	for _, n := range d.nodes {
		waiting.Go(func() {
			if _, err := n.waitReady(ctx); err != nil {
				cancel(err)
			}
		})
	}
	waiting.Wait()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	took := time.Since(begin).Round(10 * time.Millisecond)
	d.mu.Lock()
	d.introduced = true
	d.mu.Unlock()
	d.tell(plainTone, "INFO", fmt.Sprintf("both nodes are ready after %v", took), "")
	d.say.print("\n" + d.guide().text(d.keys) + "\n")
	return nil
}

// attend obeys keys until the demo shall end.
func (d *demo) attend(ctx context.Context, keys <-chan byte, failed <-chan error) error {
	operate := d.restartByKey
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return err
		case key, ok := <-keys:
			if !ok {
				keys = nil // the terminal is gone; the demo is not
				continue
			}
			next := d.restartByKey
			switch {
			case key >= '1' && key < '1'+demoNodes:
				go operate(ctx, d.nodes[key-'1'])
			case key == 'k':
				d.say.event(plainTone, "kill which node? press 1 or 2")
				next = d.killByKey
			case key == 'h' || key == '?':
				d.say.print("\n" + d.guide().text(d.keys) + "\n")
			case key == 'q':
				return nil
			}
			operate = next
		}
	}
}

func (d *demo) restartByKey(ctx context.Context, n *demoNode) {
	if !n.operating.TryLock() {
		d.say.event(plainTone, fmt.Sprintf("node %d is being started already", n.id))
		return
	}
	n.operating.Unlock()
	d.restart(ctx, n) // the error is announced
}

func (d *demo) killByKey(_ context.Context, n *demoNode) {
	if n.kill() == nil {
		d.say.event(plainTone, fmt.Sprintf("node %d is not running", n.id))
	}
}

// restart restarts a node and announces what came of it.
func (d *demo) restart(ctx context.Context, n *demoNode) (string, error) {
	d.journal.add(demoEvent{time.Now(), "demo", "INFO", fmt.Sprintf("asked to restart node %d", n.id)})
	text, err := n.restart(ctx)
	if ctx.Err() != nil {
		return "", errDemoEnds
	}
	if err != nil {
		hint := ""
		if h, ok := errors.AsType[hintError](err); ok {
			hint = "\n" + h.hint
		}
		d.tell(badTone, "ERROR", err.Error(), hint)
		return "", err
	}
	d.tell(goodTone, "INFO", text, "")
	return text, nil
}

// measure takes the rate of the gateway and keeps all histories.
func (d *demo) measure(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			for _, n := range d.nodes {
				n.tick()
			}
			var requests uint64
			for _, u := range d.gateway.Status().Upstreams {
				requests += u.Requests
			}
			d.mu.Lock()
			d.gatewayMeter.add(now, requests)
			d.gatewayMeter.tick()
			d.mu.Unlock()
		}
	}
}

// end stops all nodes at once.
func (d *demo) end() {
	d.mu.Lock()
	d.ending = true
	d.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), demoStopTimeout)
	defer cancel()
	var stopping sync.WaitGroup
	for _, n := range d.nodes {
		stopping.Go(func() { n.stop(ctx) })
	}
	stopping.Wait()
}

// guide is the guide as of now.
func (d *demo) guide() demoGuide {
	g := demoGuide{ports: d.ports, program: shellProgram(d.program)}
	for i, n := range d.nodes {
		g.pid[i] = n.view().PID
	}
	return g
}

// tell puts an event into the journal and, with a hint for the shell, on the terminal.
func (d *demo) tell(t tone, level, text, hint string) {
	d.journal.add(demoEvent{time.Now(), "demo", level, text})
	d.say.event(t, text+hint)
}

// nodeExited announces the end of a process that nobody asked for.
func (d *demo) nodeExited(n *demoNode, p *demoProcess, asked bool) {
	d.mu.Lock()
	quiet := d.ending || !d.introduced
	d.mu.Unlock()
	text := fmt.Sprintf("node %d %s", n.id, p.ending())
	if quiet || asked {
		d.journal.add(demoEvent{time.Now(), "demo", "WARN", text})
		return
	}
	hint := ". Run: "
	if d.keys {
		hint = fmt.Sprintf(". Press %d or run: ", n.id)
	}
	d.tell(badTone, "ERROR", text, hint+d.guide().restart(n.id))
}

// nodeChanged announces what a user should notice of a running node.
func (d *demo) nodeChanged(n *demoNode, before, after demoNodeView) {
	d.mu.Lock()
	quiet := d.ending || !d.introduced
	d.mu.Unlock()
	if quiet {
		return
	}
	switch {
	case before.State == after.State:
	case after.State == string(node.Ready):
		d.say.event(goodTone, fmt.Sprintf("node %d is ready: %s", n.id, after.Reason))
	case after.State == stateSilent:
		d.tell(warnTone, "WARN", fmt.Sprintf("node %d %s", n.id, after.Reason), "")
	default:
		d.say.event(warnTone, fmt.Sprintf("node %d is %s: %s", n.id, after.State, after.Reason))
	}
	switch {
	case after.State != string(node.Ready) || before.solo() == after.solo():
	case after.solo():
		d.say.event(warnTone, fmt.Sprintf("node %d is SOLO: it acknowledges writes without its peer (%s)", n.id, after.Status.Acknowledgement.SoloReason))
	case before.Status != nil:
		d.say.event(goodTone, fmt.Sprintf("node %d is solo no more: writes are acknowledged by both nodes", n.id))
	}
}
