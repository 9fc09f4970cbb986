package rediscluster

import (
	"context"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/futago/futago/internal/store"
)

// counts are events since the start.
type counts struct {
	repeated  atomic.Uint64 // commands that were repeated because they had not been executed
	unknown   atomic.Uint64 // operations that ended with store.ErrUnknown
	unreached atomic.Uint64 // failures that became store.ErrUnreached
	swept     atomic.Uint64 // dead records that were removed
}

// Counts are figures for metrics, since the start.
type Counts struct{ Repeated, Unknown, Unreached, Swept uint64 }

// Counts reads them.
func (s *Store) Counts() Counts {
	return Counts{s.counts.repeated.Load(), s.counts.unknown.Load(), s.counts.unreached.Load(), s.counts.swept.Load()}
}

// Health is what is known of the cluster now.
type Health struct {
	Masters []string // addresses
	Nodes   []string // ids of all nodes, replicas too
	Slots   int      // that a master has
	Moving  bool     // slots are being moved
	Err     error    // why nothing is known
}

// Health asks the cluster.
func (s *Store) Health(ctx context.Context) Health {
	if err := s.whyUnconnected(); err != nil {
		return Health{Err: err}
	}
	all, err := s.ask(ctx)
	h := Health{Nodes: all.nodes, Slots: all.covers, Moving: all.moving, Err: err}
	for _, m := range all.list {
		h.Masters = append(h.Masters, m.addr)
	}
	return h
}

// statsAge is for how long figures of the cluster are given again.
const statsAge = time.Second

// Stats are the figures of the masters: all keys that they have, whoever wrote them, and the memory that they take.
func (s *Store) Stats() store.Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.counted) < statsAge {
		return s.stats
	}
	ctx, cancel := context.WithTimeout(s.ctx, s.cfg.Timeout)
	defer cancel()
	all, err := s.topology(ctx)
	s.counted = time.Now() // also after a failure: those who wait for their turn must not fail one after the other
	if err != nil {
		return s.stats
	}
	s.stats = store.Stats{}
	for _, m := range all.list {
		if n, err := m.client.Do(ctx, m.client.B().Dbsize().Build()).AsInt64(); err == nil {
			s.stats.Items += n
		}
		if text, err := m.client.Do(ctx, m.client.B().Info().Section("memory").Build()).ToString(); err == nil {
			s.stats.Bytes += infoNumber(text, "used_memory_dataset")
			s.stats.LogBytes += infoNumber(text, "used_memory")
		}
	}
	return s.stats
}

// infoNumber is a figure of INFO; 0 when it is not there.
func infoNumber(text, name string) (n int64) {
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			n, _ = strconv.ParseInt(strings.TrimSpace(value), 10, 64)
		}
	}
	return max(n, 0)
}
