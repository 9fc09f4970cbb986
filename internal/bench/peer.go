package bench

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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
	host     string // a loopback address; "" is 127.0.0.1
	socket   bool   // clients come by the unix socket socketName in the folder
	full     bool   // has a value for every key: none is set first
	// args returns the arguments for a port on host and an empty folder for data.
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
	holds   kept          // set by clients; zero when unknown
}

// kept says which values a server has.
type kept struct {
	keys, valueSize int
	counters        bool
}

// socketName is that of a peer's unix socket in its folder.
const socketName = "socket"

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
	if debian := programs[name].debian; debian != "" {
		return "", fmt.Errorf("program %s is not installed: install the Debian package %s", name, debian)
	}
	return "", fmt.Errorf("program %s is not installed", name)
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
	address := at(cmp.Or(p.host, localhost), port)
	if p.socket {
		address = "unix:" + filepath.Join(dir, socketName)
	}
	s, err := p.run(command, address, dir)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, nil
}

// run starts a command that serves at address and has its data in dir.
func (p *peer) run(command []string, address, dir string) (*process, error) {
	s := &process{
		peer: p, address: address, dir: dir,
		cmd:    exec.Command(command[0], command[1:]...),
		exited: make(chan struct{}),
	}
	s.cmd.Dir = dir
	s.cmd.Stdout, s.cmd.Stderr = &s.output, &s.output
	// A group of its own: an interrupt from the terminal reaches only this program, which then stops
	// the servers in order.
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", p.name, err)
	}
	go func() {
		s.cmd.Wait() // the end is all that matters: ready and stop say what it means
		close(s.exited)
	}()
	return s, nil
}

// again starts an ended process once more, with what it left in its folder.
func (s *process) again() (*process, error) {
	return s.peer.run(s.cmd.Args, s.address, s.dir)
}

func freePort() (int, error) {
	ports, err := freePorts(localhost, 1)
	if err != nil {
		return 0, err
	}
	return ports[0], nil
}

// localhost is where clients are, and servers unless they have another host.
const localhost = "127.0.0.1"

func at(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }

// freePorts returns n different ports of a host.
func freePorts(host string, n int) (ports []int, err error) {
	for range n {
		l, err := net.Listen("tcp", at(host, 0))
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		defer l.Close() // only at the end: until then nobody gets the port again
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// ready waits until the server takes connections.
func (s *process) ready(ctx context.Context) error {
	network, address := (&Config{Address: s.address}).network()
	return s.until(ctx, readyTimeout, func(ctx context.Context) error {
		nc, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err != nil {
			return err
		}
		return nc.Close()
	})
}

// tryInterval is how often a starting server is asked whether it is ready.
const tryInterval = 10 * time.Millisecond

// until calls try, which should come back soon, until it returns nil, or the process ends, or limit has passed. It
// returns a moment after try did: a server that could not have its port ends meanwhile, and another one had answered.
func (s *process) until(ctx context.Context, limit time.Duration, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	poll := time.NewTicker(tryInterval)
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

// kill ends the process without giving it a chance, and returns when it is gone. Its folder stays.
func (s *process) kill() {
	s.cmd.Process.Kill() // an error means that it has ended
	<-s.exited
}

// wipe empties the folder of an ended process.
func (s *process) wipe() error {
	if err := os.RemoveAll(s.dir); err != nil {
		return fmt.Errorf("wipe %s: %w", s.peer.name, err)
	}
	if err := os.Mkdir(s.dir, 0o700); err != nil {
		return fmt.Errorf("wipe %s: %w", s.peer.name, err)
	}
	return nil
}

// cpu returns the processor time used, also of an ended process.
func (s *process) cpu() (cpuTime, error) {
	used, err := ProcessCPU(s.cmd.Process.Pid)
	if hasEnded(err) {
		<-s.exited // nobody else waits for the process, so it is about to be closed
	}
	select {
	case <-s.exited:
		return s.cmd.ProcessState.UserTime() + s.cmd.ProcessState.SystemTime(), nil
	default:
		return used, err
	}
}

// processes are servers that work together.
type processes []*process

// cpu returns the processor time of all.
func (p processes) cpu() (sum cpuTime, err error) {
	for _, s := range p {
		used, err := s.cpu()
		if err != nil {
			return 0, err
		}
		sum += used
	}
	return sum, nil
}

// stop asks all to end, the last first, and removes their folders.
func (p processes) stop() (err error) {
	for _, s := range slices.Backward(p) {
		err = errors.Join(err, s.stop())
	}
	return err
}

// discard kills all and removes their folders.
func (p processes) discard() error {
	var errs []error
	for _, s := range p {
		s.kill()
		errs = append(errs, os.RemoveAll(s.dir))
	}
	return errors.Join(errs...)
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
