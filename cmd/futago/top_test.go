package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/futago/futago/internal/node"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// topRows are three nodes as a look found them: at work, alone and behind, gone.
func topRows() []topRow {
	return []topRow{
		{admin: "10.0.0.3:11280", problem: errors.New("ask 10.0.0.3:11280 for its status: connection refused")},
		{admin: "10.0.0.2:11280", id: 2, state: "catching up", reason: "12 entries behind", figures: map[string]float64{"ops": 3, "lag": 2.26, "items": 12_345_678, "free": 3 << 40}},
		{admin: "10.0.0.1:11280", id: 1, state: "ready", ready: true,
			figures:  map[string]float64{"ops": 12_345.6, "p50": 0.0000123, "p99": 0.00234, "gets": 9000, "sets": 3000, "hits": 99.04, "lag": 0, "clients": 50, "items": 10, "memory": 1 << 20, "log": 64 << 20, "free": 1 << 33},
			warnings: []node.Warning{{Level: "warn", Text: "SOLO: no peer", Advice: "Bring it back."}}},
	}
}

func TestTopRender(t *testing.T) {
	var out strings.Builder
	view := topView{sort: "node"}
	view.render(&out, topRows(), 0)
	want := `NODE  STATE        OPS/S  P50   P99    GETS/S  SETS/S   HITS   LAG  CLIENTS  ITEMS   MEMORY    LOG  DISK FREE  ADMIN
1     ready        12.3k   12µs  2.3ms   9000    3000  99.0%    0s       50     10  1024KiB  64.0MiB    8192MiB  10.0.0.1:11280
2     catching up      3  - -    -       -      -  2.3s        -  12.3M        -        -    3072GiB  10.0.0.2:11280
?     no answer        - - -     -       -      -     -        -      -        -        -          -  10.0.0.3:11280

node 1: SOLO: no peer. Bring it back.
node 2: catching up: 12 entries behind
ask 10.0.0.3:11280 for its status: connection refused
`
	if diff := cmp.Diff(squeeze(want), squeeze(out.String())); diff != "" {
		t.Errorf("output differs (-want +got):\n%s", diff)
	}
	lines := strings.Split(out.String(), "\n")
	if i, j := strings.Index(lines[0], "ADMIN"), strings.Index(lines[2], "10.0.0.2"); i != j {
		t.Errorf("columns are not below each other: %d and %d in\n%s", i, j, out.String())
	}
	out.Reset()
	view.render(&out, topRows(), 20)
	for line := range strings.Lines(out.String()) {
		if len(strings.TrimSuffix(line, "\n")) > 20 {
			t.Errorf("line %q is longer than 20", line)
		}
	}
	// A narrow terminal has whole columns: those that matter most.
	for width, want := range map[int]string{
		60: "NODE STATE OPS/S P50 P99 LAG ADMIN", 80: "NODE STATE OPS/S P50 P99 SETS/S HITS LAG ADMIN", 200: "NODE STATE OPS/S P50 P99 GETS/S SETS/S HITS LAG CLIENTS ITEMS MEMORY LOG DISK FREE ADMIN",
	} {
		out.Reset()
		view.render(&out, topRows(), width)
		lines := strings.Split(out.String(), "\n")
		if got := strings.Join(strings.Fields(lines[0]), " "); got != want {
			t.Errorf("width %d: columns %s, want %s", width, got, want)
		}
		for _, line := range lines {
			if utf8.RuneCountInString(line) > width {
				t.Errorf("width %d: line %q", width, line)
			}
		}
	}
	narrow := topView{sort: "log"}
	out.Reset()
	narrow.render(&out, topRows(), 60)
	if head, _, _ := strings.Cut(out.String(), "\n"); !strings.Contains(head, "LOG") {
		t.Errorf("the column that it is sorted by is left out: %s", head)
	}
	out.Reset()
	view.painter = true
	view.render(&out, topRows(), 0)
	if text := out.String(); !strings.Contains(text, string(warnTone)+"2 ") || !strings.Contains(text, string(badTone)+"? ") || strings.Contains(text, string(warnTone)+"1 ") {
		t.Errorf("colours: got %q", text)
	}
}

