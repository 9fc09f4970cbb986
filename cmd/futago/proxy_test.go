package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
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
	started, logs := io.Pipe()
	cmd := newProxyCommand()
	cmd.SetArgs([]string{"--config", file, "--admin-listen", "none", "--timeout", "100ms"})
	cmd.SetErr(logs)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	result := make(chan error, 1)
	go func() {
		err := cmd.ExecuteContext(ctx)
		logs.Close()
		result <- err
	}()
	r := bufio.NewReader(started)
	line, err := r.ReadString('\n')
	if err != nil {
		t.Fatalf("%v: %v", err, <-result)
	}
	go io.Copy(io.Discard, r)
	match := regexp.MustCompile(`listen=(\S+) .*upstreams=1 choice=primary`).FindStringSubmatch(line)
	if match == nil {
		t.Fatalf("first log line: got %q, want the addresses", line)
	}
	nc, err := net.Dial("tcp", match[1])
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
	cancel()
	if err := <-result; err != nil {
		t.Errorf("command: %v", err)
	}
}

func TestProxyCommandRefuses(t *testing.T) {
	tests := []struct {
		args []string
		want []string
	}{
		{nil, []string{"0 upstreams: want 1 to 64, each with --upstream"}},
		{[]string{"--upstream", "h:1,wieght=5"}, []string{`unknown option "wieght" (nearest known option: weight)`}},
		{[]string{"--upstream", "h:1", "--choice", "random", "--listen", "y"}, []string{`"random" is not known`, `listen: address "y"`}},
	}
	for _, test := range tests {
		cmd := newProxyCommand()
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		cmd.SetArgs(append([]string{}, test.args...))
		err := cmd.ExecuteContext(t.Context())
		if _, ok := err.(usageError); !ok {
			t.Errorf("futago proxy %q: got %v, want an error of usage", test.args, err)
			continue
		}
		if n := len(strings.Split(err.Error(), "\n")); n != len(test.want) {
			t.Errorf("futago proxy %q: got %d problems, want %d: %v", test.args, n, len(test.want), err)
		}
		for _, part := range test.want {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("futago proxy %q: no %q in %v", test.args, part, err)
			}
		}
	}
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
