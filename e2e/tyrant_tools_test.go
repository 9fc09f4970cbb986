//go:build e2e

package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// tyrantLinks is a folder with links to the program by the names of Tokyo Tyrant's.
type tyrantLinks struct {
	t   *testing.T
	dir string
}

func newTyrantLinks(t *testing.T) tyrantLinks {
	t.Helper()
	l := tyrantLinks{t, t.TempDir()}
	for _, name := range []string{"tcrmgr", "ttserver", "ttulmgr"} {
		if err := os.Symlink(futagoProgram, l.path(name)); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

func (l tyrantLinks) path(name string) string { return filepath.Join(l.dir, name) }

// run runs a link to its end.
func (l tyrantLinks) run(stdin, name string, args ...string) (code int, stdout, stderr string) {
	l.t.Helper()
	cmd := exec.CommandContext(l.t.Context(), l.path(name), args...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	err := cmd.Run()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		l.t.Fatalf("run %s: %v", name, err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// want demands what a link prints; an error is demanded where stderr is not empty.
func (l tyrantLinks) want(stdout, stderr, stdin, name string, args ...string) {
	l.t.Helper()
	wantCode := 0
	if stderr != "" {
		wantCode = 1
	}
	code, out, errs := l.run(stdin, name, args...)
	if code != wantCode || out != stdout || errs != stderr {
		l.t.Errorf("%s %q: code %d, want %d\nprinted %q\n   want %q\nerrors %q\n  want %q", name, args, code, wantCode, out, stdout, errs, stderr)
	}
}

// serve starts ttserver by its link and waits until it takes connections at address.
func (l tyrantLinks) serve(out *output, address string, args ...string) *process {
	l.t.Helper()
	p := startProcess(l.t, "ttserver", out, l.path("ttserver"), args...)
	eventually(l.t, "ttserver serves", 30*time.Second, func() bool {
		select {
		case <-p.exited:
			l.t.Fatalf("ttserver ended with code %d", p.cmd.ProcessState.ExitCode())
		default:
		}
		return accepts(address)
	})
	return p
}

// pidIn is the number in a pid file, 0 while there is none.
func pidIn(path string) int {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	pid, _ := strconv.Atoi(strings.TrimSuffix(string(text), "\n"))
	return pid
}

// TestTyrantTools drives ttserver with tcrmgr, both by links, through every subcommand, a kill and restarts.
func TestTyrantTools(t *testing.T) {
	l := newTyrantLinks(t)
	work := t.TempDir()
	address := freeAddr(t, newHost())
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	pidFile, logFile := filepath.Join(work, "pid"), filepath.Join(work, "log")
	out := newOutput(t, "ttserver")
	options := []string{"-host", host, "-port", port, "-pid", pidFile, "-log", logFile, "-sid", "7", "-thnum", "2", "-ext", "@function echo(k, v) return k .. ':' .. v end"}
	database := filepath.Join(work, "casket.tch#bnum=1000")
	t.Cleanup(func() {
		if text, err := os.ReadFile(logFile); t.Failed() && err == nil {
			t.Logf("log of ttserver:\n%s", text)
		}
	})

	first := l.serve(out, address, append(options, database)...)
	if pid := pidIn(pidFile); pid != first.cmd.Process.Pid {
		t.Errorf("the pid file has %d, want %d", pid, first.cmd.Process.Pid)
	}
	l.every(address, work)

	// A kill leaves the pid file, which only -kl passes over. The records are still there.
	first.kill()
	killed := fmt.Sprintf("ttserver: the process %d may be already running\n", first.cmd.Process.Pid)
	if code, _, errs := l.run("", "ttserver", append(options, database)...); code != 1 || !strings.HasPrefix(errs, killed) {
		t.Errorf("ttserver with an old pid file: code %d, errors %q, want 1 and %q", code, errs, killed)
	}
	options = append(options, "-kl")
	second := l.serve(out, address, append(options, database)...)
	l.want("kept\tvalue\n", "", "", "tcrmgr", "mget", address, "kept", "gone")

	// -kl ends the one that runs, in order.
	third := l.serveAfter(second, out, address, append(options, database)...)
	if pid := pidIn(pidFile); pid != third.cmd.Process.Pid {
		t.Errorf("the pid file has %d, want %d", pid, third.cmd.Process.Pid)
	}
	l.want("value\n", "", "", "tcrmgr", "get", address, "kept")

	// HUP goes on in a new log file, and nobody is disconnected.
	if err := os.Rename(logFile, logFile+".1"); err != nil {
		t.Fatal(err)
	}
	third.signal(t, syscall.SIGHUP)
	eventually(t, "the log is opened again", 10*time.Second, func() bool {
		_, err := os.Stat(logFile)
		return err == nil
	})
	third.signal(t, syscall.SIGTERM)
	if code := third.waitExit(t, 20*time.Second); code != 0 {
		t.Errorf("ttserver ended with code %d after SIGTERM, want 0", code)
	}
	if text, err := os.ReadFile(logFile); err != nil || !bytes.Contains(text, []byte("draining")) {
		t.Errorf("the new log has %q, %v, want the end", text, err)
	}
	if text, err := os.ReadFile(logFile + ".1"); err != nil || !bytes.Contains(text, []byte("option=dbname#bnum")) {
		t.Errorf("the old log has no word of bnum, %v:\n%s", err, text)
	}
	if pid := pidIn(pidFile); pid != 0 {
		t.Errorf("the pid file is still there, with %d", pid)
	}
	if out.String() != "" {
		t.Errorf("ttserver printed %q beside its log", out)
	}
}

// serveAfter is serve for a server that ends another one.
func (l tyrantLinks) serveAfter(before *process, out *output, address string, args ...string) *process {
	l.t.Helper()
	p := startProcess(l.t, "ttserver", out, l.path("ttserver"), args...)
	if code := before.waitExit(l.t, 20*time.Second); code != 0 {
		l.t.Errorf("the server that was ended by -kl: code %d, want 0", code)
	}
	eventually(l.t, "the next ttserver serves", 30*time.Second, func() bool { return accepts(address) })
	return p
}

// every runs every subcommand of tcrmgr, and leaves the record kept.
func (l tyrantLinks) every(address, work string) {
	l.t.Helper()
	const (
		exists  = "tcrmgr: error: 6: existing record\n"
		missing = "tcrmgr: error: 7: no record found\n"
		refused = "tcrmgr: error: 9999: miscellaneous error\n"
	)
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		l.t.Fatal(err)
	}
	tsv := filepath.Join(work, "in.tsv")
	if err := os.WriteFile(tsv, []byte("T1\tone\nnone\nt2\ttwo\n"), 0o600); err != nil {
		l.t.Fatal(err)
	}
	identity, _, _ := strings.Cut(l.version("tcrmgr", "version"), "\n")
	if identity != "Tokyo Tyrant version 1.1.41 (324:0.91) for Linux" || l.version("ttserver", "--version") != l.version("tcrmgr", "--version") {
		l.t.Errorf("tcrmgr version begins with %q", identity)
	}
	l.want("record number: 0\nfile size: 0\n", "", "", "tcrmgr", "inform", address)
	l.want("", "", "", "tcrmgr", "put", "-port", port, host, "k", "v")
	l.want("", exists, "", "tcrmgr", "put", "-port", port, "-dk", host, "k", "w")
	l.want("", "", "", "tcrmgr", "put", "-dc", address, "k", "w")
	l.want("vw\n", "", "", "tcrmgr", "get", address, "k")
	l.want("41\n", "", "", "tcrmgr", "put", "-dai", address, "i", "41")
	l.want("1.250000\n", "", "", "tcrmgr", "put", "-dad", address, "d", "1.25")
	l.want("29 00 00 00", "", "", "tcrmgr", "get", "-px", "-pz", address, "i")
	l.want("k\tvw\n", "", "", "tcrmgr", "mget", host+"#port="+port, "k", "no")
	l.want("k\tvw\n", "", "", "tcrmgr", "list", "-m", "1", "-pv", "-fm", "k", address)
	l.want("", "", "", "tcrmgr", "sync", address)
	l.want("", "", "", "tcrmgr", "optimize", address, "bnum=10")
	l.want("", "", "", "tcrmgr", "misc", address, "put", "m", "1")
	l.want("1\n", "", "", "tcrmgr", "misc", "-mnu", address, "get", "m")
	l.want("", "", "", "tcrmgr", "out", address, "k")
	l.want("", missing, "", "tcrmgr", "out", address, "k")
	l.want(" (00000002)\n", "", "", "tcrmgr", "importtsv", "-sc", address, tsv)
	l.want("t1\tone\nt2\ttwo\n", "", "", "tcrmgr", "mget", address, "t1", "t2")
	l.want("two", "", "", "tcrmgr", "http", "http://"+address+"/t2")
	_, headers, _ := l.run("", "tcrmgr", "http", "-ih", "http://"+address+"/no")
	if !strings.HasPrefix(headers, "STATUS: HTTP/1.1 404 Not Found\n") {
		l.t.Errorf("tcrmgr http -ih of nothing printed %q", headers)
	}
	_, stat, _ := l.run("", "tcrmgr", "inform", "-st", address)
	for _, line := range []string{"version\t1.1.41", "sid\t7\n", "cnt_putkeep\t1\n"} {
		if !strings.Contains(stat, line) {
			l.t.Errorf("tcrmgr inform -st lacks %q:\n%s", line, stat)
		}
	}

	l.want("k:v\n", "", "", "tcrmgr", "ext", "-xlr", address, "echo", "k", "v")
	l.want("", refused, "", "tcrmgr", "ext", address, "nosuch", "k")
	l.want("", "", "", "tcrmgr", "copy", address, filepath.Join(work, "copy"))
	l.want("", refused, "", "tcrmgr", "copy", address, "@touch "+filepath.Join(work, "ran"))
	if _, err := os.Stat(filepath.Join(work, "ran")); err == nil {
		l.t.Error("a command was run")
	}
	log := filepath.Join(work, "ulog")
	if err := os.Mkdir(log, 0o750); err != nil {
		l.t.Fatal(err)
	}
	const logged = "1000000\t9:0\tput\tC8100000000300000001666F6F7800\n" // foo = x
	l.want("", "", logged, "ttulmgr", "import", log)
	l.want("", "", "", "tcrmgr", "restore", address, log)
	l.want("x\n", "", "", "tcrmgr", "get", address, "foo")
	l.want("", "", "", "tcrmgr", "setmst", address)
	out := newOutput(l.t, "tcrmgr repl")
	repl := startProcess(l.t, "tcrmgr repl", out, l.path("tcrmgr"), "repl", "-ph", address)
	eventually(l.t, "the update log is served", 20*time.Second, func() bool { return strings.Contains(out.String(), "put\t") })
	repl.kill()

	l.want("", "", "", "tcrmgr", "vanish", address)
	l.want("", "", "", "tcrmgr", "list", address)
	l.want("", "", "", "tcrmgr", "put", address, "kept", "value")
}

func (l tyrantLinks) version(name, word string) string {
	l.t.Helper()
	_, text, _ := l.run("", name, word)
	return text
}

// TestTyrantDaemon starts a daemon, which reports what is wrong before it goes, and ends it by its pid file.
func TestTyrantDaemon(t *testing.T) {
	l := newTyrantLinks(t)
	work := t.TempDir()
	address := freeAddr(t, newHost())
	host, port, _ := net.SplitHostPort(address)
	pidFile, logFile := filepath.Join(work, "pid"), filepath.Join(work, "log")
	options := []string{"-dmn", "-host", host, "-port", port, "-pid", pidFile, "-log", logFile}
	t.Cleanup(func() {
		if pid := pidIn(pidFile); pid > 1 {
			syscall.Kill(pid, syscall.SIGKILL)
		}
		if text, err := os.ReadFile(logFile); t.Failed() && err == nil {
			t.Logf("log of ttserver:\n%s", text)
		}
	})
	l.want("", "", "", "ttserver", append(options, "*")...)
	pid := pidIn(pidFile)
	if pid <= 1 {
		t.Fatalf("the daemon has no pid file")
	}
	if dir, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid)); dir != "/" || err != nil {
		t.Errorf("the daemon is in the folder %q, %v, want /", dir, err)
	}
	if session, err := syscall.Getpgid(pid); session != pid || err != nil {
		t.Errorf("the daemon %d is in the group %d, %v, want its own", pid, session, err)
	}
	l.want("", "", "", "tcrmgr", "put", address, "k", "v")

	for _, c := range []struct {
		args []string
		want string
	}{
		{options, fmt.Sprintf("ttserver: the process %d may be already running\n", pid)},
		{[]string{"-dmn", "-host", host, "-port", port, "-log", logFile, "-pid", pidFile + "2"}, "ttserver: listen "},
	} {
		if code, _, errs := l.run("", "ttserver", c.args...); code != 1 || !strings.Contains(errs, c.want) {
			t.Errorf("ttserver %q: code %d, want 1, and no %q in:\n%s", c.args, code, c.want, errs)
		}
	}
	if got := pidIn(pidFile + "2"); got != 0 {
		t.Errorf("a daemon that did not start has left a pid file with %d", got)
	}

	l.want("", "", "", "ttserver", append(options, "-kl")...)
	if next := pidIn(pidFile); next == pid || next <= 1 {
		t.Errorf("the pid file has %d after -kl, and had %d", next, pid)
	}
	l.want("", "tcrmgr: error: 7: no record found\n", "", "tcrmgr", "get", address, "k")
	if err := syscall.Kill(pidIn(pidFile), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the daemon is gone", 20*time.Second, func() bool { return pidIn(pidFile) == 0 })
}

// TestTyrantSocket serves at the path of a socket.
func TestTyrantSocket(t *testing.T) {
	l := newTyrantLinks(t)
	socket := filepath.Join(t.TempDir(), "socket")
	out := newOutput(t, "ttserver")
	p := startProcess(t, "ttserver", out, l.path("ttserver"), "-host", socket, "-port", "0", "*#capsiz=64m")
	eventually(t, "ttserver serves", 30*time.Second, func() bool {
		c, err := net.Dial("unix", socket)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	l.want("", "", "", "tcrmgr", "put", "-port", "0", socket, "k", "v")
	l.want("v\n", "", "", "tcrmgr", "get", socket+"#port=0", "k")
	p.signal(t, syscall.SIGINT)
	if code := p.waitExit(t, 20*time.Second); code != 0 {
		t.Errorf("ttserver ended with code %d after SIGINT, want 0", code)
	}
	if _, err := os.Stat(socket); !os.IsNotExist(err) {
		t.Errorf("the socket is still there: %v", err)
	}
	if !strings.Contains(out.String(), "option=dbname#capsiz") {
		t.Errorf("the log on standard output has no word of capsiz:\n%s", out)
	}
}
