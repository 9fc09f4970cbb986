package observe

import (
	"encoding/json"
	"math"
	"testing"
	"time"
)

// at is a reading some time after the beginning, at which every figure that rises has risen by perSecond a second.
func at(seconds, perSecond float64) Reading {
	r := Reading{At: time.Unix(1_800_000_000, 0).Add(time.Duration(seconds * float64(time.Second))), Times: make([]Times, 1)}
	for range testFigures.Rates {
		r.Rates = append(r.Rates, 1000+seconds*perSecond)
	}
	for range testFigures.Gauges {
		r.Gauges = append(r.Gauges, seconds)
	}
	return r
}

var testFigures = Figures{
	Rates: []string{"gets", "sets"}, Gauges: []string{"items", "bytes", "never", "later"}, Quantiles: []Quantile{{Name: "p50", Share: 0.5}},
}

func TestHistoryKeepsTheLast(t *testing.T) {
	h := History{seconds: series{figures: &testFigures, step: time.Second, max: 5}, minutes: series{figures: &testFigures, step: time.Minute, max: 3}}
	for s := range 301 {
		h.Take(at(float64(s), 7))
	}
	list := h.seconds.after(0)
	if len(list) != 5 || cap(h.seconds.samples) > 8 {
		t.Fatalf("seconds: got %d samples with room for %d, want the last 5", len(list), cap(h.seconds.samples))
	}
	for i, s := range list {
		if want := at(float64(296+i), 0); s.at != want.At.UnixMilli() || s.values[0] != 7 || s.values[len(testFigures.Rates)] != float64(296+i) {
			t.Errorf("sample %d: got time %d, rate %v, gauge %v", i, s.at, s.values[0], s.values[len(testFigures.Rates)])
		}
	}
	if list = h.minutes.after(0); len(list) != 3 || list[2].at != at(300, 0).At.UnixMilli() || list[0].values[0] != 7 {
		t.Errorf("minutes: got %+v", list)
	}
	if list = h.seconds.after(at(298, 0).At.UnixMilli()); len(list) != 2 {
		t.Errorf("after the third: got %d samples, want 2", len(list))
	}
}

// Ticks come early and late; what is not due is passed over, a figure that fell does not go below 0.
func TestHistoryOddTicks(t *testing.T) {
	s := series{figures: &testFigures, step: time.Second, max: 10}
	s.take(at(0, 10))
	s.take(at(0.5, 10))
	s.take(at(0.95, 10))
	s.take(at(4.95, 10))
	fallen := at(6, 10)
	fallen.Rates[0] = 0
	s.take(fallen)
	list := s.after(0)
	if len(list) != 3 || math.Abs(list[0].values[0]-10) > 1e-9 || math.Abs(list[1].values[0]-10) > 1e-9 || list[2].values[0] != 0 {
		t.Errorf("got %+v", list)
	}
}

func TestHistoryDocument(t *testing.T) {
	r := at(1, 3)
	r.Gauges[2], r.Gauges[3] = math.NaN(), math.NaN()
	s := series{figures: &testFigures, step: time.Second, max: 10}
	s.take(at(0, 3))
	s.take(r)
	r = at(2, 3)
	r.Gauges[2] = math.NaN()
	s.take(r)
	var doc map[string]any
	if err := json.Unmarshal(testFigures.document(s.step, s.after(0)), &doc); err != nil {
		t.Fatal(err)
	}
	if doc["step_seconds"] != 1.0 || len(doc["time_ms"].([]any)) != 2 || doc["gets_per_second"].([]any)[1] != 3.0 {
		t.Errorf("got %v", doc)
	}
	if _, ok := doc[testFigures.Gauges[2]]; ok {
		t.Error("a figure that never was is in the document")
	}
	if half := doc[testFigures.Gauges[3]].([]any); half[0] != nil || half[1] != 2.0 {
		t.Errorf("a figure that came later: got %v", half)
	}
}
