package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/futago/futago/internal/node"
	"github.com/futago/futago/internal/reload"
)

// TestConfigReload changes the file of a node that runs, and has it read by command and by signal.
func TestConfigReload(t *testing.T) {
	dir := t.TempDir()
	path, admin := filepath.Join(dir, "futago.toml"), "unix:"+filepath.Join(dir, "admin")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("log-level = 'warn'\n")
	n := startServe(t, "--config", path, "--data", "none", "--listen", "unix:"+filepath.Join(dir, "client"), "--admin-listen", admin, "--request-timeout", "20s")
	again := func(code int, args ...string) (stdout, stderr string) {
		t.Helper()
		got, stdout, stderr := command(append([]string{"config", "reload", "--admin", admin}, args...)...)
		if got != code {
			t.Fatalf("exit code %d, want %d: %s%s", got, code, stdout, stderr)
		}
		return stdout, stderr
	}
	if out, _ := again(exitOK); out != "node 1 ("+admin+")\n  no setting has another value\n" {
		t.Errorf("nothing is new: got %q", out)
	}
	// The flag stays stronger than the file.
	write("log-level = 'info'\nidle-timeout = '2m'\nrequest-timeout = '5s'\nmax-value = '1MiB'\n")
	out, _ := again(exitOK)
	want := "node 1 (" + admin + ")\n changed idle-timeout 0s -> 2m from " + path + "\n changed log-level warn -> info from " + path +
		"\n needs a restart max-value 64MiB -> 1MiB from " + path + "\n"
	if squeeze(out) != squeeze(want) {
		t.Errorf("got\n%s\nwant\n%s", out, want)
	}
	out, _ = again(exitOK, "--json")
	var report node.ReloadReport
	if err := json.Unmarshal([]byte(out), &report); err != nil || len(report.Changed) != 0 || len(report.Restart) != 1 || report.Restart[0].Name != "max-value" {
		t.Errorf("JSON: got %v, %s", err, out)
	}
	write("idle-timeuot = '2m'\nmax-conns = 0\n")
	if _, errOut := again(exitFailure); !strings.Contains(errOut, "unknown key idle-timeuot (did you mean idle-timeout?); max-conns 0: allowed is more than 0") {
		t.Errorf("mistakes: got %q", errOut)
	}
	write("idle-timeout = '3m'\n")
	n.cmd.Process.Signal(syscall.SIGHUP)
	inForce := func() string {
		var d struct{ Settings []reload.Setting }
		nodes, err := (&adminConfig{Admin: []string{admin}, Timeout: 5 * time.Second}).nodes()
		if err != nil {
			t.Fatal(err)
		}
		if err := nodes[0].get(t.Context(), "its settings", "/settings", maxStatus, &d); err != nil {
			t.Fatal(err)
		}
		for _, s := range d.Settings {
			if s.Name == "idle-timeout" {
				return s.Values[0]
			}
		}
		return ""
	}
	for end := time.Now().Add(time.Minute); inForce() != "3m"; {
		if time.Now().After(end) {
			t.Fatalf("idle-timeout is %s 20 seconds after SIGHUP", inForce())
		}
	}
	if code, _, errOut := command("config", "reload", "--admin", closed(t)); code != exitFailure || !strings.Contains(errOut, adminHint) {
		t.Errorf("no node: exit code %d, %s", code, errOut)
	}
}
