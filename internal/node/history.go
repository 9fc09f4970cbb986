package node

import (
	"math"
	"net/http"
	"time"

	"github.com/futago/futago/internal/observe"
)

// figures are what the past of a node is told in.
var figures = observe.Figures{
	Rates: []string{"gets", "sets", "deletes", "arithmetic", "touches", "other", "hits", "misses", "read_bytes", "written_bytes"},
	Gauges: []string{
		"connections", "items", "memory_anonymous_bytes", "memory_mapped_bytes", "memory_bounded_bytes", "log_bytes", "live_bytes",
		"disk_free_bytes", "lag_entries", "lag_seconds", "follower_lag_entries",
	},
	// The first three are of requests, of which a sample is timed.
	Quantiles: []observe.Quantile{
		{Name: "latency_p50_seconds", Share: 0.5}, {Name: "latency_p99_seconds", Share: 0.99}, {Name: "latency_p999_seconds", Share: 0.999},
		{Name: "latency_round_p99_seconds", Of: 1, Share: 0.99}, {Name: "latency_ack_p99_seconds", Of: 2, Share: 0.99},
	},
}

// watchFigures fills the history until the node stops.
func (n *Node) watchFigures() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var slow slowWatch
	for {
		r := n.read()
		n.history.Take(r)
		if n.recent.take(r.At, n.server.Latencies) {
			n.server.BigKeys() // what is gone must not keep the places of what is there
		}
		slow.look(n, r.At)
		select {
		case <-n.stopping:
			return
		case <-tick.C:
		}
	}
}

// read takes the figures of now, in the order of their names.
func (n *Node) read() observe.Reading {
	c, s := n.server.Stats(), n.store.Stats()
	other := c.Ops - min(c.Ops, c.Gets+c.Sets+c.Deletes+c.Arithmetic+c.Touches)
	r := observe.Reading{At: time.Now()}
	for _, v := range [...]uint64{c.Gets, c.Sets, c.Deletes, c.Arithmetic, c.Touches, other, c.Hits, c.Misses, c.BytesRead, c.BytesWritten} {
		r.Rates = append(r.Rates, float64(v))
	}
	l := n.server.Latencies()
	r.Times = []observe.Times{l.All, l.Rounds, l.Gate}
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
	r.Gauges = []float64{
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

// serveHistory tells the past.
func (n *Node) serveHistory(w http.ResponseWriter, r *http.Request) error {
	document, err := n.history.Document(r.URL.Query())
	if err != nil {
		return httpError{http.StatusBadRequest, err}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, err = w.Write(document)
	return err
}
