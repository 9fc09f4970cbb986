package main

import "time"

const (
	// meterWindow is the time over which a meter averages.
	meterWindow = 2 * time.Second
	// meterPoints is how many points a history has, one for each second.
	meterPoints = 60
)

// meter turns samples of a rising counter into a rate and its history. The zero value is ready.
type meter struct {
	samples []meterSample // oldest first
	points  []float64     // oldest first
}

type meterSample struct {
	at    time.Time
	count uint64
}

// add takes the counter's value at a time. A counter that falls was set back: what was known of it is forgotten.
func (m *meter) add(at time.Time, count uint64) {
	if n := len(m.samples); n > 0 && (count < m.samples[n-1].count || !at.After(m.samples[n-1].at)) {
		m.samples = m.samples[:0]
	}
	m.samples = append(m.samples, meterSample{at, count})
	for len(m.samples) > 2 && at.Sub(m.samples[1].at) >= meterWindow {
		m.samples = m.samples[1:]
	}
}

// reset forgets the samples: the next one is of another counter. The history stays.
func (m *meter) reset() { m.samples = m.samples[:0] }

// rate is the counter's rise in a second, 0 while it is not known.
func (m *meter) rate() float64 {
	n := len(m.samples)
	if n < 2 {
		return 0
	}
	first, last := m.samples[0], m.samples[n-1]
	return float64(last.count-first.count) / last.at.Sub(first.at).Seconds()
}

// tick adds the present rate to the history. It must be called once a second.
func (m *meter) tick() {
	m.points = append(m.points, m.rate())
	if n := len(m.points); n > meterPoints {
		m.points = append(m.points[:0], m.points[n-meterPoints:]...)
	}
}

// history returns a copy of the points, oldest first; never nil.
func (m *meter) history() []float64 { return append([]float64{}, m.points...) }
