//go:build e2e && linux

package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/futago/futago/internal/rediscluster/clustertest"
)

// moved is the part of the result of `futago migrate --json` that tests look at.
type moved struct {
	Stored, Removed, Changes, Compared, Differing, Moving, Late, Unfit, Read, Surplus int64
	Equal                                                                             bool
	CutOver                                                                           bool          `json:"cut_over"`
	Pause                                                                             time.Duration `json:"pause_ns"`
}

// migrate runs the command to its end.
func migrate(t *testing.T, args ...string) moved {
	t.Helper()
	var m moved
	out := runTool(t, append([]string{"migrate", "--json"}, args...)...)
	if err := json.Unmarshal([]byte(out), &m); err != nil {
		t.Fatalf("migrate: %v: %q", err, out)
	}
	t.Logf("migrate: %+v", m)
	return m
}

// recordsAt are the records behind a client port, as sorted lines, without those that end any moment.
func recordsAt(t *testing.T, addr string) []string {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(runTool(t, "export", "--addr", addr)), "\n")
	lines = slices.DeleteFunc(lines, func(line string) bool { return strings.Contains(line, `"key":"brief-`) })
	slices.Sort(lines)
	return lines
}

func mustHaveEqual(t *testing.T, from, to string) {
	t.Helper()
	a, b := recordsAt(t, from), recordsAt(t, to)
	if len(a) != len(b) {
		t.Errorf("%d records here, %d there", len(a), len(b))
	}
	for _, line := range a {
		if _, ok := slices.BinarySearch(b, line); !ok {
			t.Errorf("not there: %.200s", line)
			return
		}
	}
}

// fillRecords stores records of all kinds through a client port.
func fillRecords(t *testing.T, addr string, n int) {
	t.Helper()
	var b strings.Builder
	late := time.Now().Add(time.Hour).UnixMilli()
	for i := range n {
		fmt.Fprintf(&b, `{"key":"fill:%d","flags":%d,"value":"value %d"}`+"\n", i, i, i)
	}
	fmt.Fprintf(&b, `{"key":"late","expires":%d,"type":"text/html","value":"<b>"}`+"\n", late)
	fmt.Fprintf(&b, `{"key_base64":"AP8g","value_base64":"AAH/"}`+"\n")
	path := filepath.Join(t.TempDir(), "records.jsonl")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	runTool(t, "import", "jsonl", path, "--addr", addr)
}

// churn writes, deletes and touches keys through a proxy until it is stopped, and knows what must be there then.
type churn struct {
	running sync.WaitGroup
	ended   atomic.Bool
	rounds  atomic.Int64
	mu      sync.Mutex
	held    map[string]string // "": deleted
	wrong   []string
}

func startChurn(t *testing.T, addr string) *churn {
	t.Helper()
	h := &churn{held: map[string]string{}}
	for client := range 2 {
		c, err := dial(addr)
		if err != nil {
			t.Fatal(err)
		}
		h.running.Go(func() {
			defer c.Close()
			for i := 0; !h.ended.Load(); i++ {
				key := fmt.Sprintf("churn-%d-%d", client, i%300)
				text, want, value := setCommand(key, fmt.Sprint(i)), []string{"STORED"}, fmt.Sprint(i)
				switch i % 5 {
				case 1:
					text, want, value = "delete "+key+"\r\n", []string{"DELETED", "NOT_FOUND"}, ""
				case 2:
					key = fmt.Sprintf("brief-%d-%d", client, i%20)
					text, value = fmt.Sprintf("set %s 0 1 1\r\nx\r\n", key), "-"
				case 3:
					text, want, value = "touch fill:7 3600\r\n", []string{"TOUCHED"}, "-"
				}
				got, err := c.do(text)
				if err != nil || !slices.Contains(want, got) {
					h.mu.Lock()
					h.wrong = append(h.wrong, fmt.Sprintf("%q: %q, %v", text, got, err))
					h.mu.Unlock()
					return
				}
				if value != "-" {
					h.mu.Lock()
					h.held[key] = value
					h.mu.Unlock()
				}
				h.rounds.Add(1)
			}
		})
	}
	t.Cleanup(func() { h.ended.Store(true); h.running.Wait() })
	return h
}

