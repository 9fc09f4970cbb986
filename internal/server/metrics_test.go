package server

import (
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func TestMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	s := startServer(t, openStore(t, nil), func(c *Config) { c.Registerer, c.SampleRequests = registry, 1 })
	c := dial(t, s)
	c.send("set a 0 0 1\r\nx\r\nget a b\r\nincr a 1\r\nstats reset\r\n")
	c.expect("STORED\r\nVALUE a 0 1\r\nx\r\nEND\r\nCLIENT_ERROR cannot increment or decrement non-numeric value\r\nRESET\r\n")
	if status, _, _ := dial(t, s).roundTrip(get("/a", ""), ""); status != 200 {
		t.Fatalf("GET: got %d, want 200", status)
	}
	eventually(t, "the loop has counted", func() bool { return s.sum()[getMisses] > 0 && s.sum()[httpGet] > 0 })
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	got := map[string]float64{}
	for _, f := range families {
		names = append(names, strings.TrimPrefix(strings.TrimPrefix(f.GetName(), "futago_"), "server_"))
		for _, m := range f.GetMetric() {
			key := f.GetName()
			for _, l := range m.GetLabel() {
				key += " " + l.GetValue()
			}
			got[key] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	want := []string{
		"ack_wait_seconds", "command_duration_seconds", "round_duration_seconds", "authentications_total", "connections", "connections_accepted_total", "connections_rejected_total", "denied_total",
		"held_replies_total", "http_requests_total", "lookups_total", "pending_bytes", "read_bytes_total", "requests_total", "timeouts_total",
		"tls_handshakes_total", "written_bytes_total", "slow_requests_total",
	}
	if !slices.Equal(names, want) {
		t.Errorf("names: got %q, want %q", names, want)
	}
	for key, want := range map[string]float64{
		"futago_server_connections": 2, "futago_server_requests_total get": 3, "futago_server_requests_total set": 1,
		"futago_server_lookups_total get hit": 2, "futago_server_lookups_total get miss": 1, "futago_server_http_requests_total get": 1,
	} {
		if got[key] != want {
			t.Errorf("%s: got %v, want %v", key, got[key], want)
		}
	}
	if st := s.Stats(); st.Gets != 3 || st.Sets != 1 || st.Hits != 2 || st.Misses != 1 || st.Ops < 5 || st.CurrConnections != 2 {
		t.Errorf("Stats: got %+v", st)
	}
	s.Close()
	if families, err := registry.Gather(); err != nil || len(families) != 0 {
		t.Errorf("after Close: got %d families and %v, want none", len(families), err)
	}
}

func TestNewChecksItsConfig(t *testing.T) {
	st := openStore(t, nil)
	for name, change := range map[string]func(*Config){
		"no listener":      func(c *Config) { c.Listen = nil },
		"no connections":   func(c *Config) { c.MaxConns = 0 },
		"no value":         func(c *Config) { c.MaxValue = 0 },
		"no pending":       func(c *Config) { c.MaxPending = 0 },
		"no total pending": func(c *Config) { c.MaxPendingTotal = 0 },
		"no first byte":    func(c *Config) { c.FirstByteTimeout = 0 },
		"no request":       func(c *Config) { c.RequestTimeout = 0 },
		"no certificate":   func(c *Config) { c.Listen[0].TLS = OptionalTLS },
	} {
		cfg := testConfig(t, "127.0.0.1:0")
		change(&cfg)
		if _, err := New(cfg, st); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
	cfg := testConfig(t, "127.0.0.1:0")
	first, err := New(cfg, st)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if err := first.Listen(); err != nil {
		t.Fatal(err)
	}
	cfg = testConfig(t, first.Addrs()[0])
	second, err := New(cfg, st)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if err := second.Listen(); err == nil || !strings.Contains(err.Error(), "listen on 127.0.0.1") {
		t.Errorf("listen on a taken port: got %v, want an error that names it", err)
	}
}
