package main

import (
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/futago/futago/internal/node"
	"github.com/futago/futago/internal/store"
)

func TestDemoPorts(t *testing.T) {
	p, err := newDemoPorts(demoBasePort)
	if err != nil {
		t.Fatal(err)
	}
	want := []int{11311, 11313, 11381, 11312, 11314, 11382, 11380, 11391, 11392}
	var got []int
	for _, port := range p.all() {
		got = append(got, port.port)
	}
	if !slices.Equal(got, want) {
		t.Errorf("ports of base %d: got %v, want %v", demoBasePort, got, want)
	}
	for base, ok := range map[int]bool{-1: false, 0: false, 1: true, 65443: true, 65444: false} {
		if _, err := newDemoPorts(base); (err == nil) != ok {
			t.Errorf("base %d: got error %v, want valid %v", base, err, ok)
		}
	}
	for _, base := range []int{1, demoBasePort, 65443} {
		p, err := newDemoPorts(base)
		if err != nil {
			t.Fatal(err)
		}
		other, err := newDemoPorts(p.elsewhere())
		if distance := other.base - base; err != nil || max(distance, -distance) <= demoPortsLast {
			t.Errorf("another base than %d: got %d, %v, which overlaps", base, other.base, err)
		}
	}
}

func TestDemoFolder(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", "/cache")
	for _, c := range []struct {
		config demoConfig
		want   string
	}{
		{demoConfig{basePort: demoBasePort}, "/cache/futago/demo"},
		{demoConfig{basePort: 21300}, "/cache/futago/demo-21300"},
		{demoConfig{basePort: 21300, data: "/data/x"}, "/data/x"},
	} {
		if got, err := c.config.folder(); err != nil || got != c.want {
			t.Errorf("folder of %+v: got %q and error %v, want %q", c.config, got, err, c.want)
		}
	}
}

// TestDemoFresh empties a folder that holds more than a demo made.
func TestDemoFresh(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"node1/log", "node2/log", "node1.log", "node2.log", "letters/to-keep", "node3.log"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	config := demoConfig{basePort: demoBasePort, data: dir, fresh: true}
	_, unlock, err := config.openFolder()
	if err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{filepath.Join(dir, "LOCK"), filepath.Join(dir, "letters"), filepath.Join(dir, "node3.log")}
	if !slices.Equal(left, want) {
		t.Errorf("left in the folder: got %q, want %q", left, want)
	}

	_, _, err = config.openFolder()
	if err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("folder of a running demo: got error %v, want one that names it", err)
	}
	if err := unlock.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestDemoGuide(t *testing.T) {
	ports, err := newDemoPorts(demoBasePort)
	if err != nil {
		t.Fatal(err)
	}
	g := demoGuide{ports: ports, program: "futago", pid: [2]int{123, 456}}
	lines := strings.Split(g.text(false), "\n")
	for _, want := range []string{
		"curl -X PUT --data-binary hello http://127.0.0.1:11311/count_demo",
		"curl http://127.0.0.1:11391/count_demo",
		`printf 'get count_demo\r\nquit\r\n' | nc 127.0.0.1 11312`,
		"kill -9 123",
		"futago demo restart 1",
		"http://127.0.0.1:11380/",
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("no line %q in:\n%s", want, strings.Join(lines, "\n"))
		}
	}
	for _, keys := range []bool{false, true} {
		if got := strings.Contains(g.text(keys), "# keys:"); got != keys {
			t.Errorf("guide with keys %v: mentions keys %v", keys, got)
		}
	}

	g.ports, err = newDemoPorts(21300)
	if err != nil {
		t.Fatal(err)
	}
	g.pid = [2]int{123, 0}
	text := g.text(false)
	if !strings.Contains(text, "\nfutago demo restart 2 --base-port 21300\n") {
		t.Errorf("no way to start the dead node 2 again in:\n%s", text)
	}
	if strings.Contains(text, "kill -9") {
		t.Errorf("an invitation to kill the last node in:\n%s", text)
	}
}

func TestShellQuote(t *testing.T) {
	for s, want := range map[string]string{
		"/usr/bin/futago": "/usr/bin/futago",
		"/a b/futago":     "'/a b/futago'",
		"/it's/futago":    `'/it'\''s/futago'`,
		"$(x)":            "'$(x)'",
		"":                "''",
	} {
		if got := shellQuote(s); got != want {
			t.Errorf("quote %q: got %s, want %s", s, got, want)
		}
	}
}

