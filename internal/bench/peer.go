package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	readyTimeout = 20 * time.Second
	stopTimeout  = 10 * time.Second
	// startAttempts: another program may take the free port before the server does.
	startAttempts = 3
	// keptOutput is how much of a server's output an error shows.
	keptOutput = 2 << 10
)

// peer is a server that takes part in a comparison.
type peer struct {
	name     string // unique within a placement
	program  string // a path, or a name that is looked up
	protocol string
	// args returns the arguments for a port on 127.0.0.1 and an empty folder for data.
	args func(port int, dir string) []string
}

// process is a started peer.
type process struct {
	peer    *peer
	address string
	cmd     *exec.Cmd
	output  tailBuffer
	dir     string
	exited  chan struct{} // closed when the process has ended
}

// lookProgram finds a program also where Debian keeps daemons.
func lookProgram(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil || strings.Contains(name, "/") {
		return path, err
	}
	for _, dir := range []string{"/usr/sbin", "/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("program %s is not installed: run scripts/test-deps", name)
}

// start starts a peer, on one processor or with cpu < 0 on any, and waits until its port answers.
func (p *peer) start(ctx context.Context, cpu int) (*process, error) {
	program, err := lookProgram(p.program)
	if err != nil {
		return nil, err
	}
	for attempt := 1; ; attempt++ {
		s, err := p.startOnce(ctx, program, cpu)
		if err == nil || attempt == startAttempts || ctx.Err() != nil {
			return s, err
		}
	}
}

func (p *peer) startOnce(ctx context.Context, program string, cpu int) (*process, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	s, err := p.spawn(program, cpu, port)
	if err != nil {
		return nil, err
	}
	if err := s.ready(ctx); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

// spawn starts a peer and does not wait for its port.
func (p *peer) spawn(program string, cpu, port int) (*process, error) {
	dir, err := os.MkdirTemp("", "futago-bench-")
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", p.name, err)
	}
	command := append([]string{program}, p.args(port, dir)...)
	if cpu >= 0 {
		taskset, err := lookProgram("taskset")
		if err != nil {
			return nil, errors.Join(err, os.RemoveAll(dir))
		}
		command = append([]string{taskset, "-c", strconv.Itoa(cpu)}, command...)
	}
	s := &process{
		peer: p, dir: dir,
		address: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)),
		cmd:     exec.Command(command[0], command[1:]...),
		exited:  make(chan struct{}),
	}
	s.cmd.Dir = dir
	s.cmd.Stdout, s.cmd.Stderr = &s.output, &s.output
	// A group of its own: an interrupt from the terminal reaches only this program, which then stops
	// the servers in order.
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := s.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", p.name, err), os.RemoveAll(dir))
	}
	go func() {
		s.cmd.Wait() // the end is all that matters: ready and stop say what it means
		close(s.exited)
	}()
	return s, nil
}

func freePort() (int, error) {
	ports, err := freePorts(1)
	if err != nil {
		return 0, err
	}
	return ports[0], nil
}

// freePorts returns n different ports of 127.0.0.1.
func freePorts(n int) (ports []int, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		defer l.Close() // only at the end: until then nobody gets the port again
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// ready waits until the port takes connections.
func (s *process) ready(ctx context.Context) error {
	return s.until(ctx, func(ctx context.Context) error {
		nc, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.address)
		if err != nil {
			return err
		}
		return nc.Close()
	})
}

// until calls try, which should come back soon, until it returns nil, or the process ends, or readyTimeout has
// passed.
func (s *process) until(ctx context.Context, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for {
		err := try(ctx)
		select {
		case <-s.exited:
			return fmt.Errorf("start %s: it ended with %v: %s", s.peer.name, s.cmd.ProcessState, s.output.String())
		case <-ctx.Done():
			return fmt.Errorf("start %s: wait for %s: %w: last: %v: %s", s.peer.name, s.address, ctx.Err(), err, s.output.String())
		case <-poll.C:
			if err == nil {
				return nil
			}
		}
	}
}

// stop asks the process to end, waits, kills it if it must, and removes its folder.
func (s *process) stop() error {
	s.cmd.Process.Signal(syscall.SIGTERM) // an error means that it has ended
	timer := time.NewTimer(stopTimeout)
	defer timer.Stop()
	var err error
	select {
	case <-s.exited:
	case <-timer.C:
		err = fmt.Errorf("stop %s: still running after %v, killed", s.peer.name, stopTimeout)
		s.cmd.Process.Kill()
		<-s.exited
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}

// tailBuffer keeps the last bytes written to it. Safe for concurrent use.
type tailBuffer struct {
	mu sync.Mutex
	b  []byte
}

func (t *tailBuffer) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p...)
	if extra := len(t.b) - keptOutput; extra > 0 {
		t.b = append(t.b[:0], t.b[extra:]...)
	}
	return len(p), nil
}

func (t *tailBuffer) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimSpace(t.b))
}
