//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// demoLimit is how long a test waits for something in a demo: a node that starts alone waits 10 s for its peer.
const demoLimit = 25 * time.Second

// demo is a running `futago demo`.
type demo struct {
	*process
	base int
	// pids are the processes of both nodes when the demo was ready.
	pids [2]int
}

// demoBase returns a base whose ports nobody listens at. They are below those that the system gives to clients.
func demoBase(t *testing.T) int {
	t.Helper()
	for range 200 {
		base := 15000 + rand.IntN(16000)
		if free := demoPortsFree(base); free {
			return base
		}
	}
	t.Fatal("no range of free ports found")
	return 0
}

func demoPortsFree(base int) bool {
	for _, distance := range []int{11, 12, 13, 14, 80, 81, 82, 91, 92} {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", base+distance))
		if err != nil {
			return false
		}
		l.Close()
	}
	return true
}

// startDemo returns a demo whose nodes are ready.
func startDemo(t *testing.T) *demo {
	t.Helper()
	strain, d := startStrain(t), &demo{base: demoBase(t)}
	begin := time.Now()
	d.process = startProcess(t, "demo", newOutput(t, "demo"), futagoProgram, "demo", "--base-port", strconv.Itoa(d.base), "--data", t.TempDir())
	t.Cleanup(d.end)
	d.waitGuide(t)
	if took := time.Since(begin); took > 8*time.Second+strain() { // a node that does not find its peer waits for 10 s
		t.Errorf("the demo took %v to be ready, want less than 8s", took)
	}
	return d
}

// end asks the demo to end and waits: it ends its nodes first, which write to its folder until then.
func (d *demo) end() {
	d.cmd.Process.Signal(syscall.SIGTERM) // an error says that it has ended
	select {
	case <-d.exited:
	case <-time.After(demoLimit): // the cleanup of the process kills it
	}
}

// waitGuide waits for the commands to paste.
func (d *demo) waitGuide(t *testing.T) {
	t.Helper()
	eventually(t, "the demo prints what to try", demoLimit, func() bool {
		return strings.Contains(d.output.String(), "ends the demo") || d.hasExited()
	})
	if d.hasExited() {
		t.Fatal("the demo has ended before it was ready")
	}
	for i, n := range d.nodes(t) {
		if d.pids[i] = n.PID; n.State != "ready" {
			t.Fatalf("node %d is %s when the demo prints what to try, want ready", i+1, n.State)
		}
	}
}

func (d *demo) hasExited() bool {
	select {
	case <-d.exited:
		return true
	default:
		return false
	}
}

// line returns the one printed line that matches all of the pattern.
func (d *demo) line(t *testing.T, pattern string) string {
	t.Helper()
	found := regexp.MustCompile(`(?m)^`+pattern+`$`).FindAllString(d.output.String(), -1)
	if len(found) != 1 {
		t.Fatalf("lines that match %q: got %q, want one", pattern, found)
	}
	return found[0]
}

// paste runs a printed line in a shell in some other folder and demands its exit code 0 and its output, by pattern.
func (d *demo) paste(t *testing.T, line, want string) {
	t.Helper()
	cmd := exec.Command("sh", "-c", line)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "http_proxy=")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || !regexp.MustCompile(`^(?:`+want+`)$`).Match(out) {
		t.Fatalf("%s: got %q and error %v, want %q; it said: %s", line, out, err, want, stderr.String())
	}
}

// page gets a path of the demo's page.
func (d *demo) page(t *testing.T, path string) (status int, body string) {
	t.Helper()
	client := http.Client{Timeout: replyLimit, Transport: &http.Transport{DisableKeepAlives: true}}
	reply, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d%s", d.base+80, path))
	if err != nil {
		t.Fatalf("get the page: %v", err)
	}
	defer reply.Body.Close()
	b, err := io.ReadAll(reply.Body)
	if err != nil {
		t.Fatalf("read the page: %v", err)
	}
	return reply.StatusCode, string(b)
}

// demoNode is what the tests read of a node in the page's document.
type demoNode struct {
	State  string `json:"state"`
	Reason string `json:"reason"`
	PID    int    `json:"pid"`
}

