package bench

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestPacedCountsFromDueTime stalls the whole server once: all requests that were due meanwhile must show it, not
// only those that were under way, whatever pipelines and connections there are. At 1,000 a second, about 100 requests fall into the
// stall and wait for 50 ms on average; what else a busy machine holds up comes on top. The window ends when 250 are answered.
func TestPacedCountsFromDueTime(t *testing.T) {
	const stall = 100 * time.Millisecond
	tests := []struct{ connections, pipeline, threads int }{{1, 1, 1}, {1, 16, 1}, {20, 1, 1}, {20, 16, 1}, {20, 2, 2}}
	for _, tt := range tests {
		var gate sync.RWMutex
		server := &fakeServer{protocol: Memcache}
		server.before = func(n int) string {
			if n == 50 {
				gate.Lock()
				<-time.After(stall)
				gate.Unlock()
			}
			gate.RLock()
			defer gate.RUnlock()
			return ""
		}
		c := shortConfig(Memcache, server.start(t))
		c.Connections, c.Pipeline, c.Threads, c.Fill, c.WarmUp = tt.connections, tt.pipeline, tt.threads, false, 0
		until := make(chan struct{})
		end := sync.OnceFunc(func() { close(until) })
		c.Rate, c.Duration, c.until, c.reportInterval = 1000, time.Hour, until, time.Millisecond
		c.Progress = func(p Progress) {
			if p.Done >= 250 {
				end()
			}
		}
		r, err := Run(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		if r.MaxMicros < micros(stall) {
			t.Errorf("%+v: max %g us, want at least the stall of %v", tt, r.MaxMicros, stall)
		}
		waited := time.Duration(r.MeanMicros*float64(r.Requests)) * time.Microsecond
		if want := 100 * stall / 2 / 2; waited < want {
			t.Errorf("%+v: %d requests waited for %v in all, want at least %v: late requests count from their due time", tt, r.Requests, waited, want)
		}
	}
}

// TestLate has a server that stalls to behind the end of the window: what was due and could not be sent is told.
func TestLate(t *testing.T) {
	release := make(chan struct{})
	server := &fakeServer{protocol: Memcache}
	server.before = func(n int) string {
		if n > 20 {
			<-release
		}
		return ""
	}
	c := shortConfig(Memcache, server.start(t))
	defer close(release)
	c.Connections, c.Pipeline, c.Fill, c.WarmUp = 2, 5, false, 0
	c.Rate, c.Duration = 2000, 100*time.Millisecond
	r, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	// 200 are due, 20 are answered, and 10 fill the pipelines.
	if r.Late < 150 || r.Late > 10_000 {
		t.Errorf("got %d late requests, want about 170", r.Late)
	}
	var text strings.Builder
	if err := r.Write(&text); err != nil || !strings.Contains(text.String(), fmt.Sprintf("%d late", r.Late)) {
		t.Errorf("text lacks the late requests:\n%s", text.String())
	}
}
