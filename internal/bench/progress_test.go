package bench

import (
	"slices"
	"testing"
	"time"
)

// TestProgress holds the server until a report of the fill was seen, and ends the window when one of that has all figures.
// The warm-up is above what the reporter may have to wait for a processor.
func TestProgress(t *testing.T) {
	filling, until := make(chan struct{}), make(chan struct{})
	server := &fakeServer{protocol: Memcache}
	server.before = func(n int) string {
		if n <= 100 {
			<-filling
			return ""
		}
		return map[bool]string{true: "SERVER_ERROR busy\r\n"}[n > 200] // the fill is over
	}
	c := shortConfig(Memcache, server.start(t))
	c.WarmUp, c.Duration, c.reportInterval, c.until = time.Second, time.Hour, time.Millisecond, until
	var phases []Phase
	c.Progress = func(p Progress) {
		if len(phases) == 0 {
			close(filling)
		}
		if len(phases) == 0 || phases[len(phases)-1] != p.Phase {
			phases = append(phases, p.Phase)
		}
		switch p.Phase {
		case Filling:
			if p.Filled < 0 || p.Filled > 1 {
				t.Errorf("filled %g, want a share", p.Filled)
			}
		case WarmingUp, Measuring:
			if p.Left <= 0 || p.Left > time.Hour+c.WarmUp || p.Done < uint64(c.Keys) {
				t.Errorf("%s: %v left, %d done; want the window, and all keys set", p.Phase, p.Left, p.Done)
			}
		}
		if p.Phase == Measuring && p.P99Micros > 0 && p.Errors > 0 && p.OpsPerSecond > 0 && until != nil {
			close(until)
			until = nil
		}
	}
	if _, err := Run(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(phases, []Phase{Filling, WarmingUp, Measuring}) {
		t.Errorf("got phases %q, want each once and in order", phases)
	}
}
