package proxy

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/futago/futago/internal/store"
)

func TestParseUpstream(t *testing.T) {
	for _, text := range []string{"a:1", "a:1,check=b:2", "a:1,check=b:2,weight=5", "unix:/run/x,weight=2", "[::1]:1"} {
		u, err := ParseUpstream(text)
		if err != nil || u.String() != text {
			t.Errorf("%s: got %s, %v", text, u, err)
		}
	}
	for text, want := range map[string]string{
		"a":                     "want host:port",
		"a:0":                   "port 0",
		"a:1,weight=0":          "weight 0: want 1 to 10000",
		"a:1,weight=x":          "want a whole number",
		"a:1,wieght=1":          "nearest known option: weight",
		"a:1,check":             "want name=value",
		"a:1,check=":            "want an address",
		"a:1,check=b":           "check: address",
		"a:1,weight=1,weight=2": "given twice",
	} {
		if u, err := ParseUpstream(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %s and %v, want an error with %q", text, u, err, want)
		}
	}
}

func TestValidate(t *testing.T) {
	c := DefaultConfig()
	c.Upstreams = []Upstream{{Addr: "a:1", Weight: 1}}
	if err := c.Validate(); err != nil {
		t.Errorf("defaults: %v", err)
	}
	c = Config{Listen: "x", Upstreams: []Upstream{{Addr: "a:1", Weight: 1}, {Addr: "a:1", Weight: 1}}, Choice: "random", IdleTimeout: -1, DrainTimeout: -1}
	err := c.Validate()
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"listen: ", "given twice", `choice "random"`, "idle timeout", "timeout 0s", "check interval", "pool 0", "max conns 0", "max value 0", "max pending 0", "write timeout", "drain timeout"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in: %v", want, err)
		}
	}
}

// TestFaults: the answers that lead to another node are those that a node gives.
func TestFaults(t *testing.T) {
	for _, err := range []error{store.ErrNoSpace, store.ErrReadOnly, store.ErrClosed, store.ErrDamaged} {
		c := call{shape: shapeLine, reply: []byte("SERVER_ERROR " + err.Error() + "\r\n")}
		if !c.fault() {
			t.Errorf("%v leads to no other node", err)
		}
	}
	for _, err := range []error{store.ErrNoMemory, store.ErrNoPeer, store.ErrTooLarge, store.ErrUnconfirmed} {
		c := call{shape: shapeLine, reply: []byte("SERVER_ERROR " + err.Error() + "\r\n")}
		if c.fault() {
			t.Errorf("%v leads to another node", err)
		}
	}
}

// TestFaultPassedOn: without another node the client gets the node's own words.
func TestFaultPassedOn(t *testing.T) {
	n := newFakeNode(t)
	n.behave(full, "")
	p := startProxy(t, nil, n)
	c := p.dial()
	c.talk("set a 0 0 1\r\n1\r\nget a\r\n", strings.Repeat("SERVER_ERROR disk is nearly full: free space or lower min-free\r\n", 2))
	if s := p.Status(); s.Upstreams[0].State != "up" {
		t.Errorf("the node is %s: %s", s.Upstreams[0].State, s.Upstreams[0].Reason)
	}
}

// TestAdmin looks at the pages, and at the names of all metrics.
func TestAdmin(t *testing.T) {
	n := newFakeNode(t)
	p := startProxy(t, nil, n)
	p.dial().talk("get a\r\n", "END\r\n")
	get := func(path string) (int, string) {
		t.Helper()
		w := httptest.NewRecorder()
		p.AdminHandler().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		body, _ := io.ReadAll(w.Body)
		return w.Code, string(body)
	}
	if code, body := get("/readyz"); code != http.StatusOK || body != "ready: 1 of 1 upstreams up\n" {
		t.Errorf("/readyz: %d %q", code, body)
	}
	if code, body := get("/healthz"); code != http.StatusOK || !strings.HasPrefix(body, "ok: ") {
		t.Errorf("/healthz: %d %q", code, body)
	}
	if code, body := get("/status"); code != http.StatusOK || !strings.Contains(body, `"answer": "ready: test"`) {
		t.Errorf("/status: %d %q", code, body)
	}
	_, metrics := get("/metrics")
	var names []string
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (\S+)`).FindAllStringSubmatch(metrics, -1) {
		names = append(names, strings.TrimPrefix(m[1], "futago_proxy_"))
	}
	want := []string{
		"connections_total", "held", "holds_total", "open_connections", "pending_bytes", "refused_connections_total", "upstream_check_failures_total",
		"upstream_connections", "upstream_failovers_total", "upstream_failures_total", "upstream_requests_total", "upstream_response_seconds",
		"upstream_unknown_effects_total", "upstream_up", "waiting_clients",
	}
	if !slices.Equal(names, want) {
		t.Errorf("metrics: got %q, want %q", names, want)
	}
	if !bytes.Contains([]byte(metrics), []byte(`upstream_response_seconds_count{upstream="`+n.addr+`"} 1`)) {
		t.Errorf("one request is not in the metrics:\n%s", metrics)
	}
	n.ready.Store(false)
	p.waitUp(0)
	if code, body := get("/readyz"); code != http.StatusServiceUnavailable || !strings.HasPrefix(body, "down: none of 1 upstreams up: "+n.addr+" ") || len(body) < 60 {
		t.Errorf("/readyz: %d %q", code, body)
	}
}