func (d *demo) nodes(t *testing.T) []demoNode {
	t.Helper()
	_, body := d.page(t, "/api/state")
	var document struct {
		Nodes []demoNode `json:"nodes"`
	}
	if err := json.Unmarshal([]byte(body), &document); err != nil || len(document.Nodes) != 2 {
		t.Fatalf("the page's document: %v, %d nodes, want 2:\n%s", err, len(document.Nodes), body)
	}
	return document.Nodes
}

// gone reports whether a process has ended, waited for by its parent or not.
func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(rest, "Z") || strings.HasPrefix(rest, "X")
}

func waitGone(t *testing.T, pids ...int) {
	t.Helper()
	eventually(t, fmt.Sprintf("the processes %v end", pids), demoLimit, func() bool {
		return !slices.ContainsFunc(pids, func(pid int) bool { return !gone(pid) })
	})
}

// TestDemo does what the demo invites to.
func TestDemo(t *testing.T) {
	t.Setenv("FUTAGO_DATA", t.TempDir()+"/of-a-real-node")
	t.Setenv("FUTAGO_LISTEN", "127.0.0.1:1")
	d := startDemo(t)
	url := func(distance int) string {
		return fmt.Sprintf(`http://127\.0\.0\.1:%d/count_demo`, d.base+distance)
	}
	write := d.line(t, "curl -X PUT --data-binary hello "+url(11))
	readTwo, readGateway := d.line(t, "curl "+url(12)), d.line(t, "curl "+url(91))
	memcached := d.line(t, fmt.Sprintf(`printf .* \| nc 127\.0\.0\.1 %d`, d.base+12))
	kill, restart := d.line(t, "kill -9 [0-9]+"), d.line(t, ".* demo restart 1.*")
	d.line(t, fmt.Sprintf(`http://127\.0\.0\.1:%d/`, d.base+80))

	d.paste(t, write, "(Created|)\n?")
	d.paste(t, readTwo, "hello")
	d.paste(t, readGateway, "hello")
	d.paste(t, memcached, "VALUE count_demo 0 5\r\nhello\r\nEND\r\n")

	if want := fmt.Sprintf("kill -9 %d", d.pids[0]); kill != want {
		t.Fatalf("got the line %q, want that of node 1: %q", kill, want)
	}
	strain, killed := startStrain(t), time.Now()
	d.paste(t, kill, "")
	eventually(t, "the page shows the dead node", demoLimit, func() bool { return d.nodes(t)[0].State == "dead" })
	if took := time.Since(killed); took > 3*time.Second+strain() { // a shell that starts is part of it
		t.Errorf("the page showed the dead node after %v, want about 1s", took)
	}
	if n := d.nodes(t); n[0].PID != 0 || n[0].Reason != "was killed (signal 9)" || n[1].State != "ready" {
		t.Errorf("after kill -9 of node 1 the nodes are %+v", n)
	}
	eventually(t, "the terminal tells what to do", demoLimit, func() bool {
		return strings.Contains(d.output.String(), "node 1 was killed (signal 9). Run: "+restart)
	})
	d.paste(t, readGateway, "hello")
	d.paste(t, readTwo, "hello")
	if status, body := d.page(t, "/"); status != http.StatusOK || !strings.Contains(body, "<title>futago demo</title>") {
		t.Errorf("page: got status %d and %q", status, body)
	}
	changed := strings.Replace(strings.Replace(write, "hello", "changed", 1), fmt.Sprint(d.base+11), fmt.Sprint(d.base+12), 1)
	d.paste(t, changed, "(No Content|OK|Created|)\n?")

	d.paste(t, restart, `node 1 was not running; started again as pid [0-9]+, ready after .*: .*\n`)
	readOne := "curl " + strings.ReplaceAll(url(11), `\`, "")
	d.paste(t, readOne, "changed")

	// The same once more, with a node that runs.
	second := d.nodes(t)[0].PID
	d.paste(t, restart, `node 1 was killed \(signal 9\); started again as pid [0-9]+, ready after .*: .*\n`)
	d.paste(t, readOne, "changed")
	third := d.nodes(t)[0].PID

	d.signal(t, syscall.SIGTERM)
	if code := d.waitExit(t, demoLimit); code != 0 {
		t.Errorf("SIGTERM ended the demo with code %d, want 0", code)
	}
	for _, pid := range []int{d.pids[0], second, third, d.pids[1]} {
		if !gone(pid) {
			t.Errorf("process %d survived the demo", pid)
		}
	}
	if text := d.output.String(); strings.Contains(text, "\x1b") {
		t.Errorf("colours without a terminal: %q", text)
	}
}

// TestDemoKeepsData runs two demos one after the other on one folder, and a third that starts afresh.
func TestDemoKeepsData(t *testing.T) {
	data, base := t.TempDir(), demoBase(t)
	url := fmt.Sprintf("http://127.0.0.1:%d/kept", base+11)
	for _, run := range []struct {
		name, command, want string
		args                []string
	}{
		{"first", "curl -s -o /dev/null -w '%{http_code}' -X PUT -d x " + url, "201", nil},
		{"second", "curl -s " + url, "x", nil},
		{"fresh", "curl -s -o /dev/null -w '%{http_code}' " + url, "404", []string{"--fresh"}},
	} {
		args := append([]string{"demo", "--base-port", strconv.Itoa(base), "--data", data}, run.args...)
		d := &demo{base: base, process: startProcess(t, run.name+" demo", newOutput(t, run.name+" demo"), futagoProgram, args...)}
		d.waitGuide(t)
		d.paste(t, run.command, run.want)
		d.signal(t, syscall.SIGINT)
		if code := d.waitExit(t, demoLimit); code != 0 {
			t.Fatalf("%s demo: SIGINT ended it with code %d, want 0", run.name, code)
		}
	}
}

// TestDemoParentKilled kills the parent in the way that leaves it no time to care for its children.
func TestDemoParentKilled(t *testing.T) {
	d := startDemo(t)
	d.signal(t, syscall.SIGKILL)
	d.waitExit(t, demoLimit)
	waitGone(t, d.pids[0], d.pids[1])
}

// TestDemoStoppedNode ends a demo while one of its nodes hangs.
func TestDemoStoppedNode(t *testing.T) {
	d := startDemo(t)
	if err := syscall.Kill(d.pids[1], syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the page shows the silent node", demoLimit, func() bool { return d.nodes(t)[1].State == "silent" })
	d.signal(t, syscall.SIGTERM)
	if code := d.waitExit(t, demoLimit); code != 0 {
		t.Errorf("SIGTERM ended the demo with code %d, want 0", code)
	}
	waitGone(t, d.pids[0], d.pids[1])
}

func TestDemoPortInUse(t *testing.T) {
	base := demoBase(t)
	taken, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", base+91))
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	p := startProcess(t, "demo", newOutput(t, "demo"), futagoProgram, "demo", "--base-port", strconv.Itoa(base), "--data", t.TempDir())
	code := p.waitExit(t, demoLimit)
	text := p.output.String()
	if code != 1 || !strings.Contains(text, fmt.Sprintf("port %d for the gateway is in use", base+91)) || !strings.Contains(text, "--base-port") {
		t.Errorf("code %d, want 1; want port and option in:\n%s", code, text)
	}
}

// TestDemoNodeCannotStart damages a node's folder.
func TestDemoNodeCannotStart(t *testing.T) {
	data := t.TempDir()
	if err := os.WriteFile(data+"/node2", []byte("a file where a folder is wanted"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := startProcess(t, "demo", newOutput(t, "demo"), futagoProgram, "demo", "--base-port", strconv.Itoa(demoBase(t)), "--data", data)
	code := p.waitExit(t, demoLimit)
	text := p.output.String()
	if code != 1 || !strings.Contains(text, "node 2 ended with exit code 1 before it was ready") || !strings.Contains(text, "not a directory") {
		t.Errorf("code %d, want 1; want the end of the node's log in:\n%s", code, text)
	}
}

func TestDemoRestartWithoutDemo(t *testing.T) {
	p := startProcess(t, "restart", newOutput(t, "restart"), futagoProgram, "demo", "restart", "1", "--base-port", strconv.Itoa(demoBase(t)))
	code := p.waitExit(t, demoLimit)
	if text := p.output.String(); code != 1 || !strings.Contains(text, "No demo runs there.") {
		t.Errorf("code %d, want 1; want that no demo runs in:\n%s", code, text)
	}
}
