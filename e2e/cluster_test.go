//go:build e2e

package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/futago/futago/internal/rediscluster/clustertest"
)

// clusterFront is futago in front of a cluster.
type clusterFront struct {
	client, admin string
	process       *process
}

// busyMachine gives a cluster longer than the default, for its servers share a machine with the tests.
const busyMachine = ",timeout=2s"

func startClusterFront(t *testing.T, c *clustertest.Cluster, options string, flags ...string) clusterFront {
	t.Helper()
	host := newHost()
	f := clusterFront{client: freeAddr(t, host), admin: freeAddr(t, host)}
	flags = append([]string{"serve", "--store", "redis-cluster://" + strings.Join(c.Addrs(), ",") + busyMachine + options, "--listen", f.client, "--admin-listen", f.admin}, flags...)
	f.process = startProcess(t, "front", newOutput(t, "front"), futagoProgram, flags...)
	eventually(t, "the front is ready", 20*time.Second, func() bool {
		r, err := http.Get("http://" + f.admin + "/readyz")
		if err != nil {
			return false
		}
		r.Body.Close()
		return r.StatusCode == http.StatusOK
	})
	return f
}

// tell sends commands and returns what comes until the connection ends.
func (f clusterFront) tell(t *testing.T, commands string) string {
	t.Helper()
	c, err := net.Dial("tcp", f.client)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Minute))
	io.WriteString(c, commands+"quit\r\n")
	out, err := io.ReadAll(c)
	if err != nil {
		t.Fatalf("%q: %v after %q", commands, err, out)
	}
	return string(out)
}

func (f clusterFront) body(t *testing.T, url string) (string, http.Header) {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b), r.Header
}

