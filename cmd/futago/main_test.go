package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"futago": main})
}

// TestScript runs every file of testdata/script: what users see on the command line. Scripts have
// FUTAGO_ADDR, the address of a server with an empty cache of their own, a file `large`, which holds more
// than that server takes, and CLOSED, an address that refuses connections. A script with files named *.status has STATUS_0, STATUS_1 ...: admin addresses that
// serve them, in the order of their names. The further commands:
//
//	code N program args...    run a program and demand its exit code
//	makelog DIR               make a data folder with a log, as log_test.go says
//	flip FILE OFFSET          change one byte of a file
//	exptime KEY SECONDS       demand the expiration with which KEY was stored or touched last
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"code": checkCode, "exptime": checkExptime, "makelog": makeLog, "flip": flipByte},
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setUpScript,
	})
}

// serverKey is under which a script's environment keeps its cacheServer.
type serverKey struct{}

func setUpScript(env *testscript.Env) error {
	// The environment of whoever runs the tests must not configure the program under test.
	for name := range environment(os.Environ()) {
		env.Setenv(name, "")
	}
	server, err := startCacheServer()
	if err != nil {
		return err
	}
	env.Defer(func() { server.listener.Close() })
	env.Values[serverKey{}] = server
	env.Setenv("FUTAGO_ADDR", server.listener.Addr().String())
	large := make([]byte, maxCacheValue+1)
	if err := os.WriteFile(filepath.Join(env.WorkDir, "large"), large, 0o600); err != nil {
		return err
	}
	closed, err := closedAddr()
	if err != nil {
		return err
	}
	env.Setenv("CLOSED", closed)

	paths, err := filepath.Glob(filepath.Join(env.WorkDir, "*.status"))
	if err != nil {
		return err
	}
	for i, path := range paths {
		body, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		admin := startAdminServer(string(body))
		env.Defer(admin.Close)
		env.Setenv("STATUS_"+strconv.Itoa(i), strings.TrimPrefix(admin.URL, "http://"))
	}
	return nil
}

func checkCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N program args...")
	}
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("run %q: %v", args[1:], err)
		}
		got = exit.ExitCode()
	}
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("exit code of %q is %d, want %s", args[1:], got, args[0])
	}
}

func checkExptime(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: exptime KEY SECONDS")
	}
	server := ts.Value(serverKey{}).(*cacheServer)
	server.mu.Lock()
	defer server.mu.Unlock()
	if got := server.items[args[0]].exptime; got != args[1] {
		ts.Fatalf("exptime of %q is %q, want %q", args[0], got, args[1])
	}
}