// stop ends it and compares what was acknowledged with what is behind a client port.
func (h *churn) stop(t *testing.T, addr string) {
	t.Helper()
	h.ended.Store(true)
	h.running.Wait()
	if len(h.wrong) > 0 {
		t.Errorf("%d wrong answers, such as %s", len(h.wrong), h.wrong[0])
	}
	c, err := dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	keys := []string{}
	for key := range h.held {
		keys = append(keys, key)
	}
	items, err := c.read(keys)
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range h.held {
		if got := items[key]; string(got.value) != want {
			t.Errorf("%s is %q, want %q", key, got.value, want)
		}
	}
	t.Logf("%d rounds of churn, %d keys looked at", h.rounds.Load(), len(keys))
}

// countsAt is the sum of the counters of a proxyLoad behind a client port.
func countsAt(t *testing.T, addr string, clients int) (sum int64) {
	t.Helper()
	c, err := dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i := range clients {
		got, err := c.do(fmt.Sprintf("incr count-%d 0\r\n", i))
		var n int64
		if _, problem := fmt.Sscan(got, &n); err != nil || problem != nil {
			t.Fatalf("counter %d: %q, %v", i, got, err)
		}
		sum += n
	}
	return sum
}

// TestMigrate moves a pair to a cluster, and from there to another pair, while clients of a proxy write. Nothing that was acknowledged is
// lost or counted twice, and no client sees the past.
func TestMigrate(t *testing.T) {
	cluster := clustertest.Start(t, clustertest.Config{NodeTimeout: 5 * time.Second})
	front := startClusterFront(t, cluster, ",lease=50ms")
	pair := startPair(t)
	fillRecords(t, pair[0].client, 5000)
	proxy := startPairProxy(t, pair)
	const clients = 6
	l := startProxyLoad(t, proxy, clients)
	h := startChurn(t, proxy.addr)
	l.more(t, 100)

	dry := migrate(t, "--from", pair[0].admin+","+pair[1].admin, "--to", front.admin, "--dry-run")
	if dry.Stored < 5002 || dry.Unfit != 0 || dry.Surplus != 0 || strings.TrimSpace(runTool(t, "export", "--addr", front.client, "--limit", "1")) != "" {
		t.Errorf("dry run: %+v, and the cluster is not empty", dry)
	}
	l.longest.Store(0)
	m := migrate(t, "--from", pair[0].admin+","+pair[1].admin, "--to", front.admin, "--proxy", proxy.admin, "--state", filepath.Join(t.TempDir(), "state"))
	if !m.CutOver || !m.Equal || m.Differing != 0 || m.Late != 0 {
		t.Errorf("pair to cluster: %+v", m)
	}
	l.more(t, 100)
	t.Logf("clients were held for %v, the longest request took %v", m.Pause, time.Duration(l.longest.Load()))
	for _, n := range pair {
		n.kill9()
	}
	l.more(t, 100)

	other := startPair(t)
	l.longest.Store(0)
	m = migrate(t, "--from", front.admin, "--to", other[0].admin+","+other[1].admin, "--proxy", proxy.admin)
	if !m.CutOver || !m.Equal || m.Differing != 0 || m.Late != 0 {
		t.Errorf("cluster to pair: %+v", m)
	}
	l.more(t, 100)
	t.Logf("clients were held for %v, the longest request took %v", m.Pause, time.Duration(l.longest.Load()))
	l.stop(t)
	h.stop(t, other[1].client)
	if sum := countsAt(t, other[0].client, clients); sum != l.done.Load() || l.unknown.Load() != 0 {
		t.Errorf("counted %d of %d, %d of which the effect is unknown", sum, l.done.Load(), l.unknown.Load())
	}
}

