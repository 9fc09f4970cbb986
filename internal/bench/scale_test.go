package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestScaleConfigValidate(t *testing.T) {
	c := ScaleConfig{Cases: []string{"lode"}, Records: []int{5000, 2000, 1}, Rate: 1, ChangeRate: -1, DeleteShare: 2}
	err := c.Validate()
	for _, want := range []string{"futago is empty", `case "lode": must be one of load, start, overwrite, delete, expire, limit`,
		"records 1: must be 1000", "records 2000: must be above", "value-size 0", "rounds 0", "window 0s", "rate 1:", "change-rate -1", "delete-share 2",
		"expire-within 0s", "settle 0s"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want all problems, %q among them", err, want)
		}
	}
	c = DefaultScaleConfig()
	c.Futago, c.Records = "bin/futago", []int{maxScaleRecords}
	if err := c.Validate(); err != nil {
		t.Errorf("default config: %v", err)
	}
	if c.Records = nil; c.Validate() == nil {
		t.Error("no records: got no error")
	}
}

func TestScaleRequests(t *testing.T) {
	r := newRecords(100, 3)
	v := string(r.value(42, 1))
	tests := []struct{ name, got, want string }{
		{"get", string(r.appendGet(nil, Memcache, 42)), "get k000000000000042\r\n"},
		{"set", string(r.appendSet(nil, Memcache, expiringKeys, 42, 1, 77)), "set x000000000000042 0 77 3\r\n" + v + "\r\n"},
		{"delete", string(appendDelete(nil, 42)), "delete k000000000000042\r\n"},
		{"GET", string(r.appendGet(nil, Redis, 42)), "*2\r\n$3\r\nGET\r\n$16\r\nk000000000000042\r\n"},
		{"SET", string(r.appendSet(nil, Redis, keptKeys, 42, 1, 0)), "*3\r\n$3\r\nSET\r\n$16\r\nk000000000000042\r\n$3\r\n" + v + "\r\n"},
	}
	for _, tt := range tests {
		if tt.got != tt.want {
			t.Errorf("%s: got %q want %q", tt.name, tt.got, tt.want)
		}
	}
	if r.bytes() != 100*19 || string(r.value(42, 1)) != v {
		t.Errorf("%d bytes, value %q then %q; want 1900 and the same value", r.bytes(), r.value(42, 1), v)
	}
}

func TestScaleDraws(t *testing.T) {
	const n, share = 10_000, 0.3
	doomed := 0
	for i := range n {
		if chosen(i, share) {
			doomed++
		}
	}
	if doomed < n*28/100 || doomed > n*32/100 {
		t.Errorf("%d of %d are chosen for a share of %g", doomed, n, share)
	}
	stays, popular := surviving(n, share, 1), zipfian(n, limitSkew, 1)
	hits, order := make(map[int]int), make(map[int]bool)
	for i := range n {
		order[shuffled(i, n)] = true
	}
	if len(order) != n || shuffled(1, n) == 1 || order[n] {
		t.Errorf("%d of %d numbers in the other order, the second is %d", len(order), n, shuffled(1, n))
	}
	for range n {
		if i := stays(); i < 0 || i >= n || chosen(i, share) {
			t.Fatalf("drew %d of %d, which does not stay", i, n)
		}
		hits[popular()]++
	}
	if most := hits[0]; most < n/20 || len(hits) < n/10 {
		t.Errorf("the first of %d was drawn %d times, %d different ones; want it often and many", n, most, len(hits))
	}
}

// TestStream makes all kinds of load on a server that answers its third request late.
func TestStream(t *testing.T) {
	const delay = 20 * time.Millisecond
	const enough = 1200 // requests, those of the fill among them
	r := newRecords(1000, 8)
	until := make(chan struct{})
	server := &fakeServer{protocol: Memcache, before: func(n int) string {
		switch n {
		case 3:
			<-time.After(delay)
		case enough:
			close(until)
		}
		return ""
	}}
	address := server.start(t)
	set := func(dst []byte, i int) []byte { return r.appendSet(dst, Memcache, keptKeys, i, 0, 0) }
	load := func(next func([]byte) ([]byte, bool)) *stream {
		return &stream{protocol: Memcache, address: address, connections: 4, depth: 8, next: next, epoch: time.Now()}
	}
	fill := load(each(r.n, set))
	if err := runStreams(t.Context(), nil, fill); err != nil {
		t.Fatal(err)
	}
	all := fill.between(0, time.Hour)
	if fill.counts.replies != 1000 || fill.done.Load() != 1000 || all.all.n != 1000 || fill.failure() != nil {
		t.Errorf("filled: %+v, %d latencies, %v; want 1000 replies", fill.counts, all.all.n, fill.failure())
	}
	if longest := time.Duration(all.all.max); longest < delay {
		t.Errorf("the longest latency is %v of a server that waited %v", longest, delay)
	}

	// Gets at a rate, until they are told to end; each is there.
	paced := load(endless(uniform(r.n, 1), func(dst []byte, i int) []byte { return r.appendGet(dst, Memcache, i) }))
	paced.rate, paced.burst = 2000, 4
	begun := time.Now()
	if err := runStreams(t.Context(), until, paced); err != nil {
		t.Fatal(err)
	}
	due := paced.rate*time.Since(begun).Seconds() + float64(paced.burst)
	if n := paced.counts.replies; n < enough-1000 || float64(n) > due || paced.counts.misses > 0 || paced.pending > 0 {
		t.Errorf("paced: %+v, %d under way; want %d to %.0f hits", paced.counts, paced.pending, enough-1000, due)
	}
	if p99s := paced.p99s(); len(p99s) == 0 || p99s[len(p99s)-1] <= 0 {
		t.Errorf("p99 of each second: %v", p99s)
	}
}

