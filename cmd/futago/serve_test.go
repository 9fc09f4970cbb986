package main

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// serving is a `futago serve` process under a service manager.
type serving struct {
	t       *testing.T
	cmd     *exec.Cmd
	manager *net.UnixConn
	stderr  bytes.Buffer
}

// startServe starts a node in a folder of its own and returns when it has reported itself ready.
func startServe(t *testing.T, args ...string) *serving {
	t.Helper()
	return startServeIn(t, func(*exec.Cmd) {}, args...)
}

// startServeIn is startServe with a change of the command before it runs.
func startServeIn(t *testing.T, change func(*exec.Cmd), args ...string) *serving {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { manager.Close() })
	s := &serving{t: t, manager: manager, cmd: exec.Command("futago", append([]string{"serve"}, args...)...)}
	s.cmd.Dir = t.TempDir()
	s.cmd.Stderr = &s.stderr
	s.cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+socket)
	change(s.cmd)
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.cmd.Process.Kill() }) // an error only says that it has ended
	s.wantNotice("READY=1")
	return s
}

// wantNotice waits for what the process tells its service manager next.
func (s *serving) wantNotice(want string) {
	s.t.Helper()
	s.manager.SetReadDeadline(time.Now().Add(20 * time.Second))
	buffer := make([]byte, 100)
	n, err := s.manager.Read(buffer)
	if err != nil || string(buffer[:n]) != want {
		s.cmd.Process.Kill()
		s.cmd.Wait()
		s.t.Fatalf("the service manager was told %q, %v, want %s; the node said:\n%s", buffer[:n], err, want, s.stderr.String())
	}
}

func TestServeProfiles(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "admin")
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	for _, c := range []struct {
		args []string
		code int
	}{{nil, http.StatusNotFound}, {[]string{"--pprof", "--pprof-block-rate", "1us", "--pprof-mutex-fraction", "1"}, http.StatusOK}} {
		node := startServe(t, append(c.args, "--data", "none", "--listen", "127.0.0.1:0", "--admin-listen", "unix:"+socket)...)
		for _, profile := range []string{"block", "mutex", "allocs", "profile?seconds=1"} {
			response, err := client.Get("http://node/debug/pprof/" + profile)
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			if response.StatusCode != c.code {
				t.Errorf("%q: %s: got status %d, want %d", c.args, profile, response.StatusCode, c.code)
			}
		}
		node.cmd.Process.Signal(syscall.SIGTERM)
		node.cmd.Wait()
	}
}

func TestServe(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "client")
	node := startServe(t, "--data", "none", "--listen", "unix:"+socket, "--admin-listen", "none")
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"set", "greeting", "hello"}, ""},
		{[]string{"get", "greeting"}, "hello"},
	} {
		var stdout, stderr bytes.Buffer
		code := run(append(c.args, "--addr", "unix:"+socket), strings.NewReader(""), &stdout, &stderr)
		if code != exitOK || stdout.String() != c.want {
			t.Errorf("futago %q: code %d, printed %q, want %q; errors: %s", c.args, code, stdout.String(), c.want, stderr.String())
		}
	}
	if err := node.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	node.wantNotice("STOPPING=1")
	if err := node.cmd.Wait(); err != nil {
		t.Errorf("a drained node ended with %v, want code 0; it said:\n%s", err, node.stderr.String())
	}
	if !strings.Contains(node.stderr.String(), "draining") {
		t.Errorf("the node did not log that it drains:\n%s", node.stderr.String())
	}
}

func TestServeRefuses(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, c := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"configuration", []string{"--node", "1", "--peer", "127.0.0.1:1"}, exitUsage, "futago: serve: peer-listen "},
		{"argument", []string{"now"}, exitUsage, `futago: serve: unexpected argument "now"`},
		{"no secret", []string{"--peer-secret-file", "absent"}, exitFailure, "read shared secret of the peer link: open absent: no such file"},
		{"address in use", []string{"--listen", taken.Addr().String()}, exitFailure, "Another process listens there."},
	} {
		t.Run(c.name, func(t *testing.T) {
			var stderr bytes.Buffer
			code := run(append([]string{"serve", "--data", "none", "--admin-listen", "none"}, c.args...), strings.NewReader(""), &bytes.Buffer{}, &stderr)
			if code != c.code || !strings.Contains(stderr.String(), c.want) {
				t.Errorf("code %d, want %d; no %q in:\n%s", code, c.code, c.want, stderr.String())
			}
		})
	}
}
