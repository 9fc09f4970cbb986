package main

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"futago": main})
}

// TestScript runs every file of testdata/script: what users see on the command line. The command
// `code N` checks the exit code of the program given after it.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"code": checkCode},
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			// The environment of whoever runs the tests must not configure the program under test.
			for name := range environment(os.Environ()) {
				env.Setenv(name, "")
			}
			return nil
		},
	})
}

// checkCode is `code N command args...`: it runs the command and compares its exit code with N.
func checkCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N command args...")
	}
	got := "0"
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := asExit(err)
		if !ok {
			ts.Fatalf("run %q: %v", args[1:], err)
		}
		got = exit
	}
	if got != args[0] {
		ts.Fatalf("exit code of %q is %s, want %s", args[1:], got, args[0])
	}
}

// asExit returns the exit code that err stands for.
func asExit(err error) (string, bool) {
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		return "", false
	}
	return strconv.Itoa(exit.ExitCode()), true
}