func TestStreamFails(t *testing.T) {
	broken := &fakeServer{protocol: Memcache, before: func(n int) string { return "SERVER_ERROR full\r\n" }}
	s := &stream{protocol: Memcache, address: broken.start(t), connections: 1, depth: 2, next: each(3, appendDelete), epoch: time.Now()}
	if err := runStreams(t.Context(), nil, s); err != nil {
		t.Fatal(err)
	}
	if err := s.failure(); err == nil || !strings.Contains(err.Error(), "3 error replies of 3") || !strings.Contains(err.Error(), "full") {
		t.Errorf("got %v, want an error that shows the reply", err)
	}

	// One that fails ends the other, and its error is the one.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		nc, err := l.Accept()
		if err == nil {
			nc.Close()
		}
	}()
	cut := &stream{protocol: Memcache, address: l.Addr().String(), connections: 1, depth: 1, next: each(3, appendDelete), epoch: time.Now()}
	other := &stream{protocol: Memcache, address: (&fakeServer{protocol: Memcache}).start(t), connections: 1, depth: 1,
		next: endless(uniform(3, 1), appendDelete), epoch: time.Now()}
	if err := runStreams(t.Context(), nil, other, cut); err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the error of the connection that was cut", err)
	}
}

func TestDeletesScanner(t *testing.T) {
	var c counts
	s := &linesScanner{want: "DELETED"}
	for _, piece := range []string{"DELETED\r\nDEL", "ETED\r\nNOT_FOUND\r\n"} {
		n, err := s.scan([]byte(piece), &c)
		if err != nil || n == 0 {
			t.Errorf("%q: got %d replies, %v", piece, n, err)
		}
	}
	if c.errors != 1 || !strings.Contains(c.firstError, "NOT_FOUND") {
		t.Errorf("got %+v, want one error", c)
	}
}

func TestSpan(t *testing.T) {
	s := &stream{seconds: make([]second, 3)}
	for i := range 3 {
		s.seconds[i].latency.record(int64(i+1) * int64(time.Millisecond))
	}
	p := s.between(500*time.Millisecond, 2500*time.Millisecond)
	if p.seconds != 1 || p.all.n != 1 || time.Duration(p.all.max) != 2*time.Millisecond || p.worst != 2*time.Millisecond {
		t.Errorf("got %d seconds, %d latencies, max %d: want the whole second alone", p.seconds, p.all.n, p.all.max)
	}
	if p := s.between(0, 3*time.Second); p.seconds != 3 || p.worst != 3*time.Millisecond {
		t.Errorf("got %d seconds, worst %v: want all three", p.seconds, p.worst)
	}
	if p := s.between(1200*time.Millisecond, 1300*time.Millisecond); p.all.n != 1 {
		t.Errorf("got %d latencies of a part of a second: want the second that it touches", p.all.n)
	}
}

