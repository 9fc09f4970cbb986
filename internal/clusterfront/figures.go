package clusterfront

import (
	"math"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/futago/futago/internal/observe"
)

// figures are what the past of a front is told in. Those that a node has too have the same names.
var figures = observe.Figures{
	Rates: []string{
		"gets", "sets", "deletes", "arithmetic", "touches", "other", "hits", "misses", "read_bytes", "written_bytes", "unknown", "unreached", "repeated",
	},
	Gauges: []string{"connections"},
	Quantiles: []observe.Quantile{
		{Name: "latency_p50_seconds", Share: 0.5}, {Name: "latency_p99_seconds", Share: 0.99}, {Name: "latency_p999_seconds", Share: 0.999},
	},
}

// recentSpan is how long ago the figures of Status begin.
const recentSpan = 10 * time.Second

// past is what a front remembers of its figures.
type past struct {
	*observe.History
	// present is what Status tells of the last seconds; nil before the first.
	present atomic.Pointer[present]
}

// present are figures of the last seconds.
type present struct {
	requests float64 // a second
	p50, p99 float64 // in seconds; NaN when none was timed
}

// moment is what present compares.
type moment struct {
	at    time.Time
	ops   uint64
	times observe.Times
}

// watchFigures fills the past until done is closed.
func (f *Front) watchFigures(done <-chan struct{}) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var moments []moment // up to recentSpan back
	for {
		c, n, l, now := f.server.Stats(), f.store.Counts(), f.server.Latencies(), time.Now()
		r := observe.Reading{At: now, Gauges: []float64{float64(c.CurrConnections)}, Times: []observe.Times{l.All}}
		other := c.Ops - min(c.Ops, c.Gets+c.Sets+c.Deletes+c.Arithmetic+c.Touches)
		for _, v := range [...]uint64{
			c.Gets, c.Sets, c.Deletes, c.Arithmetic, c.Touches, other, c.Hits, c.Misses, c.BytesRead, c.BytesWritten, n.Unknown, n.Unreached, n.Repeated,
		} {
			r.Rates = append(r.Rates, float64(v))
		}
		f.past.Take(r)
		if moments = append(moments, moment{now, c.Ops, l.All}); len(moments) > int(recentSpan/time.Second) {
			moments = append(moments[:0], moments[1:]...)
		}
		if first := &moments[0]; now.After(first.at) {
			times := l.All.Since(&first.times)
			rate := float64(c.Ops-min(first.ops, c.Ops)) / now.Sub(first.at).Seconds() // stats reset begins at 0
			f.past.present.Store(&present{rate, times.Quantile(0.5), times.Quantile(0.99)})
		}
		select {
		case <-done:
			return
		case <-tick.C:
		}
	}
}

// tell puts the figures of the last seconds into a status.
func (p *past) tell(s *Status) {
	now := p.present.Load()
	if now == nil {
		return
	}
	s.RequestsPerSecond = known(now.requests)
	s.LatencyP50Seconds, s.LatencyP99Seconds = known(now.p50), known(now.p99)
}

// known is nil for what there is not.
func known(v float64) *float64 {
	if math.IsNaN(v) {
		return nil
	}
	return &v
}

// serveHistory tells the past as a node does.
func (f *Front) serveHistory(w http.ResponseWriter, r *http.Request) {
	document, err := f.past.Document(r.URL.Query())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(document) // a reader that is gone
}
