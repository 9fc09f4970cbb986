package node

import (
	"sync"
	"time"

	"github.com/futago/futago/internal/server"
)

// recentSpan is how far apart two moments are to which times are compared.
const recentSpan = 30 * time.Second

// recent remembers the times of half a minute and of a minute ago.
type recent struct {
	mu            sync.Mutex
	older, newer  server.Latencies
	olderAt, next time.Time
	newerAt       time.Time
}

// take notes the times of a moment when it is due, and says whether it was. latencies is asked only then.
func (r *recent) take(now time.Time, latencies func() server.Latencies) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Before(r.next) {
		return false
	}
	r.older, r.olderAt = r.newer, r.newerAt
	r.newer, r.newerAt = latencies(), now
	if r.olderAt.IsZero() {
		r.older, r.olderAt = r.newer, now
	}
	r.next = now.Add(recentSpan)
	return true
}

// earlier is what the times of now are to be compared with, and how long ago that was.
func (r *recent) earlier(now time.Time) (l server.Latencies, span time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.older, max(now.Sub(r.olderAt), time.Second)
}