func TestScaleReport(t *testing.T) {
	c := DefaultScaleConfig()
	c.Records = []int{2000, 1_000_000}
	var raw strings.Builder
	c.Raw = &raw
	report := newScaleReport(c)
	for i, n := range c.Records {
		r := &scaleRun{"load", &c, report, newRecords(n, 32)}
		table := report.table("load", "all of them", "s", "MiB")
		round := Round{Values: []float64{float64(2 + 4*i), 7}}
		round.doubt("noisy")
		if err := r.add(table, futagoServer, "cold", round, &ScaleSeries{GetsP99Micros: []float64{1.5}}); err != nil {
			t.Fatal(err)
		}
		r.skip(errors.New("no room"))
	}
	report.finish()
	if len(report.Tables) != 1 || len(report.Tables[0].Rows) != 2 || len(report.Growth) != 2 {
		t.Fatalf("got %d tables, growth %+v; want one table of two rows and two columns", len(report.Tables), report.Growth)
	}
	if g := report.Growth[0]; g.Column != "s" || len(g.Values) != 2 || g.Values[0] != 2 || g.Values[1] != 6 {
		t.Errorf("growth %+v, want s from 2 to 6", g)
	}
	var text strings.Builder
	if err := report.Write(&text); err != nil {
		t.Fatal(err)
	}
	got := strings.Join(strings.Fields(text.String()), " ")
	for _, want := range []string{"! cold futago 2k 2 2..2 7", "! cold futago 1M 6 6..6 7", "load: cold futago s 2 6 3", "not measured: load, 2k records: no room"} {
		if !strings.Contains(got, want) {
			t.Errorf("text lacks %q:\n%s", want, text.String())
		}
	}
	lines := strings.Split(strings.TrimSpace(raw.String()), "\n")
	var back ScaleResult
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &back); err != nil || len(lines) != 2 {
		t.Fatalf("raw %q: %v", raw.String(), err)
	}
	if back.Case != "load" || back.Records != 1_000_000 || back.Server != futagoServer || back.What != "cold" || back.Values["s"] != 6 ||
		len(back.Doubts) != 1 || back.Series.GetsP99Micros[0] != 1.5 {
		t.Errorf("got %+v of %s", back, lines[1])
	}
}

func TestParseMemAvailable(t *testing.T) {
	for text, want := range map[string]int64{
		"MemTotal: 9 kB\nMemAvailable:   23223136 kB\n": 23223136 << 10,
		"MemTotal: 9 kB\n": -1, "MemAvailable: x kB\n": -1, "MemAvailable: -1 kB\n": -1, "MemAvailable: 99999999999999999999 kB\n": -1,
	} {
		got, err := parseMemAvailable([]byte(text))
		if err != nil {
			got = -1
		}
		if got != want {
			t.Errorf("%q: got %d, %v; want %d", text, got, err, want)
		}
	}
}

func FuzzParseMemAvailable(f *testing.F) {
	f.Add([]byte("MemAvailable: 1 kB\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if n, err := parseMemAvailable(text); n < 0 || err != nil && n != 0 {
			t.Errorf("got %d with error %v", n, err)
		}
	})
}

func TestFits(t *testing.T) {
	if err := fits(futagoServer, newRecords(1000, 32)); err != nil {
		t.Fatalf("a thousand records: %v", err)
	}
	huge := &records{n: 1 << 50, valueSize: 1}
	for _, name := range []string{futagoServer, memcachedServer, redisServer} {
		if err := fits(name, huge); err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "MiB of memory") {
			t.Errorf("%s: got %v, want what is needed and what is there", name, err)
		}
	}
}

