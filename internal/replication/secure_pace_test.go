package replication

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// A pace lets pass what it says, in steps of any size, give or take its burst.
func TestPace(t *testing.T) {
	for _, rate := range []int64{64 << 10, 1 << 20, 100 << 20} {
		for _, step := range []int64{100, 256 << 10, 1 << 20, 64 << 20} {
			synctest.Test(t, func(t *testing.T) {
				p := newPace(rate)
				total := min(max(10*rate, 2*step), 20_000*step)
				begin := time.Now()
				var passed int64
				for ; passed < total; passed += step {
					if err := p.wait(t.Context(), int(step)); err != nil {
						t.Fatal(err)
					}
				}
				burst := float64(max(rate/10, paceBurst)) / float64(rate)
				took, want := time.Since(begin).Seconds(), float64(passed)/float64(rate)
				if took > want*1.001 || took < want-burst-0.001 {
					t.Errorf("rate %d, steps of %d: %.3f s for %d bytes, want %.3f s less at most %.3f", rate, step, took, passed, want, burst)
				}
			})
		}
	}
}

func TestPaceEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		begin := time.Now()
		if err := newPace(1<<20).wait(ctx, 1<<30); err == nil {
			t.Error("a GiB passed in a second")
		}
		if took := time.Since(begin); took > 1100*time.Millisecond {
			t.Errorf("it took %v", took)
		}
	})
}

func TestNoPace(t *testing.T) {
	for _, rate := range []int64{0, -1} {
		if err := newPace(rate).wait(t.Context(), 1<<40); err != nil {
			t.Error(err)
		}
	}
}
