//go:build linux

package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// server is a process that answers at addr. The kernel ends it with this program.
type server struct {
	cmd    *exec.Cmd
	addr   string
	stderr strings.Builder // complete when it has exited
	exited chan struct{}
}

func (s *server) stop() {
	s.cmd.Process.Kill()
	<-s.exited
}

// maxValue is above what memcached takes as its largest item, so that values of 1 MiB and one byte are refused by both.
const maxValue = 1 << 20

func newMemcached(ctx context.Context, options ...string) *side {
	return &side{name: "memcached", start: func() (*server, error) { return startMemcached(ctx, options...) }}
}

func newFutago(ctx context.Context, program, cluster string) *side {
	return &side{name: "futago", start: func() (*server, error) {
		if cluster == "" {
			return startFutago(ctx, program, "--data=none", "--max-memory=2GiB")
		}
		// Each has keys of its own, as it would have a store of its own.
		return startFutago(ctx, program, fmt.Sprintf("--store=%s,prefix=%d:", cluster, prefixes.Add(1)))
	}}
}

// prefixes counts the parts of a cluster that were used.
var prefixes atomic.Int64

func startMemcached(ctx context.Context, options ...string) (*server, error) {
	program, err := exec.LookPath("memcached")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/memcached"); err != nil {
			return nil, fmt.Errorf("find memcached: %w; install it", err)
		}
	}
	return start(ctx, func(host, port string) *exec.Cmd {
		args := []string{"-p", port, "-U", "0", "-l", host, "-m", "1024", "-t", "2"}
		args = append(args, options...)
		if os.Getuid() == 0 {
			args = append(args, "-u", "root")
		}
		return exec.Command(program, args...)
	})
}

func startFutago(ctx context.Context, program string, options ...string) (*server, error) {
	return start(ctx, func(host, port string) *exec.Cmd {
		return exec.Command(program, append([]string{"serve", "--admin-listen=none", "--max-value=" + strconv.Itoa(maxValue),
			"--log-level=error", "--listen=" + net.JoinHostPort(host, port) + ",protocols=memcache"}, options...)...)
	})
}

// start runs a program on a free port, and on another one when somebody takes it between the search and the start.
func start(ctx context.Context, command func(host, port string) *exec.Cmd) (*server, error) {
	var last error
	for range 5 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		addr := l.Addr().String()
		l.Close()
		host, port, _ := net.SplitHostPort(addr)
		s := &server{cmd: command(host, port), addr: addr, exited: make(chan struct{})}
		s.cmd.Stderr = &s.stderr
		s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := s.cmd.Start(); err != nil {
			return nil, err
		}
		go func() { s.cmd.Wait(); close(s.exited) }()
		if last = s.wait(ctx); last == nil {
			return s, nil
		}
		s.stop()
	}
	return nil, fmt.Errorf("start a server: %w", last)
}

// wait returns when the server takes connections.
func (s *server) wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		c, err := net.Dial("tcp", s.addr)
		if err == nil {
			return c.Close()
		}
		select {
		case <-s.exited:
			return fmt.Errorf("%s ended: %s", s.cmd.Path, s.stderr.String())
		case <-ctx.Done():
			return fmt.Errorf("%s does not listen: %w", s.cmd.Path, ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}
