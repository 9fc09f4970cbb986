package gateway

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the gateway's numbers. Those of upstreams are read from the upstreams themselves when somebody asks,
// so that /metrics and /status cannot differ.
type metrics struct {
	requests     *prometheus.CounterVec // by class of status
	byClass      [6]prometheus.Counter  // the same, by first digit
	duration     prometheus.Histogram
	refusals     *prometheus.CounterVec
	byRefusal    map[*refusal]prometheus.Counter
	clientsGone  prometheus.Counter
	truncated    prometheus.Counter
	connsOpen    prometheus.GaugeFunc
	connsRefused prometheus.CounterFunc
	upResponse   *prometheus.HistogramVec
	upstreams    *upstreamCollector
}

// responseBuckets are in seconds: a read in one network takes a millisecond, a time-out a second.
var responseBuckets = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5}

func newMetrics(g *Gateway) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "futago_gateway_requests_total", Help: "Requests answered, by class of status.",
		}, []string{"class"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "futago_gateway_request_duration_seconds", Help: "Time from a request's header to the end of its reply.",
			Buckets: responseBuckets,
		}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "futago_gateway_refused_requests_total", Help: "Requests that the rules did not let through, by reason.",
		}, []string{"reason"}),
		byRefusal: make(map[*refusal]prometheus.Counter),
		clientsGone: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "futago_gateway_clients_gone_total", Help: "Requests whose client did not wait for the answer.",
		}),
		truncated: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "futago_gateway_truncated_replies_total", Help: "Replies cut because the upstream broke off in the body.",
		}),
		connsOpen: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "futago_gateway_open_connections", Help: "Client connections at present.",
		}, func() float64 { return float64(g.conns.open.Load()) }),
		connsRefused: prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "futago_gateway_refused_connections_total", Help: "Client connections above the limit.",
		}, func() float64 { return float64(g.conns.refused.Load()) }),
		upResponse: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "futago_gateway_upstream_response_seconds", Help: "Time from a try at an upstream to its reply's header.",
			Buckets: responseBuckets,
		}, []string{"upstream"}),
		upstreams: &upstreamCollector{g: g},
	}
	for class := 1; class < len(m.byClass); class++ {
		m.byClass[class] = m.requests.WithLabelValues(strconv.Itoa(class) + "xx")
	}
	for _, r := range refusals {
		m.byRefusal[r] = m.refusals.WithLabelValues(r.reason)
	}
	return m
}

func (m *metrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{
		m.requests, m.duration, m.refusals, m.clientsGone, m.truncated, m.connsOpen, m.connsRefused, m.upResponse, m.upstreams,
	}
}

func (m *metrics) refused(r *refusal) { m.byRefusal[r].Inc() }

// finished counts a request that is over.
func (m *metrics) finished(ex *exchange, end time.Time) {
	if ex.status == statusClientGone {
		m.clientsGone.Inc()
		return
	}
	if class := ex.status / 100; class >= 1 && class < len(m.byClass) {
		m.byClass[class].Inc()
	}
	m.duration.Observe(end.Sub(ex.start).Seconds())
}

// upstreamCollector shows the counters and the state of each upstream.
type upstreamCollector struct{ g *Gateway }

func upstreamDesc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("futago_gateway_upstream_"+name, help, append([]string{"upstream"}, labels...), nil)
}

var (
	descRequests = upstreamDesc("requests_total", "Tries at an upstream, retries included.")
	descFailures = upstreamDesc("failures_total", "Tries that an upstream failed.")
	descRetries  = upstreamDesc("retries_total", "Tries at an upstream after another one had failed the same request.")
	descChecks   = upstreamDesc("check_failures_total", "Active checks that did not find an upstream ready.")
	descWeight   = upstreamDesc("effective_weight_ratio", "Share of its weight that an upstream has at present.")
	descState    = upstreamDesc("state", "1 at the state that an upstream is in, 0 at the others.", "state")
)

// Describe implements prometheus.Collector.
func (c *upstreamCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descRequests, descFailures, descRetries, descChecks, descWeight, descState} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *upstreamCollector) Collect(ch chan<- prometheus.Metric) {
	gr := c.g.group.Load()
	views := gr.balancer.view()
	for i, u := range gr.upstreams {
		counter := func(d *prometheus.Desc, n uint64) {
			ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), u.Addr)
		}
		counter(descRequests, u.requests.Load())
		counter(descFailures, u.failures.Load())
		counter(descRetries, u.retries.Load())
		counter(descChecks, u.checkFailures.Load())
		ratio := float64(views[i].effective) / float64(views[i].weight)
		ch <- prometheus.MustNewConstMetric(descWeight, prometheus.GaugeValue, ratio, u.Addr)
		for state, name := range peerStates {
			value := 0.0
			if views[i].state == peerState(state) {
				value = 1
			}
			ch <- prometheus.MustNewConstMetric(descState, prometheus.GaugeValue, value, u.Addr, name)
		}
	}
}