func TestMemoryGroups(t *testing.T) {
	dir := t.TempDir()
	handsOn := filepath.Join(dir, "two")
	if err := os.MkdirAll(filepath.Join(handsOn, "mine"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(handsOn, "cgroup.subtree_control"), []byte("cpu memory\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	name := "futago-bench-" + strconv.Itoa(os.Getpid())
	tests := []struct{ name, own, mounts, want string }{
		{"version 1", "4:cpu,memory:/a/b\n0::/\n", "30 25 0:26 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n", "/sys/fs/cgroup/memory/a/b/" + name},
		{"version 1, bound", "4:memory:/a/b\n", "30 25 0:26 /a /cg rw - cgroup cgroup rw,memory\n", "/cg/b/" + name},
		{"version 2, parent", "0::/mine\n", "30 25 0:26 / " + handsOn + " rw,nosuid shared:4 - cgroup2 cgroup2 rw\n", filepath.Join(handsOn, name)},
		{"no memory controller", "3:cpu:/a\n", "30 25 0:26 / /cg rw - cgroup cgroup rw,cpu\n", ""},
		{"not handed on", "0::/\n", "30 25 0:26 / " + filepath.Join(handsOn, "mine") + " rw - cgroup2 cgroup2 rw\n", ""},
		{"odd lines", "0\n\n", "- - -\n1 2\n", ""},
	}
	for _, tt := range tests {
		var got string
		if groups := memoryGroups([]byte(tt.own), []byte(tt.mounts)); len(groups) > 0 {
			got = groups[0].dir
		}
		if tt.name == "not handed on" && got != "" {
			// Its parent hands the controller on, which is a group of the machine, too.
			if got != filepath.Join(handsOn, name) {
				t.Errorf("%s: got %q", tt.name, got)
			}
			continue
		}
		if got != tt.want {
			t.Errorf("%s: got %q want %q", tt.name, got, tt.want)
		}
	}
}

// TestMemoryGroupUsed reads files as the kernel writes them.
func TestMemoryGroupUsed(t *testing.T) {
	g := &memoryGroup{dir: t.TempDir(), limit: "memory.max", peak: "memory.peak", events: "memory.events", key: "oom_kill "}
	if _, _, err := g.used(); err == nil {
		t.Error("no group: got no error")
	}
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(g.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(g.events, "low 0\noom 3\noom_kill 2\noom_group_kill 1\n")
	if peak, kills, err := g.used(); peak != 0 || kills != 2 || err != nil {
		t.Errorf("before Linux 5.19: got %d, %d, %v; want 2 kills", peak, kills, err)
	}
	write(g.peak, "4096\n")
	if peak, _, err := g.used(); peak != 4096 || err != nil {
		t.Errorf("got %d, %v; want 4096", peak, err)
	}
}

func TestScaleSkipsWhatIsNone(t *testing.T) {
	c := DefaultScaleConfig()
	c.Futago = "/bin/false"
	c.Records, c.Cases, c.Alone = []int{1000}, []string{"overwrite", "expire"}, true
	var log strings.Builder
	c.Log = &log
	report, err := MeasureScale(t.Context(), c)
	for _, want := range []string{"measure overwrite, 1k records: start futago", "measure expire, 1k records: start futago", "exit status 1"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want that of both cases, %q in it", err, want)
		}
	}
	if report == nil || len(report.Tables) != 0 || !strings.Contains(log.String(), "expire, 1k records") {
		t.Errorf("got report %+v and log %q, want no table and the progress", report, log.String())
	}
}

// serveAlone serves clients from memory, and writes one file.
func serveAlone(address, admin, dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "log"), make([]byte, 1<<20), 0o600); err != nil {
		return err
	}
	client, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	asked, err := net.Listen("tcp", admin)
	if err != nil {
		return err
	}
	server := &fakeServer{protocol: Memcache}
	go server.serve(client)
	return http.Serve(asked, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		server.mu.Lock()
		defer server.mu.Unlock()
		fmt.Fprintf(w, `{"store":{"items":%d,"tombstones":0,"bytes":524288}}`, len(server.values))
	}))
}

func TestScaleOverwrite(t *testing.T) {
	t.Setenv(nodeVariable, "1")
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := DefaultScaleConfig()
	c.Futago, c.Records, c.Rate, c.ChangeRate, c.Window, c.Settle = program, []int{1000, 2000}, 1000, 4000, 300*time.Millisecond, 300*time.Millisecond
	report := newScaleReport(c)
	var raw strings.Builder
	c.Raw = &raw
	for _, n := range c.Records {
		if err := scaleOverwrite(t.Context(), &scaleRun{"overwrite", &c, report, newRecords(n, 32)}); err != nil {
			t.Fatal(err)
		}
	}
	report.finish()
	if len(report.Tables) != 2 || len(report.Tables[0].Rows) != 12 || len(report.Tables[1].Rows) != 2 {
		t.Fatalf("got tables %+v, want latency of gets and sets in three phases and the disk", report.Tables)
	}
	for _, row := range report.Tables[0].Rows {
		if p99 := row.Rounds[0].Values[1]; p99 <= 0 {
			t.Errorf("%s: p99 is %g us, want some", row.Name, p99)
		}
	}
	for i, row := range report.Tables[1].Rows {
		v := row.Rounds[0].Values
		if took, rate, most, byLive := v[0], v[1], v[3], v[4]; took <= 0 || rate > 1.2*c.ChangeRate || most < 1 || byLive < 2 {
			t.Errorf("%s: %g s at %g sets/s with at most %g MiB, %g of what lives; want no more than %g sets/s, and 1 MiB, 2", row.Name, took, rate, most, byLive, c.ChangeRate)
		}
		if least := float64(c.Records[i]) / (2 * c.ChangeRate); v[0] < least {
			t.Errorf("%s: overwritten in %g s, want %g at least", row.Name, v[0], least)
		}
	}
	var first ScaleResult
	if err := json.NewDecoder(strings.NewReader(raw.String())).Decode(&first); err != nil {
		t.Fatal(err)
	}
	if s := first.Series; s == nil || len(s.Disk) < 3 || s.Disk[0].DiskBytes < 1<<20 || s.Disk[0].Items != 1000 || s.Marks["settling"] <= s.Marks["overwriting"] {
		t.Errorf("got series %+v, want the disk as time passes, and marks", s)
	}
}
