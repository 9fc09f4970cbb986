package bench

import (
	"math"
	"testing"
)

func TestTargets(t *testing.T) {
	alone := placement{name: "pinned"}
	core, protocols, gateway := &match{group: "core", place: alone}, &match{group: "protocols", place: alone}, &match{group: "gateway", place: freely}
	r := &Report{}
	add := func(m *match, name, server string, ops, cpu, p99, other float64) {
		r.add(m, name, server, &Result{OpsPerSecond: ops, ServerCPUMicros: cpu, P99Micros: p99, OtherCores: other})
	}
	add(core, "P=1", "memcached -t 1", 100, 12, 500, 0)
	add(core, "P=1", "futago", 110, 10, 400, 0)
	add(core, "P=16", "memcached -t 1", 100, 5, 900, 0)
	add(core, "P=16", "redis", 400, 2, 300, 0)
	add(core, "P=16", "futago", 480, 1, 1000, 0)
	add(protocols, "tyrant P=1", "memcached -t 1", 100, 12, 600, 0)
	add(protocols, "tyrant P=1", "futago", 128, 12, 200, 0.5)
	add(gateway, "GET", "nginx, keepalive", 100, 1, 1, 0)
	add(gateway, "GET", "futago gateway", 60, 1, 2, 0)
	want := []TargetFigure{
		{Case: "core P=1, pinned", Of: "ops/s", Peer: "memcached -t 1", Ratio: 1.1, Quiet: true, Reached: "must"},
		{Case: "core P=1, pinned", Of: "CPU us", Peer: "memcached -t 1", Ratio: 1.2, Quiet: true, Reached: "aim"},
		{Case: "core P=16, pinned", Of: "ops/s", Peer: "memcached -t 1", Ratio: 4.8, Quiet: true, Reached: "no"},
		{Case: "core P=16, pinned", Of: "ops/s", Peer: "redis", Ratio: 1.2, Quiet: true, Reached: "no"},
		// 1.28 times memcached is twice a server that has 0.64 of it.
		{Case: "protocols tyrant P=1, pinned", Of: "ops/s", Peer: "ttserver, taken as 0.64 x memcached -t 1", Ratio: 2, Reached: "aim"},
		{Case: "gateway GET, free", Of: "ops/s", Peer: "nginx, keepalive", Ratio: 0.6, Quiet: true, Reached: "must"},
		{Case: "every case, worst: core P=16, pinned", Of: "p99 us", Peer: "memcached -t 1", Ratio: 0.9, Quiet: true, Reached: "no"},
	}
	got := r.targets()
	if len(got) != len(want) {
		t.Fatalf("got %d targets, want %d: %+v", len(got), len(want), got)
	}
	for i, w := range want {
		g := got[i]
		if math.Abs(g.Ratio-w.Ratio) > 1e-9 {
			t.Errorf("%s, %s, %s: got ratio %g want %g", w.Case, w.Of, w.Peer, g.Ratio, w.Ratio)
		}
		w.Must, w.Aim, w.Ratio = g.Must, g.Aim, g.Ratio
		if g != w {
			t.Errorf("got %+v want %+v", g, w)
		}
	}
}
