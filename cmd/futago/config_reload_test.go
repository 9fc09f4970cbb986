package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"

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

// TestConfigReloadOfFronts changes the files of a gateway and of a proxy that run.
func TestConfigReloadOfFronts(t *testing.T) {
	dead := closed(t)
	for _, x := range []struct {
		name           string
		command        func() *cobra.Command
		change, report string // of the file; FILE is its path
		restart        string
	}{
		{"gateway", newGatewayCommand, "allow-path = ['/b']\nidle-timeout = '2m'\n", "changed allow-path /a -> /b from FILE\nneeds a restart idle-timeout 1m -> 2m from FILE\n", "idle-timeout"},
		{"proxy", newProxyCommand, "write-timeout = '5s'\npool = 3\n", "needs a restart pool 2 -> 3 from FILE\nchanged write-timeout 30s -> 5s from FILE\n", "pool"},
	} {
		t.Run(x.name, func(t *testing.T) {
			dir := t.TempDir()
			path, own, admin := filepath.Join(dir, "front.toml"), filepath.Join(dir, "own"), "unix:"+filepath.Join(dir, "admin")
			write := func(path, text string) {
				t.Helper()
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			rest := "upstream = ['" + dead + "']\nupstream-user-file = '" + own + "'\n"
			if x.name == "gateway" {
				write(path, rest+"allow-path = ['/a']\n")
			} else {
				write(path, rest)
			}
			write(own, "me:old\n")
			cmd := x.command()
			cmd.SetArgs([]string{"--config", path, "--listen", "127.0.0.1:0", "--admin-listen", admin})
			_, stop := startFront(t, cmd, `(admin)=`)
			defer stop()
			again := func(code int, args ...string) (stdout, stderr string) {
				t.Helper()
				got, stdout, stderr := command(append([]string{"config", "reload", "--admin", admin}, args...)...)
				if got != code {
					t.Fatalf("exit code %d, want %d: %s%s", got, code, stdout, stderr)
				}
				return stdout, stderr
			}
			if out, _ := again(exitOK); out != x.name+" ("+admin+")\n  read again: upstream user\n  no setting has another value\n" {
				t.Errorf("nothing is new: got %q", out)
			}
			write(path, rest+x.change)
			out, _ := again(exitOK)
			for line := range strings.Lines(strings.ReplaceAll(x.report, "FILE", path)) {
				if !strings.Contains(squeeze(out), squeeze(line)) {
					t.Errorf("no %q in\n%s", line, out)
				}
			}
			out, _ = again(exitOK, "--json")
			var report reloadReport
			if err := json.Unmarshal([]byte(out), &report); err != nil || report.Front != x.name || len(report.Changed) != 0 || len(report.Restart) != 1 || report.Restart[0].Name != x.restart {
				t.Errorf("JSON: got %v, %s", err, out)
			}
			write(path, rest+"idle-timeuot = '2m'\nmax-conns = 0\n")
			if err := os.Remove(own); err != nil {
				t.Fatal(err)
			}
			_, errOut := again(exitFailure)
			for _, part := range []string{"unknown key idle-timeuot (did you mean idle-timeout?)", "max conns 0: want 1", own, "Nothing has changed there."} {
				if !strings.Contains(errOut, part) {
					t.Errorf("mistakes: no %q in %q", part, errOut)
				}
			}
		})
	}
}
