package gateway

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/futago/futago/internal/addr"
	"github.com/prometheus/client_golang/prometheus"
)

func testRulesOverHTTP(t *testing.T) {
	a := newBackend(t, answers(200, "", "from a"))
	f := start(t, func(cfg *Config) { cfg.AllowPaths = []string{"~/count_[A-Za-z0-9_.-]+"} }, a)
	tests := []struct {
		request string
		status  int
	}{
		{"GET /count_1", 200},
		{"GET /%63ount_1?x", 200},
		{"HEAD /count_1", 200},
		{"GET /x/../count_1", 400},
		{"GET //count_1", 400},
		{"GET /count_%00", 400},
		{"OPTIONS *", 400},
		{"PRI *", 400},
		{"GET /account", 404},
		{"PUT /account", 404},
		{"PUT /count_1", 403},
		{"TRACE /count_1", 403},
		{"get /count_1", 403},
	}
	for _, test := range tests {
		t.Run(test.request, func(t *testing.T) {
			lines := " HTTP/1.1\r\nHost: h\r\n"
			if strings.Contains(t.Name(), netWay) {
				lines += "TE: trailers\r\n"
			}
			c := f.dial()
			c.send(test.request + lines + "\r\n")
			method, _, _ := strings.Cut(test.request, " ")
			got := c.receive(method)
			if got.status != test.status || got.err != nil {
				t.Errorf("got %+v, want %d", got, test.status)
			}
			if test.status != 200 && (strings.Count(got.body, "\n") != 1 || !strings.HasPrefix(got.body, fmt.Sprint(test.status, " "))) {
				t.Errorf("body: got %q, want one line", got.body)
			}
		})
	}
	if n := len(a.requests()); n != 3 {
		t.Errorf("requests at a: got %d, want 3", n)
	}
}

func TestAdmin(t *testing.T) {
	a, b := newBackend(t, answers(200, "", "from a")), newBackend(t, answers(200, "", "from b"))
	f := start(t, quickChecks, a, b)
	f.waitReady()
	f.do("GET", "/key")
	f.do("PUT", "/key")
	if got := f.admin("/healthz"); got.status != 200 {
		t.Errorf("/healthz: got %+v, want 200", got)
	}
	if got := f.admin("/nothing"); got.status != 404 {
		t.Errorf("/nothing: got %+v, want 404", got)
	}
	var status Status
	got := f.admin("/status")
	if err := json.Unmarshal([]byte(got.body), &status); err != nil {
		t.Fatalf("/status: %v in %s", err, got.body)
	}
	if status.Version != "v-test" || status.State != "ready" || status.Listen != f.Addr() || status.AdminListen != f.AdminAddr() ||
		status.UptimeSeconds <= 0 || len(status.Upstreams) != 2 {
		t.Errorf("/status: got %s", got.body)
	}
	if u := status.Upstreams[0]; u.Addr != a.addr || u.State != "up" || u.Weight != 1000 || u.Requests != 1 || u.MaxFails != 1 {
		t.Errorf("/status: got first upstream %+v", u)
	}
}

// TestMetricNames is the list of all metrics: dashboards and alerts hang on it.
func TestMetricNames(t *testing.T) {
	a := newBackend(t, answers(200, "", "from a"))
	f := start(t, nil, a)
	f.do("GET", "/key")
	f.do("PUT", "/key")
	got := f.admin("/metrics").body
	var names []string
	for _, match := range regexp.MustCompile(`(?m)^# TYPE (\S+ \S+)$`).FindAllStringSubmatch(got, -1) {
		names = append(names, match[1])
	}
	want := []string{
		"futago_gateway_clients_gone_total counter",
		"futago_gateway_open_connections gauge",
		"futago_gateway_refused_connections_total counter",
		"futago_gateway_refused_requests_total counter",
		"futago_gateway_request_duration_seconds histogram",
		"futago_gateway_requests_total counter",
		"futago_gateway_truncated_replies_total counter",
		"futago_gateway_upstream_check_failures_total counter",
		"futago_gateway_upstream_effective_weight_ratio gauge",
		"futago_gateway_upstream_failures_total counter",
		"futago_gateway_upstream_requests_total counter",
		"futago_gateway_upstream_response_seconds histogram",
		"futago_gateway_upstream_retries_total counter",
		"futago_gateway_upstream_state gauge",
	}
	if !slices.Equal(names, want) {
		t.Errorf("metrics:\ngot  %q\nwant %q", names, want)
	}
	for _, line := range []string{
		`futago_gateway_requests_total{class="2xx"} 1`,
		`futago_gateway_requests_total{class="4xx"} 1`,
		`futago_gateway_refused_requests_total{reason="method"} 1`,
		fmt.Sprintf(`futago_gateway_upstream_requests_total{upstream="%s"} 1`, a.addr),
		fmt.Sprintf(`futago_gateway_upstream_state{state="up",upstream="%s"} 1`, a.addr),
		fmt.Sprintf(`futago_gateway_upstream_response_seconds_count{upstream="%s"} 1`, a.addr),
	} {
		if !strings.Contains(got, line+"\n") {
			t.Errorf("metrics: no line %q in\n%s", line, got)
		}
	}
}

