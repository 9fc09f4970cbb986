package node

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/futago/futago/internal/observe"
)

// maxHot is how many hot and how many big keys GET /hot names at most.
const maxHot = 100

// SlowDocument is what GET /slow tells.
type SlowDocument struct {
	Node       int               `json:"node"`
	Threshold  float64           `json:"threshold_seconds"` // 0: nothing is noted
	Counts     map[string]uint64 `json:"counts"`            // since the start, by what they waited for
	KeysHidden bool              `json:"keys_hidden"`       // who asks may not read
	Slow       []observe.Slow    `json:"slow"`              // the newest first
}

// HotDocument is what GET /hot tells.
type HotDocument struct {
	Node       int      `json:"node"`
	Sample     int      `json:"sample_requests"` // one request in so many is looked at; 0: none is
	Seconds    float64  `json:"span_seconds"`    // in which the samples were taken
	Samples    uint64   `json:"samples"`
	KeysHidden bool     `json:"keys_hidden"` // who asks may not read
	Hot        []HotKey `json:"hot"`         // the most frequent first
	Big        []BigKey `json:"big"`         // the largest first
}

// HotKey is a key that is asked for often. What it tells is estimated from the samples.
type HotKey struct {
	Key     []byte  `json:"key,omitempty"`
	Share   float64 `json:"share"` // of all keys that were asked for, 0 to 1
	Rate    float64 `json:"per_second"`
	Writes  float64 `json:"write_share"` // of its own requests, 0 to 1
	Samples uint64  `json:"samples"`
}

// BigKey is a key whose value is large.
type BigKey struct {
	Key  []byte `json:"key,omitempty"`
	Size int    `json:"size"` // of the value, bytes
}

// LatencyDocument is what GET /latency tells.
type LatencyDocument struct {
	Node     int                `json:"node"`
	Sample   int                `json:"sample_requests"` // one request in so many is timed; 0: none is
	Seconds  float64            `json:"span_seconds"`    // before now, in which the times were taken
	Commands map[string]Latency `json:"commands"`
	Rounds   Latency            `json:"rounds"`    // of the network loops, each of them
	Gate     Latency            `json:"ack_waits"` // of replies for disk or peer, each that was held
}

// Latency are times in seconds.
type Latency struct {
	Count uint64  `json:"count"`
	P50   float64 `json:"p50_seconds"`
	P99   float64 `json:"p99_seconds"`
	P999  float64 `json:"p999_seconds"`
}

func latencyOf(t observe.Times) Latency {
	q := func(share float64) float64 {
		v := t.Quantile(share)
		if math.IsNaN(v) {
			return 0
		}
		return math.Round(v*1e9) / 1e9
	}
	return Latency{t.Count(), q(0.5), q(0.99), q(0.999)}
}

// shown decides which keys of a list are told to who asks: with users those that the one who asks may read, to an operator without
// that right none.
func (n *Node) shown(r *http.Request) (sees func(key []byte) bool, hidden bool) {
	sees, err := n.reader(r)
	if err != nil {
		return func([]byte) bool { return false }, true
	}
	return sees, false
}

// limitOf reads how many the query wants.
func limitOf(r *http.Request, most int) (int, error) {
	text := r.URL.Query().Get("limit")
	if text == "" {
		return most, nil
	}
	limit, err := strconv.Atoi(text)
	if err != nil || limit < 0 {
		return 0, httpError{http.StatusBadRequest, fmt.Errorf("limit %q: want a number", text)}
	}
	return min(limit, most), nil
}

// serveSlow lists the last slow requests.
func (n *Node) serveSlow(w http.ResponseWriter, r *http.Request) error {
	limit, err := limitOf(r, math.MaxInt32)
	if err != nil {
		return err
	}
	sees, hidden := n.shown(r)
	log := n.server.SlowLog()
	d := SlowDocument{Node: n.cfg.Node, Threshold: log.Threshold().Seconds(), Counts: map[string]uint64{}, KeysHidden: hidden, Slow: log.Recent(limit)}
	for wait := range observe.Waits {
		d.Counts[wait.String()] = log.Count(wait)
	}
	for i := range d.Slow {
		if s := &d.Slow[i]; sees != nil && !sees(s.Key) {
			s.Key = nil
		}
	}
	return writeJSON(w, d)
}

// serveHot lists the keys that are asked for most, and those of the largest values.
func (n *Node) serveHot(w http.ResponseWriter, r *http.Request) error {
	limit, err := limitOf(r, maxHot)
	if err != nil {
		return err
	}
	sees, hidden := n.shown(r)
	tell := func(key []byte) []byte {
		if sees != nil && !sees(key) {
			return nil
		}
		return key
	}
	sample := n.server.HotKeys()
	d := HotDocument{Node: n.cfg.Node, Sample: n.server.SampleRequests(), Seconds: sample.Span.Seconds(), Samples: sample.Total, KeysHidden: hidden,
		Hot: []HotKey{}, Big: []BigKey{}}
	for _, k := range sample.Keys[:min(limit, len(sample.Keys))] {
		count := k.Reads + k.Writes
		d.Hot = append(d.Hot, HotKey{tell(k.Key), float64(count) / float64(sample.Total),
			float64(count) * float64(d.Sample) / max(d.Seconds, 1), float64(k.Writes) / float64(count), count})
	}
	big := n.server.BigKeys()
	for _, k := range big[:min(limit, len(big))] {
		d.Big = append(d.Big, BigKey{tell(k.Key), k.Size})
	}
	return writeJSON(w, d)
}

// serveLatency tells how long requests took in the last half to whole minute.
func (n *Node) serveLatency(w http.ResponseWriter, r *http.Request) error {
	now := n.server.Latencies()
	before, span := n.recent.earlier(time.Now())
	d := LatencyDocument{Node: n.cfg.Node, Sample: n.server.SampleRequests(), Seconds: span.Seconds(), Commands: map[string]Latency{},
		Rounds: latencyOf(now.Rounds.Since(&before.Rounds)), Gate: latencyOf(now.Gate.Since(&before.Gate))}
	for name, t := range now.Commands {
		earlier := before.Commands[name]
		if l := latencyOf(t.Since(&earlier)); l.Count > 0 {
			d.Commands[name] = l
		}
	}
	return writeJSON(w, d)
}
