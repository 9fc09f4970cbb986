package proxy

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/futago/futago/internal/front"
)

// responseBuckets are in seconds: a request in one machine room takes a fraction of a millisecond, a time-out a second.
var responseBuckets = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5}

func newLatency() *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "futago_proxy_upstream_response_seconds", Help: "Time from a request to an upstream to its reply.", Buckets: responseBuckets,
	}, []string{"upstream"})
}

// register registers the metrics.
func (p *Proxy) register() (err error) {
	p.gatherer, err = front.Register(p.cfg.Registerer, append(p.guard.Collectors(), p.latency, &collector{p})...)
	return err
}

// collector shows the numbers of the proxy and its upstreams. It reads them when somebody asks, so that /metrics and
// /status cannot differ.
type collector struct{ p *Proxy }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("futago_proxy_"+name, help, labels, nil)
}

var (
	descOpen     = desc("open_connections", "Client connections at present.")
	descAccepted = desc("connections_total", "Client connections accepted.")
	descRefused  = desc("refused_connections_total", "Client connections above the limit.")
	descPending  = desc("pending_bytes", "Memory that large requests and replies take at present.")

	descHeld    = desc("held", "1 while requests wait at the proxy, because an operator holds them.")
	descWaiting = desc("waiting_clients", "Clients whose requests wait because of that.")
	descHolds   = desc("holds_total", "Times that an operator had requests wait.")

	descUp       = desc("upstream_up", "1 while requests go to an upstream.", "upstream")
	descLinks    = desc("upstream_connections", "Connections to an upstream at present.", "upstream")
	descRequests = desc("upstream_requests_total", "Tries at an upstream, repetitions included.", "upstream")
	descFailures = desc("upstream_failures_total", "Tries that an upstream failed.", "upstream")
	descOver     = desc("upstream_failovers_total", "Tries at an upstream after another one had failed the same request.", "upstream")
	descUnknown  = desc("upstream_unknown_effects_total", "Requests lost at an upstream that may have been executed and were not repeated.", "upstream")
	descChecks   = desc("upstream_check_failures_total", "Checks that did not find an upstream ready.", "upstream")
)

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		descOpen, descAccepted, descRefused, descPending, descHeld, descWaiting, descHolds, descUp, descLinks, descRequests, descFailures, descOver, descUnknown, descChecks,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, n float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, n, labels...)
	}
	counter := func(d *prometheus.Desc, n uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	gauge(descOpen, float64(c.p.open.Load()))
	counter(descAccepted, c.p.accepted.Load())
	counter(descRefused, c.p.refused.Load())
	gauge(descPending, float64(c.p.pending.Load()))
	held := 0.0
	if c.p.holds.present.Load() != nil {
		held = 1
	}
	gauge(descHeld, held)
	gauge(descWaiting, float64(c.p.holds.waiting.Load()))
	counter(descHolds, c.p.holds.total.Load())
	for _, u := range c.p.group.Load().upstreams {
		s := u.status()
		up := 0.0
		if s.State == "up" {
			up = 1
		}
		gauge(descUp, up, u.Addr)
		gauge(descLinks, float64(s.Connections), u.Addr)
		counter(descRequests, s.Requests, u.Addr)
		counter(descFailures, s.Failures, u.Addr)
		counter(descOver, s.Failovers, u.Addr)
		counter(descUnknown, s.UnknownEffects, u.Addr)
		counter(descChecks, u.checkFailures.Load(), u.Addr)
	}
}