func TestShellProgram(t *testing.T) {
	found, other := filepath.Join(t.TempDir(), "futago"), filepath.Join(t.TempDir(), "futago")
	for _, path := range []string{found, other} {
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", filepath.Dir(found))
	if got := shellProgram(found); got != "futago" {
		t.Errorf("program of the search path: got %q, want its name", got)
	}
	if got := shellProgram(other); got != other {
		t.Errorf("program elsewhere: got %q, want its path %q", got, other)
	}
}

func TestDemoEnvironment(t *testing.T) {
	got := demoEnvironment([]string{"HOME=/h", "FUTAGO_DATA=/precious", "NOTIFY_SOCKET=/s", "PATH=/bin", "MY_FUTAGO_X=1"})
	if want := []string{"HOME=/h", "PATH=/bin", "MY_FUTAGO_X=1"}; !slices.Equal(got, want) {
		t.Errorf("environment of a node: got %q, want %q", got, want)
	}
}

func TestLogTail(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if got := logTail(path); !strings.Contains(got, "no such file") {
		t.Errorf("tail of no file: got %q", got)
	}
	for _, c := range []struct{ text, want string }{
		{"", ""},
		{"one\ntwo\n", "one\ntwo"},
		{strings.Repeat("x", demoTailBytes) + "\nlast\n", "last"},
	} {
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := logTail(path); got != c.want {
			t.Errorf("tail of %d bytes: got %.50q, want %q", len(c.text), got, c.want)
		}
	}
}

func TestMeter(t *testing.T) {
	var m meter
	begin := time.Unix(1000, 0)
	at := func(seconds float64) time.Time { return begin.Add(time.Duration(seconds * float64(time.Second))) }
	want := func(what string, want float64) {
		t.Helper()
		if got := m.rate(); got != want {
			t.Errorf("rate %s: got %v, want %v", what, got, want)
		}
	}
	want("of nothing", 0)
	m.add(at(0), 100)
	want("of one sample", 0)
	m.add(at(1), 150)
	want("over one second", 50)
	for i := 2; i <= 10; i++ {
		m.add(at(float64(i)), 150)
	}
	want("long after the rise", 0)
	m.add(at(11), 160)
	want("over the window", 5)
	m.add(at(12), 3)
	want("of a counter set back", 0)
	m.add(at(13), 7)
	want("after that", 4)
	m.add(at(13), 9)
	want("of two samples at one time", 0)
	for range meterPoints + 5 {
		m.tick()
	}
	if got := len(m.history()); got != meterPoints {
		t.Errorf("history: got %d points, want %d", got, meterPoints)
	}
}

func TestDemoJournal(t *testing.T) {
	var j demoJournal
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	first := []node.Event{{Time: at(1), Level: "INFO", Text: "a node=2 x=1"}, {Time: at(5), Level: "WARN", Text: "b node=2"}}
	j.take(2, first)
	j.add(demoEvent{at(3), "demo", "INFO", "c"})
	j.take(2, append(first, node.Event{Time: at(6), Level: "INFO", Text: "d node=1"}))
	var got []string
	for _, e := range j.newest(10) {
		got = append(got, e.Source+" "+e.Text)
	}
	if want := []string{"node 2 d node=1", "node 2 b", "demo c", "node 2 a x=1"}; !slices.Equal(got, want) {
		t.Errorf("events: got %q, want %q", got, want)
	}
	if got := j.newest(1); len(got) != 1 || !got[0].Time.Equal(at(6)) {
		t.Errorf("newest event: got %+v", got)
	}
	for range maxDemoEvents + 10 {
		j.add(demoEvent{at(7), "demo", "INFO", "e"})
	}
	if got := len(j.newest(1000)); got != maxDemoEvents {
		t.Errorf("got %d events, want the limit of %d", got, maxDemoEvents)
	}
}

func TestShortSilence(t *testing.T) {
	asked := &url.Error{Op: "Get", URL: "http://127.0.0.1:1/status", Err: io.EOF}
	for _, c := range []struct {
		err  error
		want string
	}{
		{asked, "EOF"},
		{fmt.Errorf("read status: %w", os.ErrDeadlineExceeded), "no reply within 1s"},
		{io.ErrUnexpectedEOF, "unexpected EOF"},
	} {
		if got := shortSilence(c.err); got.Error() != c.want {
			t.Errorf("silence after %q: got %q, want %q", c.err, got, c.want)
		}
	}
	if err := shortSilence(nil); err != nil {
		t.Errorf("silence after an answer: got %v", err)
	}
}

func TestOutsideState(t *testing.T) {
	ready := func(change func(*node.Status)) *node.Status {
		s := &node.Status{State: node.Ready, Reason: "caught up", Ready: true, Listen: []string{"127.0.0.1:1"}, Store: &store.Stats{}}
		if change != nil {
			change(s)
		}
		return s
	}
	for _, c := range []struct {
		name          string
		status        *node.Status
		silence       error
		state, reason string
	}{
		{"before the first answer", nil, os.ErrDeadlineExceeded, "starting", "process started"},
		{"ready", ready(nil), nil, "ready", "caught up"},
		{"silent", ready(nil), os.ErrDeadlineExceeded, "silent", "does not answer: i/o timeout"},
		{"recovering", &node.Status{State: node.Recovering, Reason: "reading"}, nil, "recovering", "reading"},
		{"port not open", ready(func(s *node.Status) { s.Listen = nil }), nil, "starting", "the client port is being opened"},
		{"refuses writes", ready(func(s *node.Status) { s.Ready, s.Store.Refusal = false, "disk is full" }), nil, "unhealthy", "disk is full"},
		{"stuck", ready(func(s *node.Status) { s.Ready = false }), nil, "unhealthy", "asks for no requests; see its /readyz"},
	} {
		if state, reason := outsideState(c.status, c.silence); state != c.state || reason != c.reason {
			t.Errorf("%s: got %s, %q, want %s, %q", c.name, state, reason, c.state, c.reason)
		}
	}
}
