package node

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/futago/futago/internal/observe"
)

// The past of a node in figures: one sample a second for ten minutes, one a minute for a day. It lies in memory, half a megabyte
// at most, and ends with the process.

// rateNames are figures that only rise; a sample has what they rose by in a second.
var rateNames = [...]string{
	"gets", "sets", "deletes", "arithmetic", "touches", "other", "hits", "misses", "read_bytes", "written_bytes",
}

// gaugeNames are figures as they were at the end of a sample; NaN where there is none.
var gaugeNames = [...]string{
	"connections", "items", "memory_anonymous_bytes", "memory_mapped_bytes", "memory_bounded_bytes", "log_bytes", "live_bytes",
	"disk_free_bytes", "lag_entries", "lag_seconds", "follower_lag_entries",
}

// timeNames are quantiles of the times of a sample, in seconds; NaN where there were none. The first three are of requests, of which a
// sample is timed.
var timeNames = [...]string{
	"latency_p50_seconds", "latency_p99_seconds", "latency_p999_seconds", "latency_round_p99_seconds", "latency_ack_p99_seconds",
}

// tickEarly is how much earlier than it is due a sample may be made.
const tickEarly = 100 * time.Millisecond

// reading is what the node's figures are at one moment.
type reading struct {
	at     time.Time
	rates  [len(rateNames)]float64 // since the start
	gauges [len(gaugeNames)]float64

	requests, rounds, gate observe.Times // since the start
}

// times are the quantiles of what came after an earlier reading, in the order of their names.
func (r *reading) times(earlier *reading) [len(timeNames)]float64 {
	requests, rounds, gate := r.requests.Since(&earlier.requests), r.rounds.Since(&earlier.rounds), r.gate.Since(&earlier.gate)
	return [...]float64{
		requests.Quantile(0.5), requests.Quantile(0.99), requests.Quantile(0.999), rounds.Quantile(0.99), gate.Quantile(0.99),
	}
}

// sample is one point of the past.
type sample struct {
	at     int64 // milliseconds since 1970
	values [len(rateNames) + len(gaugeNames) + len(timeNames)]float64
}

// series are the last samples, at least step apart.
type series struct {
	step    time.Duration
	max     int
	last    reading // that the last sample was made of
	samples []sample
	oldest  int // index of the oldest one, once there are max
}

// take makes a sample of a reading if one is due.
func (s *series) take(r reading) {
	passed := r.at.Sub(s.last.at)
	if first := s.last.at.IsZero(); first || passed < s.step-tickEarly {
		if first {
			s.last = r
		}
		return
	}
	next := sample{at: r.at.UnixMilli()}
	for i := range rateNames {
		next.values[i] = max(r.rates[i]-s.last.rates[i], 0) / passed.Seconds()
	}
	copy(next.values[len(rateNames):], r.gauges[:])
	times := r.times(&s.last)
	copy(next.values[len(rateNames)+len(gaugeNames):], times[:])
	s.last = r
	if len(s.samples) < s.max {
		s.samples = append(s.samples, next)
		return
	}
	s.samples[s.oldest] = next
	s.oldest = (s.oldest + 1) % s.max
}

// after are the samples after a time in milliseconds since 1970, in order.
func (s *series) after(at int64) (list []sample) {
	for i := range s.samples {
		if one := s.samples[(s.oldest+i)%len(s.samples)]; one.at > at {
			list = append(list, one)
		}
	}
	return list
}

// history is the past in both steps.
type history struct {
	mu      sync.Mutex
	seconds series
	minutes series
}

func newHistory() history {
	return history{seconds: series{step: time.Second, max: 600}, minutes: series{step: time.Minute, max: 1440}}
}

func (h *history) take(r reading) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.seconds.take(r)
	h.minutes.take(r)
}

// watchFigures fills the history until the node stops.
func (n *Node) watchFigures() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var slow slowWatch
	for {
		r := n.read()
		n.history.take(r)
		if n.recent.take(r.at, n.server.Latencies) {
			n.server.BigKeys() // what is gone must not keep the places of what is there
		}
		slow.look(n, r.at)
		select {
		case <-n.stopping:
			return
		case <-tick.C:
		}
	}
}

