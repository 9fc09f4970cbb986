package main

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestSampleConfig checks that the sample configuration names every key and changes nothing.
func TestSampleConfig(t *testing.T) {
	const path = "../../deploy/futago.toml"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	config := defaultServeConfig()
	table := serveSettings(config)
	for _, problem := range table.parseFile(path, string(text)) {
		t.Error(problem)
	}
	if err := config.Node.Validate(); err != nil {
		t.Error(err)
	}
	defaults := serveSettings(defaultServeConfig())
	for i, st := range table.list {
		if st.outsideFile {
			continue
		}
		if st.source != path {
			t.Errorf("the sample lacks the key %s", st.name)
		}
		if diff := cmp.Diff(defaults.list[i].value.tomlValue(), st.value.tomlValue()); diff != "" {
			t.Errorf("%s is not the default (-want +got):\n%s", st.name, diff)
		}
	}
}

// TestSampleConfigExplains checks that every key of the sample stands below a comment that explains it,
// directly or together with the key above.
func TestSampleConfigExplains(t *testing.T) {
	text, err := os.ReadFile("../../deploy/futago.toml")
	if err != nil {
		t.Fatal(err)
	}
	explained := false
	for line := range strings.Lines(string(text)) {
		switch {
		case strings.HasPrefix(line, "# "):
			explained = true
		case strings.TrimSpace(line) == "":
			explained = false
		case !explained:
			t.Errorf("no comment above %q", strings.TrimSpace(line))
		}
	}
}

// TestServiceUnit checks what in the unit file depends on this program: its variables and exit codes.
func TestServiceUnit(t *testing.T) {
	text, err := os.ReadFile("../../deploy/futago.service")
	if err != nil {
		t.Fatal(err)
	}
	unit := map[string][]string{}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(key, "#") {
			unit[key] = append(unit[key], value)
		}
	}
	if diff := cmp.Diff([]string{"notify"}, unit["Type"]); diff != "" {
		t.Errorf("Type differs (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"2"}, unit["RestartPreventExitStatus"]); diff != "" || exitUsage != 2 {
		t.Errorf("RestartPreventExitStatus differs (-want +got):\n%s", diff)
	}
	// A panic and the watchdog's SIGABRT end a Go program with code 2 otherwise, which is not to be tried again.
	if diff := cmp.Diff([]string{"GOTRACEBACK=crash"}, unit["Environment"]); diff != "" {
		t.Errorf("Environment differs (-want +got):\n%s", diff)
	}
}

// TestCrashIsNoUsageError checks the assumption behind that.
func TestCrashIsNoUsageError(t *testing.T) {
	node := startServeIn(t, func(cmd *exec.Cmd) { cmd.Env = append(cmd.Env, "GOTRACEBACK=crash") },
		"--data", "none", "--listen", "127.0.0.1:0", "--admin-listen", "none")
	if err := node.cmd.Process.Signal(syscall.SIGABRT); err != nil {
		t.Fatal(err)
	}
	node.cmd.Wait()
	if status := node.cmd.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != syscall.SIGABRT {
		t.Errorf("a node that was aborted ended with %v, want SIGABRT", node.cmd.ProcessState)
	}
}

// TestDockerfileVariables checks that the image sets only variables that a node knows.
func TestDockerfileVariables(t *testing.T) {
	text, err := os.ReadFile("../../deploy/Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	_, env, ok := strings.Cut(string(text), "\nENV ")
	if !ok {
		t.Fatal("no ENV in the Dockerfile")
	}
	env, _, _ = strings.Cut(env, "\nVOLUME")
	checkVariables(t, strings.Fields(strings.ReplaceAll(env, "\\", "")))
}

// checkVariables loads assignments such as FUTAGO_DATA=/data into a node's settings.
func checkVariables(t *testing.T, assignments []string) {
	t.Helper()
	if len(assignments) == 0 {
		t.Fatal("no variables")
	}
	variables := environment(assignments)
	if len(variables) != len(assignments) {
		t.Errorf("not every one of %q is a variable of futago", assignments)
	}
	for _, problem := range unknownVariables(newRootCommand(), variables) {
		t.Error(problem)
	}
	config := defaultServeConfig()
	for _, st := range serveSettings(config).list {
		if err := st.fromEnvironment(variables); err != nil {
			t.Error(err)
		}
	}
	if err := config.Node.Validate(); err != nil {
		t.Error(err)
	}
}
