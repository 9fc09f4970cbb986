package observe

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	// slowKept is how many slow requests are remembered.
	slowKept = 128
	// slowKey bounds what is remembered of a key, bytes.
	slowKey = 128
)

// Wait is what a slow request waited for.
type Wait uint8

const (
	ForExecution Wait = iota // its own execution
	ForLog                   // the system took what was written to the log
	ForGate                  // disk or peer, before its reply might leave
	Waits                    // how many there are
)

// String is the name in documents and metrics.
func (w Wait) String() string { return [...]string{"execution", "log", "ack"}[w] }

// Slow is one note: a request, or a few that were executed together and of which this was the last.
type Slow struct {
	At       time.Time     `json:"time"` // when it was over
	Took     time.Duration `json:"-"`
	Seconds  float64       `json:"seconds"`
	Waited   Wait          `json:"-"`
	Reason   string        `json:"waited_for"`
	Command  string        `json:"command"`
	Key      []byte        `json:"key,omitempty"`      // its first 128 bytes; nil where the command has none
	KeySize  int           `json:"key_size,omitempty"` // of the whole
	Client   string        `json:"client,omitempty"`   // network:address
	Bytes    int           `json:"bytes"`              // of requests and replies
	Requests int           `json:"requests"`           // that took so long together, at least 1
}

// SlowLog remembers the last slow requests. The zero value remembers none.
type SlowLog struct {
	threshold atomic.Int64 // nanoseconds
	counts    [Waits]atomic.Uint64

	mu   sync.Mutex
	ring [slowKept]Slow // the keys are memory of its own
	n    uint64         // ever noted
}

// Threshold is the time from which on a request is slow; 0: none is.
func (l *SlowLog) Threshold() time.Duration { return time.Duration(l.threshold.Load()) }

// SetThreshold changes that. What is remembered stays.
func (l *SlowLog) SetThreshold(d time.Duration) { l.threshold.Store(int64(max(d, 0))) }

// Count is how many waited so for something since the start.
func (l *SlowLog) Count(w Wait) uint64 { return l.counts[w].Load() }

// Note remembers a slow request. The key is not kept.
func (l *SlowLog) Note(s Slow) {
	l.counts[s.Waited].Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	place := &l.ring[l.n%slowKept]
	l.n++
	key := append(place.Key[:0], s.Key[:min(len(s.Key), slowKey)]...)
	if s.KeySize == 0 {
		s.KeySize = len(s.Key)
	}
	s.Seconds, s.Reason, s.Requests = s.Took.Seconds(), s.Waited.String(), max(s.Requests, 1)
	*place = s
	place.Key = key
}

// Recent returns copies of what is remembered, the newest first, at most limit.
func (l *SlowLog) Recent(limit int) []Slow {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := make([]Slow, 0, min(l.n, slowKept, uint64(max(limit, 0))))
	for i := range uint64(cap(list)) {
		s := l.ring[(l.n-1-i)%slowKept]
		s.Key = append([]byte(nil), s.Key...)
		list = append(list, s)
	}
	return list
}