func TestTopSort(t *testing.T) {
	view := topView{sort: "node"}
	order := func() string {
		var out strings.Builder
		view.render(&out, topRows(), 0)
		got := ""
		for _, line := range strings.Split(out.String(), "\n")[1:4] {
			got += line[:1]
		}
		return got
	}
	for _, c := range []struct{ keys, want string }{{"", "12?"}, {"r", "?21"}, {"r", "12?"}, {"s", "12?"}, {"ssssss", "21?"}} { // node, ops, lag
		for _, key := range []byte(c.keys) {
			if view.press(key) {
				t.Fatalf("key %q ends the view", key)
			}
		}
		if got := order(); got != c.want {
			t.Errorf("sorted by %s, reverse %v: got %s, want %s", view.sort, view.reverse, got, c.want)
		}
	}
	if view.press('p'); !view.paused || view.mark() == "" {
		t.Error("p does not pause")
	}
	if view.press(' '); view.paused || !view.press('q') || !view.press(3) {
		t.Error("a space does not go on, or q and ^C do not end the view")
	}
}

func TestRounded(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 9999: "9999", 9999.6: "10.0k", 99_940: "99.9k", 99_960: "100k", 12_345_678: "12.3M", 3e18: "3000000T"} {
		if got := roundCount(v); got != want {
			t.Errorf("roundCount(%v) = %s, want %s", v, got, want)
		}
	}
	for v, want := range map[float64]string{0: "0B", 9999: "9999B", 10_240: "10.0KiB", 1 << 30: "1024MiB", 1 << 44: "16.0TiB"} {
		if got := roundSize(v); got != want {
			t.Errorf("roundSize(%v) = %s, want %s", v, got, want)
		}
	}
}

func TestRoundTime(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0s", 99e-9: "99ns", 123e-9: "120ns", 12.34e-6: "12µs", 1.234e-6: "1.2µs", 850.4e-6: "850µs", 0.00234: "2.3ms", 0.1: "100ms", 1.26: "1.3s", 12.6: "13s", 1234: "20m34s",
	} {
		if got := roundTime(v); got != want {
			t.Errorf("roundTime(%v) = %s, want %s", v, got, want)
		}
	}
}

// Latencies are of the seconds since the last look; a quiet second does not take them away, a quiet time does.
func TestTopLatencies(t *testing.T) {
	n := &topNode{}
	look := func(history string) map[string]float64 {
		t.Helper()
		var past map[string]json.RawMessage
		if err := json.Unmarshal([]byte(history), &past); err != nil {
			t.Fatal(err)
		}
		figures := map[string]float64{}
		n.addRates(figures, past)
		return figures
	}
	for _, x := range []struct {
		history  string
		p50, p99 float64
	}{
		{`{"time_ms": [1000], "latency_p50_seconds": [null], "latency_p99_seconds": [null]}`, 0, 0},
		{`{"time_ms": [2000, 3000, 4000, 5000], "latency_p50_seconds": [0.3, null, 0.1, 0.2], "latency_p99_seconds": [1, null, 9, 2]}`, 0.2, 9},
		{`{"time_ms": [6000], "latency_p50_seconds": [null], "latency_p99_seconds": [null]}`, 0.2, 9},
		{`{"time_ms": [7000]}`, 0.2, 9},
		{`{"time_ms": [16000], "latency_p50_seconds": [null], "latency_p99_seconds": [null]}`, 0, 0},
	} {
		if got := look(x.history); got["p50"] != x.p50 || got["p99"] != x.p99 {
			t.Errorf("%s: got %v and %v, want %v and %v", x.history, got["p50"], got["p99"], x.p50, x.p99)
		}
	}
}

func TestTopUsage(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--once", "--batch"}, "--once and --batch: allowed is one of them"},
		{[]string{"--sort", "opps"}, `--sort "opps" is no column: want node, ops, p50, p99, gets, sets, hits, lag, clients, items, memory, log, free (did you mean ops?)`},
		{[]string{"--interval", "1ms"}, "--interval 1ms: allowed is 100ms or more"},
	} {
		if code, _, errOut := command(append([]string{"top"}, c.args...)...); code != exitUsage || !strings.Contains(errOut, c.want) {
			t.Errorf("top %q: exit code %d, %s want %s", c.args, code, errOut, c.want)
		}
	}
}