// TestClusterFront uses two fronts of one cluster through every protocol, and looks at what they say of their promises.
func TestClusterFront(t *testing.T) {
	c := clustertest.Start(t, clustertest.Config{NodeTimeout: 5 * time.Second})
	one, two := startClusterFront(t, c, ",lease=50ms"), startClusterFront(t, c, ",lease=50ms")
	for _, step := range []struct {
		at        clusterFront
		say, want string
	}{
		{one, "set a 5 0 3\r\nabc\r\n", "STORED\r\n"},
		{two, "get a b\r\nincr a 1\r\n", "VALUE a 5 3\r\nabc\r\nEND\r\nCLIENT_ERROR cannot increment or decrement non-numeric value\r\n"},
		{two, "set n 0 0 20\r\n18446744073709551615\r\nincr n 2\r\n", "STORED\r\n1\r\n"},
		{one, "append a 0 0 1\r\n!\r\nprepend a 0 0 1\r\n>\r\nget a\r\n", "STORED\r\nSTORED\r\nVALUE a 5 5\r\n>abc!\r\nEND\r\n"},
		{two, "mn\r\nms m 2 T60\r\nhi\r\nmg m v t s\r\nmg none v\r\nma c N0 J7 v\r\nma c v\r\n", "MN\r\nHD\r\nVA 2 t60 s2\r\nhi\r\nEN\r\nVA 1\r\n7\r\nVA 1\r\n8\r\n"},
		{one, "delete a\r\ndelete a\r\ntouch m 0\r\nmg m t\r\n", "DELETED\r\nNOT_FOUND\r\nTOUCHED\r\nHD t-1\r\n"},
		{one, "lru_crawler metadump all\r\n", "key="},
		{two, "cache_memlimit 100\r\n", "MEMLIMIT_ADJUST_FAILED"},
		{one, "flush_all\r\n", "OK\r\n"},
		{two, "get m n c\r\n", "END\r\n"},
		{one, "set k1 0 0 1\r\na\r\nset k3 0 0 1\r\nc\r\nget k1 k2 k3 k1\r\n", "VALUE k1 0 1\r\na\r\nVALUE k3 0 1\r\nc\r\nVALUE k1 0 1\r\na\r\nEND\r\n"},
		{two, "get" + strings.Repeat(" k1 none", 50) + "\r\nmn\r\n", "END\r\nMN\r\n"},
		{two, "stats\r\n", "STAT futago_durability async\r\n"},
	} {
		if got := step.at.tell(t, step.say); !strings.Contains(got, step.want) {
			t.Errorf("%q: got %q, want %q", step.say, got, step.want)
		}
	}
	r, err := http.NewRequest(http.MethodPut, "http://"+one.client+"/page", strings.NewReader("<b>"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "text/html")
	put, err := http.DefaultClient.Do(r)
	if err != nil || put.StatusCode != http.StatusCreated || put.Header.Get("Futago-Durability") != "async" || put.Header.Get("Futago-Acked") != "" {
		t.Errorf("PUT: %v, %v", put, err)
	}
	put.Body.Close()
	if body, header := two.body(t, "http://"+two.client+"/page"); body != "<b>" || header.Get("Content-Type") != "text/html" || header.Get("Futago-Durability") != "async" || header.Get("Etag") == "" {
		t.Errorf("GET: %q, %v", body, header)
	}
	status, _ := one.body(t, "http://"+one.admin+"/status")
	var s struct {
		State, Store, Durability string
		Masters                  []string
		Slots                    int
	}
	if err := json.Unmarshal([]byte(status), &s); err != nil || s.State != "ready" || s.Store != "redis-cluster" || s.Durability != "async" || len(s.Masters) != 3 || s.Slots != 16384 {
		t.Errorf("status: %s, %v", status, err)
	}
	if metrics, _ := one.body(t, "http://"+one.admin+"/metrics"); !strings.Contains(metrics, `futago_cluster_info{durability="async",store="redis-cluster"} 1`) {
		t.Error("the metrics do not tell the durability")
	}
}

// TestClusterFrontRefuses starts fronts with settings that mean nothing there, and with a server that is no cluster.
func TestClusterFrontRefuses(t *testing.T) {
	alone := freeAddr(t, newHost())
	host, port, _ := net.SplitHostPort(alone)
	startProcess(t, "redis", newOutput(t, "redis"), "redis-server", "--bind", host, "--port", port, "--dir", t.TempDir(), "--save", "")
	eventually(t, "the single server answers", 20*time.Second, func() bool {
		c, err := net.Dial("tcp", alone)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	for _, tt := range []struct {
		args []string
		code int
		text string
	}{
		{[]string{"--store", "redis-cluster://127.0.0.1:1", "--peer", "127.0.0.1:2"}, 2, "peer (--peer): not together with store"},
		{[]string{"--store", "redis-cluster://127.0.0.1:1,tsl"}, 2, `nearest is "tls"`},
		{[]string{"--store", "redis://127.0.0.1:1"}, 2, "redis-cluster://HOST:PORT"},
		{[]string{"--store", "redis-cluster://" + alone, "--listen", freeAddr(t, newHost()), "--admin-listen", "none"}, 1, "cluster support disabled"},
	} {
		out := newOutput(t, "serve")
		p := startProcess(t, "serve", out, futagoProgram, append([]string{"serve"}, tt.args...)...)
		if code := p.waitExit(t, 20*time.Second); code != tt.code || !strings.Contains(out.String(), tt.text) {
			t.Errorf("%v: exit code %d, want %d, and %q", tt.args, code, tt.code, tt.text)
		}
	}
}

// TestClusterFrontBeforeItsCluster starts a front while all servers are down, as after a power failure: it answers with errors, is not ready, and
// serves as soon as they do.
func TestClusterFrontBeforeItsCluster(t *testing.T) {
	c := clustertest.Start(t, clustertest.Config{NodeTimeout: 5 * time.Second})
	for _, n := range c.Nodes() {
		n.Kill()
	}
	host := newHost()
	f := clusterFront{client: freeAddr(t, host), admin: freeAddr(t, host)}
	startProcess(t, "front", newOutput(t, "front"), futagoProgram, "serve", "--store", "redis-cluster://"+strings.Join(c.Addrs(), ",")+busyMachine, "--listen", f.client, "--admin-listen", f.admin)
	readiness := func() (code int, text string) {
		r, err := http.Get("http://" + f.admin + "/readyz")
		if err != nil {
			return 0, ""
		}
		defer r.Body.Close()
		b, _ := io.ReadAll(r.Body)
		return r.StatusCode, string(b)
	}
	eventually(t, "the front says why it is not ready", 30*time.Second, func() bool {
		code, text := readiness()
		return code == http.StatusServiceUnavailable && strings.Contains(text, "down: the cluster does not answer: not since the start: ") && strings.Contains(text, "connection refused")
	})
	const down = "SERVER_ERROR cluster does not answer: nothing was changed, try again\r\n"
	if got := f.tell(t, "set k 0 0 1\r\nx\r\nget k\r\n"); got != down+down {
		t.Errorf("without a cluster: %q", got)
	}
	for _, n := range c.Nodes() {
		n.Restart()
	}
	eventually(t, "the front is ready", time.Minute, func() bool {
		code, _ := readiness()
		return code == http.StatusOK
	})
	if got := f.tell(t, "set k 0 0 1\r\nx\r\nget k\r\n"); got != "STORED\r\nVALUE k 0 1\r\nx\r\nEND\r\n" {
		t.Errorf("with its cluster: %q", got)
	}
}

// TestClusterFrontLosesAMaster counts while a master is killed. The front says of each increment what it knows, never more.
func TestClusterFrontLosesAMaster(t *testing.T) {
	c := clustertest.Start(t, clustertest.Config{Replicas: 1})
	f := startClusterFront(t, c, ",timeout=1s")
	conn, err := net.Dial("tcp", f.client)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	ask := func(command string) string {
		conn.SetDeadline(time.Now().Add(time.Minute))
		io.WriteString(conn, command)
		line, err := in.ReadString('\n')
		if err != nil {
			t.Fatalf("%q: %v", command, err)
		}
		return line
	}
	const key = "counter"
	if got := ask("set " + key + " 0 0 1\r\n0\r\n"); got != "STORED\r\n" {
		t.Fatal(got)
	}
	victim := c.MasterOf(c.SlotOf("futago:k:" + key))
	acked, unknown, refused := 0, 0, 0
	var gap time.Duration
	last := time.Now()
	killed := false
	for after := 0; after < 200; {
		switch got := ask("incr " + key + " 1\r\n"); {
		case strings.HasPrefix(got, "SERVER_ERROR effect unknown"):
			unknown++
		case strings.HasPrefix(got, "SERVER_ERROR cluster does not answer"):
			refused++
		default:
			if _, err := strconv.Atoi(strings.TrimSpace(got)); err != nil {
				t.Fatalf("incr: %q", got)
			}
			acked++
			gap, last = max(gap, time.Since(last)), time.Now()
			if killed && refused+unknown > 0 || killed && gap > 100*time.Millisecond {
				after++
			}
		}
		if acked == 100 && !killed {
			killed = true
			victim.Kill()
		}
		if time.Since(last) > 2*time.Minute {
			t.Fatalf("no increment for minutes: %d told of, %d unknown, %d refused", acked, unknown, refused)
		}
	}
	final, err := strconv.Atoi(strings.TrimSpace(ask(fmt.Sprintf("incr %s 0\r\n", key))))
	if err != nil || final > acked+unknown {
		t.Errorf("the counter is %d, %v: %d told of and %d unknown", final, err, acked, unknown)
	}
	t.Logf("%d told of, %d unknown, %d refused, counted %d, so %d lost by the cluster; longest gap %v", acked, unknown, refused, final, max(0, acked-final), gap)
}

// TestClusterFrontTellsChanges follows a front as a program does: by a long poll with values, from a position of another front.
func TestClusterFrontTellsChanges(t *testing.T) {
	c := clustertest.Start(t, clustertest.Config{NodeTimeout: 5 * time.Second})
	one, two := startClusterFront(t, c, ",lease=50ms"), startClusterFront(t, c, ",lease=50ms")
	type answer struct {
		Changes []struct {
			Op, Key, Value, Type string
			Flags                int
			Expires              int64
		}
		Position string
	}
	ask := func(f clusterFront, query string) (a answer) {
		t.Helper()
		text, _ := f.body(t, "http://"+f.admin+"/changes?"+query)
		if err := json.Unmarshal([]byte(text), &a); err != nil {
			t.Fatalf("%s: %v: %s", query, err, text)
		}
		return a
	}
	begun := ask(one, "")
	one.tell(t, "set a 5 100 3\r\nabc\r\nset b 0 0 1\r\nx\r\ndelete b\r\nset c 0 0 1\r\ny\r\n")
	told := map[string]string{}
	a := ask(two, "wait=0s&from="+begun.Position)
	for _, c := range a.Changes {
		told[c.Key] = fmt.Sprint(c.Op, " ", c.Value, " ", c.Flags, " ", c.Expires > time.Now().UnixMilli())
	}
	if len(begun.Changes) != 0 || told["a"] != "set abc 5 true" || told["b"] != "delete  0 false" || told["c"] != "set y 0 false" || len(told) != 3 {
		t.Errorf("got %v", told)
	}
	if rest := ask(one, "wait=0s&from="+a.Position); len(rest.Changes) != 0 {
		t.Errorf("behind the end: %+v", rest)
	}
	if some := ask(one, "wait=0s&prefix=c&from="+begun.Position); len(some.Changes) != 1 || some.Changes[0].Key != "c" {
		t.Errorf("with a prefix: %+v", some)
	}
	for query, want := range map[string]int{"from=x": http.StatusBadRequest, "limit=0": http.StatusBadRequest} {
		r, err := http.Get("http://" + one.admin + "/changes?" + query)
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if r.StatusCode != want {
			t.Errorf("%s: %d, want %d", query, r.StatusCode, want)
		}
	}
}
