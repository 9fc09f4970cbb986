package main

import (
	"bufio"
	"context"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// startFront runs the command of a gateway or a proxy until the returned func is called, which waits for its end. found are
// the submatches of pattern in its first log line.
func startFront(t *testing.T, cmd *cobra.Command, pattern string) (found []string, stop func()) {
	t.Helper()
	started, logs := io.Pipe()
	cmd.SetErr(logs)
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() {
		err := cmd.ExecuteContext(ctx)
		logs.Close()
		result <- err
	}()
	r := bufio.NewReader(started)
	addresses := regexp.MustCompile(pattern)
	for found == nil { // what was found out about upstreams may come before
		line, err := r.ReadString('\n')
		if err != nil {
			cancel()
			t.Fatalf("no line has the addresses: %v: %v", err, <-result)
		}
		found = addresses.FindStringSubmatch(line)
	}
	go io.Copy(io.Discard, r)
	stop = func() {
		t.Helper()
		cancel()
		if err := <-result; err != nil {
			t.Errorf("command: %v", err)
		}
	}
	return found[1:], stop
}

// TestFrontsRefuse gives the commands settings that are wrong.
func TestFrontsRefuse(t *testing.T) {
	tests := []struct {
		command func() *cobra.Command
		args    []string
		want    []string // a part of each problem
	}{
		{newGatewayCommand, nil, []string{"0 upstreams: want 1 to 64"}},
		{newGatewayCommand, []string{"--upstream", "h:1,wieght=5"}, []string{`unknown option "wieght" (nearest known option: weight)`}},
		{newGatewayCommand, []string{"--upstream", "h:1", "--allow-path", "x", "--listen", "y"}, []string{`allow path "x"`, `listen: address "y"`}},
		{newProxyCommand, nil, []string{"0 upstreams: want 1 to 64, each with --upstream"}},
		{newProxyCommand, []string{"--upstream", "h:1,wieght=5"}, []string{`unknown option "wieght" (nearest known option: weight)`}},
		{newProxyCommand, []string{"--upstream", "h:1", "--choice", "random", "--listen", "y"}, []string{`"random" is not known`, `listen: address "y"`}},
	}
	for _, test := range tests {
		cmd := test.command()
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		cmd.SetArgs(append([]string{}, test.args...))
		err := cmd.ExecuteContext(t.Context())
		if _, ok := err.(usageError); !ok {
			t.Errorf("futago %s %q: got %v, want an error of usage", cmd.Name(), test.args, err)
			continue
		}
		if n := len(strings.Split(err.Error(), "\n")); n != len(test.want) {
			t.Errorf("futago %s %q: got %d problems, want %d: %v", cmd.Name(), test.args, n, len(test.want), err)
		}
		for _, part := range test.want {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("futago %s %q: no %q in %v", cmd.Name(), test.args, part, err)
			}
		}
	}
}