func TestTopOnce(t *testing.T) {
	dir := t.TempDir()
	admin := "unix:" + filepath.Join(dir, "admin")
	startServe(t, "--data", "none", "--listen", "unix:"+filepath.Join(dir, "client"), "--admin-listen", admin)
	gone := closed(t)
	code, out, errOut := command("top", "--once", "--admin", admin+","+gone)
	if code != exitFailure || !strings.Contains(out, "\n1     ready ") || !strings.Contains(out, "\n?     no answer ") || !strings.Contains(errOut, gone) || strings.Contains(out, "\x1b") {
		t.Errorf("exit code %d, %q, %q", code, out, errOut)
	}
	// A second passes until the node has noted its first figures.
	for end := time.Now().Add(time.Minute); ; {
		code, out, errOut = command("top", "--json", "--admin", admin)
		var line map[string]any
		if err := json.Unmarshal([]byte(out), &line); err != nil || code != exitOK || line["node"] != 1.0 || line["state"] != "ready" || line["connections"] != 0.0 {
			t.Fatalf("JSON: exit code %d, %v, %s%s", code, err, out, errOut)
		}
		if _, ok := line["ops_per_second"]; ok {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("no rates after 20 seconds: %s", out)
		}
	}
}

// screen is what a program writes to its terminal, as far as it was looked at.
type screen struct {
	chunks chan string
	text   string
}

// watchScreen reads what comes until the terminal is closed.
func watchScreen(person *os.File) *screen {
	s := &screen{chunks: make(chan string, 10_000)}
	go func() {
		buffer := make([]byte, 4096)
		for {
			n, err := person.Read(buffer)
			if err != nil {
				return
			}
			s.chunks <- string(buffer[:n])
		}
	}()
	return s
}

// see waits for a part of the screen.
func (s *screen) see(t *testing.T, part string) {
	t.Helper()
	late := time.After(20 * time.Second)
	for !strings.Contains(s.text, part) {
		select {
		case chunk := <-s.chunks:
			s.text += chunk
		case <-late:
			t.Fatalf("no %q on the screen after 20 seconds: %q", part, s.text)
		}
	}
}

// openTerminal returns the two ends of a pseudo terminal: who sits before it, and what a program has.
func openTerminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { person.Close() })
	if err := unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	if err := unix.IoctlSetWinsize(int(program.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 10, Col: 60}); err != nil {
		t.Fatal(err)
	}
	return person, program
}

// TestTopOnTerminal watches a node on a pseudo terminal, with keys.
func TestTopOnTerminal(t *testing.T) {
	dir := t.TempDir()
	admin := "unix:" + filepath.Join(dir, "admin")
	startServe(t, "--data", "none", "--listen", "unix:"+filepath.Join(dir, "client"), "--admin-listen", admin)
	for _, colours := range []bool{true, false} {
		person, program := openTerminal(t)
		was, err := unix.IoctlGetTermios(int(program.Fd()), unix.TCGETS)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("futago", "top", "--interval", "100ms", "--admin", admin+","+closed(t))
		cmd.Stdin, cmd.Stdout, cmd.Stderr = program, program, program
		cmd.Env = append(os.Environ(), "TERM=xterm", "NO_COLOR=")
		if !colours {
			cmd.Env = append(cmd.Env, "NO_COLOR=1")
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cmd.Process.Kill() }) // an error only says that it has ended
		s := watchScreen(person)
		see := func(part string) {
			t.Helper()
			s.see(t, part)
		}
		press := func(keys string) {
			t.Helper()
			if _, err := person.WriteString(keys); err != nil {
				t.Fatal(err)
			}
		}
		see(enterScreen)
		see("1     ready ")
		see("?     no answer ")
		press("s")
		see("sort by ops")
		press("p")
		see("PAUSED")
		if got := strings.Contains(s.text, string(badTone)); got != colours {
			t.Errorf("colours are there: %v, want %v", got, colours)
		}
		press("q")
		see(leaveScreen)
		if err := cmd.Wait(); err != nil {
			t.Errorf("top ended with %v, want code 0", err)
		}
		if now, err := unix.IoctlGetTermios(int(program.Fd()), unix.TCGETS); err != nil || *now != *was {
			t.Errorf("the terminal is not as it was: %+v, %v, want %+v", now, err, was)
		}
	}
	// A signal ends it in order, too.
	person, program := openTerminal(t)
	cmd := exec.Command("futago", "top", "--admin", admin)
	cmd.Stdin, cmd.Stdout = program, program
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	watchScreen(person).see(t, "ready")
	cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Errorf("after SIGTERM top ended with %v, want code 0", err)
	}
}