// read takes the figures of now, in the order of their names.
func (n *Node) read() reading {
	c, s := n.server.Stats(), n.store.Stats()
	other := c.Ops - min(c.Ops, c.Gets+c.Sets+c.Deletes+c.Arithmetic+c.Touches)
	r := reading{at: time.Now()}
	for i, v := range [...]uint64{c.Gets, c.Sets, c.Deletes, c.Arithmetic, c.Touches, other, c.Hits, c.Misses, c.BytesRead, c.BytesWritten} {
		r.rates[i] = float64(v)
	}
	l := n.server.Latencies()
	r.requests, r.rounds, r.gate = l.All, l.Rounds, l.Gate
	none := math.NaN()
	anonymous, mapped, free := none, none, none
	if m := readMemory(); m != nil {
		anonymous, mapped = float64(m.Anonymous), float64(m.Mapped)
	}
	if d := n.disk(); d != nil {
		free = float64(d.Free)
	}
	entries, seconds, follower := none, none, none
	for _, l := range n.pullers() {
		st := l.Status()
		entries, seconds = most(entries, float64(st.LagEntries)), most(seconds, st.LagSeconds)
	}
	if n.source != nil {
		for _, f := range n.source.Followers() {
			follower = most(follower, float64(f.Lag))
		}
	}
	r.gauges = [...]float64{
		float64(c.CurrConnections), float64(s.Items), anonymous, mapped, float64(s.MemoryBytes), float64(s.LogBytes), float64(s.Bytes),
		free, entries, seconds, follower,
	}
	return r
}

// most is the larger of two figures, of which the first may be none.
func most(a, b float64) float64 {
	if math.IsNaN(a) {
		return b
	}
	return max(a, b)
}

// serveHistory tells the past in columns: of seconds, or with step=60 of minutes, as far as it is newer than after, which is in
// milliseconds since 1970.
func (n *Node) serveHistory(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	h := &n.history
	s := &h.seconds
	switch query.Get("step") {
	case "", "1":
	case "60":
		s = &h.minutes
	default:
		return httpError{http.StatusBadRequest, fmt.Errorf("step %q: want 1 or 60, seconds", query.Get("step"))}
	}
	var after int64
	if text := query.Get("after"); text != "" {
		var err error
		if after, err = strconv.ParseInt(text, 10, 64); err != nil {
			return httpError{http.StatusBadRequest, fmt.Errorf("after %q: want milliseconds since 1970", text)}
		}
	}
	h.mu.Lock()
	samples := s.after(after)
	h.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, err := w.Write(appendHistory(nil, s.step, samples))
	return err
}

// appendHistory writes the samples as JSON: an array for each figure. What has never had a value is left out.
func appendHistory(b []byte, step time.Duration, samples []sample) []byte {
	b = fmt.Appendf(b, `{"step_seconds":%d,"time_ms":[`, int(step.Seconds()))
	for i := range samples {
		b = strconv.AppendInt(comma(b, i), samples[i].at, 10)
	}
	b = append(b, ']')
	column := func(name string, at int, grain float64) {
		begin := len(b)
		b = fmt.Appendf(b, `,%q:[`, name)
		known := false
		for i := range samples {
			v := samples[i].values[at]
			if b = comma(b, i); math.IsNaN(v) {
				b = append(b, "null"...)
				continue
			}
			known = true
			b = strconv.AppendFloat(b, math.Round(v*grain)/grain, 'f', -1, 64)
		}
		if b = append(b, ']'); !known {
			b = b[:begin]
		}
	}
	for i, name := range rateNames {
		column(name+"_per_second", i, 1e3)
	}
	for i, name := range gaugeNames {
		column(name, len(rateNames)+i, 1e3)
	}
	for i, name := range timeNames {
		column(name, len(rateNames)+len(gaugeNames)+i, 1e9)
	}
	return append(b, '}')
}

func comma(b []byte, i int) []byte {
	if i > 0 {
		return append(b, ',')
	}
	return b
}
