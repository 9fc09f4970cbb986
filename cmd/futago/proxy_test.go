package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestProxyCommand runs the command, from a configuration file and flags, without a live upstream.
func TestProxyCommand(t *testing.T) {
	dead, err := closedAddr()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "proxy.toml")
	text := "listen = \"127.0.0.1:0\"\nupstream = [\"" + dead + "\"]\nmax-pending-total = \"8MiB\"\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := newProxyCommand()
	cmd.SetArgs([]string{"--config", file, "--admin-listen", "none", "--timeout", "100ms"})
	found, stop := startFront(t, cmd, `listen=(\S+) .*upstreams=1 choice=primary`)
	nc, err := net.Dial("tcp", found[0])
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprint(nc, "version\r\nget a\r\n")
	client := bufio.NewReader(nc)
	for _, want := range []string{"VERSION 1.6.18 futago-" + thisBuild().Version + "\r\n", "SERVER_ERROR no upstream is up\r\n"} {
		if got, err := client.ReadString('\n'); err != nil || got != want {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
	stop()
}

func TestProxyCommandAddressInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	var stderr bytes.Buffer
	args := []string{"proxy", "--upstream", "127.0.0.1:1", "--admin-listen", "none", "--listen", taken.Addr().String()}
	code := run(args, strings.NewReader(""), &bytes.Buffer{}, &stderr)
	if want := "choose another address with --listen or --admin-listen."; code != exitFailure || !strings.Contains(stderr.String(), want) {
		t.Errorf("code %d, want %d; no %q in:\n%s", code, exitFailure, want, stderr.String())
	}
}