// TestMigrateKilled kills the command again and again, and a node of the source or a master of it meanwhile. What runs last makes both sides
// equal.
func TestMigrateKilled(t *testing.T) {
	cluster := clustertest.Start(t, clustertest.Config{Replicas: 1})
	front := startClusterFront(t, cluster, ",lease=50ms")
	pair := startPair(t)
	fillRecords(t, pair[0].client, 5000)
	f := startPairProxy(t, pair)
	h := startChurn(t, f.addr)
	cut := func(runs int, args ...string) {
		t.Helper()
		for i := range runs {
			p := startProcess(t, "migrate", newOutput(t, "migrate"), futagoProgram, append([]string{"migrate"}, args...)...)
			deadline := time.After(time.Duration(50+rand.IntN(2500)) * time.Millisecond)
			select {
			case <-p.exited:
				t.Logf("run %d ended by itself", i)
			case <-deadline:
				p.kill()
			}
		}
	}
	dir := t.TempDir()
	there := []string{"--from", pair[0].admin + "," + pair[1].admin, "--to", front.admin, "--state", filepath.Join(dir, "there")}
	cut(5, there...)
	pair[0].kill9()
	cut(5, there...)
	pair[0].start(t)
	waitPair(t, pair)
	cut(2, there...)
	if m := migrate(t, append(there, "--until-equal")...); !m.Equal || m.Differing != 0 {
		t.Errorf("pair to cluster: %+v", m)
	}
	h.stop(t, pair[0].client)
	if m := migrate(t, append(there, "--until-equal")...); !m.Equal || m.Differing != 0 {
		t.Errorf("pair to cluster: %+v", m)
	}
	mustHaveEqual(t, pair[1].client, front.client)

	other := startPair(t)
	writes := startChurnAt(t, front.client)
	back := []string{"--from", front.admin, "--to", other[0].admin + "," + other[1].admin, "--state", filepath.Join(dir, "back")}
	cut(5, back...)
	p := startProcess(t, "migrate", newOutput(t, "migrate"), futagoProgram, append([]string{"migrate"}, back...)...)
	victim := cluster.MasterOf(0)
	victim.Kill()
	cluster.MasterOf(0) // waits for the replica
	p.kill()
	cut(3, back...)
	writes()
	if m := migrate(t, append(back, "--until-equal")...); !m.Equal || m.Differing != 0 {
		t.Errorf("cluster to pair: %+v", m)
	}
	mustHaveEqual(t, front.client, other[1].client)
}

// TestMigrateKilledAtTheCutOver kills the command again and again while it copies, compares and cuts over, until clients use the cluster. A
// hold that nobody ends is over by itself.
func TestMigrateKilledAtTheCutOver(t *testing.T) {
	cluster := clustertest.Start(t, clustertest.Config{NodeTimeout: 5 * time.Second})
	front := startClusterFront(t, cluster, ",lease=50ms")
	pair := startPair(t)
	fillRecords(t, pair[0].client, 2000)
	proxy := startPairProxy(t, pair)
	const clients = 4
	l := startProxyLoad(t, proxy, clients)
	args := []string{"migrate", "--from", pair[0].admin + "," + pair[1].admin, "--to", front.admin, "--state", filepath.Join(t.TempDir(), "state"), "--proxy", proxy.admin}
	for run := 0; ; run++ {
		out := newOutput(t, "migrate")
		p := startProcess(t, "migrate", out, futagoProgram, args...)
		held, killed := false, false
		for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline) && !killed; {
			select {
			case <-p.exited:
				deadline = time.Now()
				continue
			case <-time.After(time.Millisecond):
			}
			// The first runs die while the proxy is held, or at any other moment.
			_, status, err := httpGet(t.Context(), "http://"+proxy.admin+"/status")
			held = err == nil && !strings.Contains(status, `"held": null`)
			if run < 3 && held || run < 6 && !held && rand.IntN(1000) == 0 {
				if run%2 == 1 { // others die at once, before anything was switched
					time.Sleep(time.Duration(rand.IntN(150)) * time.Millisecond)
				}
				p.kill()
				killed = true
			}
		}
		if killed {
			t.Logf("run %d was killed, held %v", run, held)
			continue
		}
		if code := p.waitExit(t, time.Second); code == 0 || strings.Contains(out.String(), "clients may use the target already") {
			t.Logf("run %d ended with code %d", run, code)
			break
		}
		t.Fatalf("run %d failed: %s", run, out)
	}
	for _, n := range pair {
		n.kill9()
	}
	l.more(t, 100)
	l.stop(t)
	if sum := countsAt(t, front.client, clients); sum != l.done.Load() || l.unknown.Load() != 0 {
		t.Errorf("counted %d of %d, %d of which the effect is unknown", sum, l.done.Load(), l.unknown.Load())
	}
}

