package observe

import (
	"fmt"
	"math"
	"net/url"
	"strconv"
	"sync"
	"time"
)

// Figures are the names of what a History tells.
type Figures struct {
	// Rates are figures that only rise; a sample has what they rose by in a second, as NAME_per_second.
	Rates []string
	// Gauges are figures as they were at the end of a sample.
	Gauges []string
	// Quantiles are of the times in a sample.
	Quantiles []Quantile
}

// Quantile is a figure of times.
type Quantile struct {
	Name  string
	Of    int     // in Reading.Times
	Share float64 // 0 to 1
}

func (f *Figures) count() int { return len(f.Rates) + len(f.Gauges) + len(f.Quantiles) }

// Reading is what figures are at one moment, in the order of their names.
type Reading struct {
	At     time.Time
	Rates  []float64 // since the start
	Gauges []float64 // NaN where there is none
	Times  []Times   // since the start
}

// sample is one point of the past.
type sample struct {
	at     int64     // milliseconds since 1970
	values []float64 // rates, gauges, quantiles
}

// series are the last samples, at least step apart.
type series struct {
	figures *Figures
	step    time.Duration
	max     int
	last    Reading // that the last sample was made of
	samples []sample
	oldest  int // index of the oldest one, once there are max
}

// tickEarly is how much earlier than it is due a sample may be made.
const tickEarly = 100 * time.Millisecond

// take makes a sample of a reading if one is due.
func (s *series) take(r Reading) {
	passed := r.At.Sub(s.last.At)
	if first := s.last.At.IsZero(); first || passed < s.step-tickEarly {
		if first {
			s.last = r
		}
		return
	}
	next := sample{at: r.At.UnixMilli(), values: make([]float64, 0, s.figures.count())}
	for i := range s.figures.Rates {
		next.values = append(next.values, max(r.Rates[i]-s.last.Rates[i], 0)/passed.Seconds())
	}
	next.values = append(next.values, r.Gauges...)
	for _, q := range s.figures.Quantiles {
		times := r.Times[q.Of].Since(&s.last.Times[q.Of])
		next.values = append(next.values, times.Quantile(q.Share))
	}
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

// History is the past of a process in figures: one sample a second for ten minutes, one a minute for a day. It lies in memory, half
// a megabyte at most, and ends with the process. It is safe for concurrent use.
type History struct {
	mu      sync.Mutex
	seconds series
	minutes series
}

// NewHistory returns an empty one.
func NewHistory(f Figures) *History {
	return &History{seconds: series{figures: &f, step: time.Second, max: 600}, minutes: series{figures: &f, step: time.Minute, max: 1440}}
}

// Take adds a reading, of which nothing may be changed afterwards; once a second.
func (h *History) Take(r Reading) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.seconds.take(r)
	h.minutes.take(r)
}

// Document tells the past in columns, as JSON: of seconds, or with step=60 of minutes, as far as it is newer than after, which is in
// milliseconds since 1970. An error says what is wrong with the query.
func (h *History) Document(query url.Values) ([]byte, error) {
	s := &h.seconds
	switch query.Get("step") {
	case "", "1":
	case "60":
		s = &h.minutes
	default:
		return nil, fmt.Errorf("step %q: want 1 or 60, seconds", query.Get("step"))
	}
	var after int64
	if text := query.Get("after"); text != "" {
		var err error
		if after, err = strconv.ParseInt(text, 10, 64); err != nil {
			return nil, fmt.Errorf("after %q: want milliseconds since 1970", text)
		}
	}
	h.mu.Lock()
	samples := s.after(after)
	h.mu.Unlock()
	return s.figures.document(s.step, samples), nil
}

// document writes the samples: an array for each figure. What has never had a value is left out.
func (f *Figures) document(step time.Duration, samples []sample) []byte {
	b := fmt.Appendf(nil, `{"step_seconds":%d,"time_ms":[`, int(step.Seconds()))
	for i := range samples {
		b = strconv.AppendInt(comma(b, i), samples[i].at, 10)
	}
	b = append(b, ']')
	at := 0
	column := func(name string, grain float64) {
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
		at++
	}
	for _, name := range f.Rates {
		column(name+"_per_second", 1e3)
	}
	for _, name := range f.Gauges {
		column(name, 1e3)
	}
	for _, q := range f.Quantiles {
		column(q.Name, 1e9)
	}
	return append(b, '}')
}

func comma(b []byte, i int) []byte {
	if i > 0 {
		return append(b, ',')
	}
	return b
}
