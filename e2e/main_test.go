//go:build e2e

// Package e2e runs the program as users do: real processes, real signals, real foreign programs. It sees nothing of
// the program but its ports, its log and its exit code.
package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// futagoProgram is the program under test.
var futagoProgram string

func TestMain(m *testing.M) {
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "futago-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	futagoProgram = filepath.Join(dir, "futago")
	build := exec.Command("go", "build", "-o", futagoProgram, "../cmd/futago")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintf(os.Stderr, "build the program under test: %v\n", err)
		return 1
	}
	return m.Run()
}
