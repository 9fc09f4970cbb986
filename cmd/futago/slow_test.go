package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/futago/futago/internal/node"
)

// execute runs a command and returns what it printed.
func execute(t *testing.T, wantCode int, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, errOut bytes.Buffer
	if code := run(args, strings.NewReader(""), &out, &errOut); code != wantCode {
		t.Fatalf("futago %q: code %d, want %d; %s", args, code, wantCode, errOut.String())
	}
	return out.String(), errOut.String()
}

// TestSlowAndHot asks a node for its notes, changes what is slow while it runs, and reads its log as JSON.
func TestSlowAndHot(t *testing.T) {
	dir := t.TempDir()
	client, admin, file := "unix:"+filepath.Join(dir, "client"), "unix:"+filepath.Join(dir, "admin"), filepath.Join(dir, "futago.toml")
	configure := func(threshold string) {
		t.Helper()
		if err := os.WriteFile(file, []byte("sample-requests = 1\nslow-threshold = \""+threshold+"\"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	configure("1ns")
	n := startServe(t, "--config", file, "--data", "none", "--listen", client, "--admin-listen", admin, "--log-format", "json")
	for range 5 {
		execute(t, exitOK, "set", "user:17", strings.Repeat("x", 3000), "--addr", client)
	}
	within := time.Now().Add(time.Minute)
	for out := ""; !strings.Contains(out, `"user:17"`); {
		if out, _ = execute(t, exitOK, "slow", "--admin", admin); time.Now().After(within) {
			t.Fatalf("slow: got\n%s", out)
		}
	}
	out, _ := execute(t, exitOK, "slow", "--admin", admin)
	for _, want := range []string{"waited for", "execution", "set", "node 1 (" + admin + ")", "slow is 1ns and more"} {
		if !strings.Contains(out, want) {
			t.Errorf("slow: got no %q in\n%s", want, out)
		}
	}
	out, _ = execute(t, exitOK, "hot", "--admin", admin)
	for _, want := range []string{"100.00%", "100%", `"user:17"`, "3,000", "5 samples"} {
		if !strings.Contains(out, want) {
			t.Errorf("hot: got no %q in\n%s", want, out)
		}
	}
	var hot node.HotDocument
	out, _ = execute(t, exitOK, "hot", "--admin", admin, "--json")
	if err := json.Unmarshal([]byte(out), &hot); err != nil || len(hot.Hot) != 1 || hot.Hot[0].Samples != 5 || len(hot.Big) != 1 {
		t.Errorf("hot --json: %v, %s", err, out)
	}
	execute(t, exitUsage, "slow", "--limit", "0")
	if _, text := execute(t, exitFailure, "slow", "--admin", "unix:"+filepath.Join(dir, "none")); !strings.Contains(text, adminHint) {
		t.Errorf("no node: got %s", text)
	}

	threshold := func(want float64) {
		t.Helper()
		var slow node.SlowDocument
		for slow.Node == 0 || slow.Threshold != want {
			out, _ := execute(t, exitOK, "slow", "--admin", admin, "--json")
			if err := json.Unmarshal([]byte(out), &slow); err != nil || time.Now().After(within) {
				t.Fatalf("threshold: got %v, want %v; %v", slow.Threshold, want, err)
			}
		}
	}
	threshold(1e-9)
	configure("2s")
	if err := n.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	threshold(2)
	if err := n.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := n.cmd.Wait(); err != nil {
		t.Errorf("the node ended with %v", err)
	}
	told := map[string]int{}
	for line := range strings.Lines(n.stderr.String()) {
		var entry struct {
			Time, Level, Msg string
		}
		if err := json.Unmarshal([]byte(line), &entry); err != nil || entry.Time == "" || entry.Level == "" {
			t.Fatalf("a line of the log is no JSON: %v, %s", err, line)
		}
		told[entry.Msg]++
	}
	if told["setting changed"] != 1 {
		t.Errorf("the log: got %v", told)
	}
}
