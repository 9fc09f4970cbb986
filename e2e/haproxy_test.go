//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// startShippedHAProxy runs deploy/haproxy.cfg with the addresses of the pair. The second address is its port for memcached clients.
func startShippedHAProxy(t *testing.T, p [2]*node) (*front, string) {
	t.Helper()
	text, err := os.ReadFile("../deploy/haproxy.cfg")
	if err != nil {
		t.Fatal(err)
	}
	host := newHost()
	web, memcached, conf := freeAddr(t, host), freeAddr(t, host), string(text)
	type change struct{ old, new string }
	changes := []change{{"bind :80", "bind " + web}, {"bind 127.0.0.1:11211", "bind " + memcached}}
	for i, shipped := range []string{"10.0.0.1", "10.0.0.2"} {
		adminHost, adminPort, _ := strings.Cut(p[i].admin, ":")
		changes = append(changes, change{
			fmt.Sprintf("%s:11211 addr %s port 11280", shipped, shipped), fmt.Sprintf("%s addr %s port %s", p[i].client, adminHost, adminPort),
		})
	}
	for _, c := range changes {
		if !strings.Contains(conf, c.old) {
			t.Fatalf("deploy/haproxy.cfg has no %q", c.old)
		}
		conf = strings.ReplaceAll(conf, c.old, c.new)
	}
	path := filepath.Join(t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(path, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	return startFront(t, "haproxy", web, findProgram(t, "haproxy"), "-f", path), memcached
}

// statistic is one of the node's figures, as memcached clients see them.
func (n *node) statistic(t *testing.T, name string) int {
	t.Helper()
	c := n.dial(t)
	defer c.Close()
	found := -1
	line, err := c.do("stats\r\n")
	for ; err == nil && line != "END"; line, err = c.line() {
		if value, ok := strings.CutPrefix(line, "STAT "+name+" "); ok {
			if found, err = strconv.Atoi(value); err != nil {
				break
			}
		}
	}
	if err != nil || found < 0 {
		t.Fatalf("statistic %s of node %s: %d, error %v", name, n.name, found, err)
	}
	return found
}

// Both nodes serve reads, by their weights; one that is not ready serves none.
func TestHAProxyBalances(t *testing.T) {
	p := startPair(t)
	p[0].setAll(t, names("count_key", 100), "1")
	f, _ := startShippedHAProxy(t, p)
	before := [2]int{p[0].statistic(t, "get_hits"), p[1].statistic(t, "get_hits")}
	f.requests(t, 600)
	for i, n := range p {
		if served := n.statistic(t, "get_hits") - before[i]; served < 50 {
			t.Errorf("node %s served %d of 600 reads", n.name, served)
		}
	}
	// Refused until the node has heard that the other one is ready.
	eventually(t, "the node drains", 10*time.Second, func() bool { return p[0].operate(t, "/drain") == http.StatusOK })
	c := newFrontClient(t)
	eventually(t, "the drained node is left out", 10*time.Second, func() bool {
		before := p[0].statistic(t, "get_hits")
		for range 20 {
			if _, err := f.get(t.Context(), c, "/count_key-1"); err != nil {
				t.Fatalf("a read while a node is drained: %v", err)
			}
		}
		return p[0].statistic(t, "get_hits") == before
	})
}

// operate asks the admin port for an action, and returns the status.
func (n *node) operate(t *testing.T, path string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "POST", "http://"+n.admin+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Futago-Admin", "1")
	resp, err := adminClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// The public port takes reads of the readable keys, and nothing else.
func TestHAProxyRefuses(t *testing.T) {
	p := startPair(t)
	p[0].setAll(t, []string{"count_a", "secret"}, "1")
	f, _ := startShippedHAProxy(t, p)
	c := newFrontClient(t)
	for _, want := range []struct {
		method, path, body string
		status             int
	}{
		{"GET", "/count_a", "", 200}, {"HEAD", "/count_a", "", 200}, {"GET", "/count_absent", "", 404},
		{"PUT", "/count_a", "2", 403}, {"POST", "/count_a", "2", 403}, {"DELETE", "/count_a", "", 403}, {"OPTIONS", "/count_a", "", 403},
		{"GET", "/count_a", "set count_a 0 0 1\r\n2\r\n", 400},
		{"GET", "/secret", "", 404}, {"GET", "/count_a/../secret", "", 404}, {"GET", "/x/count_a", "", 404}, {"PUT", "/secret", "2", 404},
		{"GET", "/healthz", "", 200}, {"GET", "/readyz", "", 200},
	} {
		req, err := http.NewRequestWithContext(t.Context(), want.method, "http://"+f.addr, strings.NewReader(want.body))
		if err != nil {
			t.Fatal(err)
		}
		req.URL.Opaque = want.path // as it is, without being cleaned
		resp, err := c.Do(req)
		if err != nil {
			t.Errorf("%s %s: %v", want.method, want.path, err)
			continue
		}
		resp.Body.Close()
		if resp.StatusCode != want.status {
			t.Errorf("%s %s: status %d, want %d", want.method, want.path, resp.StatusCode, want.status)
		}
	}
	p[1].expectValues(t, map[string]string{"count_a": "1", "secret": "1"})
}

// A memcached client that knows one address goes on when the first node dies, and finds what it wrote.
func TestHAProxyMemcachedFailover(t *testing.T) {
	p := startPair(t)
	_, addr := startShippedHAProxy(t, p)
	connect := func() *conn {
		c, err := dial(addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	c := connect()
	c.set(t, "k", "1")
	if p[0].connections(t) == 0 || p[1].connections(t) != 0 {
		t.Errorf("connections of the nodes: %d and %d, want the client at the first", p[0].connections(t), p[1].connections(t))
	}
	p[0].kill9()
	if line, err := c.line(); err == nil {
		t.Errorf("the connection to a dead node says %q", line)
	}
	eventually(t, "the second node takes a client", 10*time.Second, func() bool {
		next, err := dial(addr)
		if err != nil {
			return false
		}
		defer next.Close()
		value, ok, err := next.get("k")
		return err == nil && ok && value == "1"
	})
	connect().set(t, "k", "2")
	p[0].start(t)
	waitPair(t, p)
	eventually(t, "clients come back to the first node", 10*time.Second, func() bool {
		next, err := dial(addr)
		if err != nil {
			return false
		}
		defer next.Close()
		value, _, err := next.get("k")
		return err == nil && value == "2" && p[0].connections(t) > 0
	})
}