// startChurnAt writes and deletes keys whatever the answers are, until stop is called.
func startChurnAt(t *testing.T, addr string) (stop func()) {
	t.Helper()
	var ended atomic.Bool
	var running sync.WaitGroup
	running.Go(func() {
		for i := 0; !ended.Load(); {
			c, err := dial(addr)
			if err != nil {
				t.Error(err)
				return
			}
			for ; !ended.Load(); i++ {
				key := fmt.Sprintf("churn-%d", i%2000)
				text := setCommand(key, fmt.Sprint(i))
				if i%3 == 0 {
					text = "delete " + key + "\r\n"
				}
				if _, err := c.do(text); err != nil {
					break
				}
			}
			c.Close()
		}
	})
	stop = func() { ended.Store(true); running.Wait() }
	t.Cleanup(stop)
	return stop
}

// TestMigrateRefuses says what is wrong with arguments, sides that do not answer, and targets.
func TestMigrateRefuses(t *testing.T) {
	a, b := startSingle(t), startSingle(t)
	fillRecords(t, a.client, 10)
	fillRecords(t, b.client, 10)
	pair, cluster := startPair(t), clustertest.Start(t, clustertest.Config{})
	one, two := startClusterFront(t, cluster, ""), startClusterFront(t, cluster, "")
	cluster.DropSlots(0, 99)
	proxy := startProxy(t, "--upstream="+b.client)
	nobody, state := freeAddr(t, newHost()), filepath.Join(t.TempDir(), "state")
	for _, tt := range []struct {
		args []string
		code int
		text string
	}{
		{nil, 2, "--from and --to"},
		{[]string{"--from", a.admin}, 2, "--from and --to"},
		{[]string{"--from", a.admin, "--to", a.admin}, 2, "both name"},
		{[]string{"--from", pair[0].admin, "--to", pair[1].admin, "--dry-run"}, 2, "are of the same pair"},
		{[]string{"--from", a.admin + "," + b.admin, "--to", pair[0].admin, "--dry-run"}, 2, "are not of one pair"},
		{[]string{"--from", pair[0].admin, "--to", b.admin, "--dry-run"}, 2, "it is a pair with node 2 (" + pair[1].admin + ")"},
		{[]string{"--from", one.admin, "--to", two.admin, "--dry-run"}, 2, "are of the same cluster"},
		{[]string{"--from", one.admin, "--to", a.admin, "--dry-run"}, 1, "100 of 16384 slots have no master"},
		{[]string{"--from", a.admin, "--to", one.admin, "--dry-run"}, 1, "Bring the masters back"},
		{[]string{"--from", a.admin, "--to", b.admin, "--rate", "-1"}, 2, "--rate -1"},
		{[]string{"--from", a.admin, "--to", b.admin, "--proxy", a.admin}, 2, a.admin + " is the admin address of a node"},
		{[]string{"--from", a.admin, "--to", pair[0].admin, "--proxy", proxy.admin}, 1, "sends to " + b.client + ", which is no client address of the source"},
		{[]string{"--from", a.admin, "--to", b.client}, 2, b.client + " is not an admin address of futago, but perhaps a client port"},
		{[]string{"--from", nobody, "--to", b.admin}, 1, nobody},
		{[]string{"--from", a.admin, "--to", nobody}, 1, "Is it running, and is that the right port?"},
		{[]string{"--from", a.admin, "--to", b.admin}, 1, "the target has records already"},
		{[]string{"--from", a.admin, "--to", b.admin, "--state", "/"}, 1, "read state"},
		{[]string{"--from", a.admin + "," + nobody, "--to", b.admin, "--replace", "--until-equal", "--state", state}, 0, ""},
		{[]string{"--from", nobody + "," + a.admin, "--to", b.admin, "--until-equal", "--state", state}, 0, "going on where the state file says"},
		{[]string{"--from", b.admin, "--to", a.admin, "--state", state}, 1, "another source"},
	} {
		out := newOutput(t, "migrate")
		p := startProcess(t, "migrate", out, futagoProgram, append([]string{"migrate"}, tt.args...)...)
		if code := p.waitExit(t, 30*time.Second); code != tt.code || !strings.Contains(out.String(), tt.text) {
			t.Errorf("%v: exit code %d, want %d, and %q", tt.args, code, tt.code, tt.text)
		}
	}
}