func TestRegistererOfTheCaller(t *testing.T) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(prometheus.NewCounter(prometheus.CounterOpts{Name: "of_the_caller_total"}))
	cfg := DefaultConfig()
	cfg.Upstreams = []Upstream{DefaultUpstream("127.0.0.1:1")}
	cfg.Registerer = registry
	if _, err := New(cfg); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil || len(families) < 10 {
		t.Errorf("got %d families, %v, want the gateway's too", len(families), err)
	}
	if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), "register metrics") {
		t.Errorf("second gateway in one registry: got %v, want an error", err)
	}
}

func TestConfigValidate(t *testing.T) {
	valid := DefaultConfig()
	valid.Upstreams = []Upstream{DefaultUpstream("127.0.0.1:1")}
	if err := valid.Validate(); err != nil {
		t.Fatalf("defaults with an upstream: %v", err)
	}
	for _, admin := range []string{"", "none"} {
		cfg := valid
		cfg.AdminListen = admin
		if err := cfg.Validate(); err != nil {
			t.Errorf("admin listen %q: %v", admin, err)
		}
	}
	cfg := Config{
		Listen: "nowhere", AdminListen: "x:99999", AllowPaths: []string{"count"}, CheckInterval: time.Nanosecond,
		Upstreams: []Upstream{{Addr: "h:1"}, DefaultUpstream("h:1")},
		AccessLog: io.Discard, AccessLogPath: "/log",
	}
	err := cfg.Validate()
	if err == nil {
		t.Fatal("got no error")
	}
	for _, part := range []string{
		`listen: address "nowhere"`, `admin listen: address "x:99999"`, `allow path "count"`, "check interval 1ns",
		"weight 0", "given twice", "upstream timeout 0s", "body timeout", "max conns 0", "max header bytes 0", "access log path",
	} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("Validate: no %q in\n%v", part, err)
		}
	}
	if err := (&Config{}).Validate(); !strings.Contains(err.Error(), "0 upstreams: want 1 to 64") {
		t.Errorf("no upstreams: got %v", err)
	}
	if _, err := New(Config{}); err == nil {
		t.Error("New of an invalid configuration: got no error")
	}
}

