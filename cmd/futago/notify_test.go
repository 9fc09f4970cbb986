package main

import (
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestNotifySystemd(t *testing.T) {
	for name, path := range map[string]string{
		"path":     filepath.Join(t.TempDir(), "notify"),
		"abstract": "@" + filepath.Join(t.TempDir(), "notify"),
	} {
		t.Run(name, func(t *testing.T) {
			manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
			if err != nil {
				t.Fatal(err)
			}
			defer manager.Close()
			t.Setenv("NOTIFY_SOCKET", path)
			if err := notifySystemd("READY=1"); err != nil {
				t.Fatal(err)
			}
			manager.SetReadDeadline(time.Now().Add(10 * time.Second))
			buffer := make([]byte, 100)
			n, err := manager.Read(buffer)
			if err != nil || string(buffer[:n]) != "READY=1" {
				t.Errorf("the manager read %q, %v, want READY=1", buffer[:n], err)
			}
		})
	}
}

func TestNotifySystemdAbsent(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	if err := notifySystemd("READY=1"); err != nil {
		t.Errorf("without a manager: %v", err)
	}
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "nobody"))
	if err := notifySystemd("READY=1"); err == nil || !strings.Contains(err.Error(), "notify systemd of READY=1") {
		t.Errorf("with a manager that is gone: %v, want an error that says what was to be told", err)
	}
}

func TestKeepWatchdog(t *testing.T) {
	for _, c := range []struct {
		interval time.Duration
		alive    func(look int) bool
		want     int
	}{
		{0, func(int) bool { return true }, 0},
		{30 * time.Second, func(int) bool { return true }, 10},
		{30 * time.Second, func(look int) bool { return look <= 4 }, 4},
		{3 * time.Second, func(int) bool { return true }, 50},
	} {
		synctest.Test(t, func(t *testing.T) {
			looks, told := 0, 0
			finished, ended := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(ended)
				keepWatchdog(c.interval, func() bool { looks++; return c.alive(looks) }, func(state string) {
					if told++; state != "WATCHDOG=1" {
						t.Errorf("told %q", state)
					}
				}, finished)
			}()
			time.Sleep(100*time.Second + time.Millisecond) // of the bubble's clock
			close(finished)
			<-ended
			if told != c.want {
				t.Errorf("watchdog of %v: told %d times in 100 s, want %d", c.interval, told, c.want)
			}
		})
	}
}

// TestServeUnderSystemd starts a node with a watchdog and a socket that was opened before it, in which a client already waits.
func TestServeUnderSystemd(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	client, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	socket, err := ln.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	node := startServeIn(t, func(cmd *exec.Cmd) {
		// LISTEN_PID and WATCHDOG_PID name the process itself, which only a shell before it can know.
		words := cmd.Args[1:]
		program, err := exec.LookPath("futago")
		if err != nil {
			t.Fatal(err)
		}
		cmd.Path, cmd.Args = "/bin/sh", append([]string{"sh", "-c", `LISTEN_PID=$$ WATCHDOG_PID=$$ exec "$0" "$@"`, program}, words...)
		cmd.ExtraFiles = []*os.File{socket}
		cmd.Env = append(cmd.Env, "LISTEN_FDS=1", "WATCHDOG_USEC=6000000")
	}, "--data", "none", "--listen", ln.Addr().String(), "--admin-listen", "none")
	client.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := client.Write([]byte("version\r\n")); err != nil {
		t.Fatal(err)
	}
	reply := make([]byte, len("VERSION "))
	if _, err := io.ReadFull(client, reply); err != nil || string(reply) != "VERSION " {
		t.Errorf("the client that waited: got %q, %v", reply, err)
	}
	node.wantNotice("WATCHDOG=1")
	node.wantNotice("WATCHDOG=1")
	node.cmd.Process.Signal(syscall.SIGTERM)
	node.cmd.Wait()
}