func TestMaxConns(t *testing.T) {
	a := newBackend(t, answers(200, "", "from a"))
	f := start(t, func(cfg *Config) { cfg.MaxConns = 2 }, a)
	var held []net.Conn
	for range 2 {
		conn, err := net.Dial("tcp", f.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		held = append(held, conn)
	}
	eventually(t, "both connections are counted", func() bool { return f.Status().Connections == 2 })
	conn, err := net.Dial("tcp", f.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || resp.StatusCode != 503 || !resp.Close {
		t.Fatalf("third connection: got %+v, %v, want 503 and a close", resp, err)
	}
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "503 service unavailable: too many clients\n" {
		t.Errorf("body: got %q, %v", body, err)
	}
	held[0].Close()
	eventually(t, "the place is free", func() bool { return f.Status().Connections == 1 })
	if got := f.do("GET", "/key"); got.status != 200 {
		t.Errorf("after a close: got %+v, want 200", got)
	}
}

func TestHeaderLimits(t *testing.T) {
	a := newBackend(t, answers(200, "", "from a"))
	f := start(t, func(cfg *Config) { cfg.MaxHeaderBytes, cfg.ReadHeaderTimeout = 8<<10, upstreamTimeout }, a)
	req, err := http.NewRequest("GET", "http://"+f.Addr()+"/key", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X", strings.Repeat("x", 16<<10))
	if got := f.send(req); got.status != 431 {
		t.Errorf("large header: got %+v, want 431", got)
	}
	// The reply to half a header is the close after the time-out; rawExchange fails if it does not come.
	if got := f.rawExchange("GET /key HTTP/1.1\r\nHost: "); strings.Contains(got, " 200 ") {
		t.Errorf("half a header: got %q", got)
	}
	if n := len(a.requests()); n != 0 {
		t.Errorf("requests at a: got %d, want 0", n)
	}
}

func testShutdown(t *testing.T) {
	t.Run("lets a request end", func(t *testing.T) {
		a := newBackend(t, nil)
		let := make(chan struct{})
		a.set(func(conn net.Conn, request string) bool {
			<-let
			return answers(200, "", "late")(conn, request)
		})
		f := start(t, nil, a)
		result := make(chan got, 1)
		go func() { result <- f.do("GET", "/key") }()
		eventually(t, "the request is at a", func() bool { return len(a.requests()) == 1 })
		stopped := make(chan struct{})
		go func() { f.stop(); close(stopped) }()
		eventually(t, "the gateway drains", func() bool { return f.Status().State == "draining" })
		close(let)
		if got := <-result; got.status != 200 || got.body != "late" {
			t.Errorf("got %+v, want the whole reply", got)
		}
		<-stopped
		if !strings.Contains(f.log.String(), `"GET /key HTTP/1.1" 200 4 `) {
			t.Errorf("access log: got %q, want the last request in it", f.log)
		}
		if conn, err := net.Dial("tcp", f.Addr()); err == nil {
			conn.Close()
			t.Error("a connection was accepted after Run")
		}
		if err := f.Run(context.Background()); !errors.Is(err, ErrRunTwice) {
			t.Errorf("second Run: got %v, want ErrRunTwice", err)
		}
	})
	t.Run("does not wait for ever", func(t *testing.T) {
		a := newBackend(t, nil)
		a.set(a.hangs)
		f := start(t, func(cfg *Config) {
			cfg.UpstreamTimeout, cfg.RetryBudget, cfg.ShutdownTimeout = time.Minute, time.Minute, upstreamTimeout
		}, a)
		result := make(chan error, 1)
		go func() {
			_, err := f.client.Get("http://" + f.Addr() + "/key")
			result <- err
		}()
		eventually(t, "the request is at a", func() bool { return len(a.requests()) == 1 })
		f.stop()
		if err := <-result; err == nil {
			t.Error("got a reply, want a cut connection")
		}
	})
}

func TestListenAddresses(t *testing.T) {
	a := newBackend(t, answers(200, "", "from a"))
	dir := t.TempDir()
	path := filepath.Join(dir, "gateway.sock")
	// A socket that a killed process left behind.
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	stale.Close()

	f := start(t, func(cfg *Config) { cfg.Listen, cfg.AdminListen = "unix:"+path, "none" }, a)
	if f.Addr() != "unix:"+path || f.AdminAddr() != "" {
		t.Errorf("addresses: got %q, %q", f.Addr(), f.AdminAddr())
	}
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "GET /key HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
	if reply, err := io.ReadAll(conn); err != nil || !strings.HasPrefix(string(reply), "HTTP/1.1 200 ") {
		t.Errorf("got %q, %v, want 200", reply, err)
	}
	if seen := a.requests(); len(seen) != 1 || strings.Contains(seen[0], "X-Forwarded-For") {
		t.Errorf("upstream saw %q, want one request without X-Forwarded-For", seen)
	}

	cfg := DefaultConfig()
	cfg.Upstreams = []Upstream{DefaultUpstream(a.addr)}
	cfg.Listen = "unix:" + path
	taken, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := taken.Listen(); err == nil {
		t.Error("listen at a socket in use: got no error")
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("keep"), 0o600); err != nil {
		t.Fatal(err)
	}
	if l, err := addr.Listen("unix:" + file); err == nil {
		l.Close()
		t.Error("listen at a plain file: got no error")
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "keep" {
		t.Errorf("plain file: got %q, %v, want it untouched", b, err)
	}
}

func testUpstreamAtUnixSocket(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "node.sock"))
	if err != nil {
		t.Fatal(err)
	}
	a := newBackend(t, answers(200, "", "from a"))
	a.stop()
	a.serve(l)
	f := start(t, func(cfg *Config) {
		quickChecks(cfg)
		cfg.Upstreams[0].Addr = "unix:" + l.Addr().String()
	}, a)
	f.waitReady()
	if got := f.do("GET", "/key"); got.status != 200 || got.body != "from a" {
		t.Errorf("got %+v, want 200 from a", got)
	}
}
