package futago

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// virtual is two fake servers on pipes, in the virtual time of synctest.
type virtual struct {
	client *Client
	net    *fakeNet
	a, b   *fake
	key    string // belongs to a
	// failures and back count the reports about a.
	failures, back atomic.Int32
}

func newVirtual(t *testing.T, cfg Config, a Server) *virtual {
	t.Helper()
	v := &virtual{net: newFakeNet()}
	v.a, v.b = v.net.server("a:1"), v.net.server("b:1")
	a.Addr = "a:1"
	cfg.Servers = []Server{a, {Addr: "b:1"}}
	cfg.Dial = v.net.dial
	cfg.OnFailure = func(string, error) { v.failures.Add(1) }
	cfg.OnRecovery = func(string) { v.back.Add(1) }
	v.client = open(t, cfg)
	// A key of the first server, even if that begins as failed.
	for i := 0; v.key == ""; i++ {
		if key := fmt.Sprint("key", i); v.client.pool.selector.Select(key) == 0 {
			v.key = key
		}
	}
	return v
}

// get reads the key and returns what that took. Misses are fine, other errors end the test.
func (v *virtual) get(t *testing.T) time.Duration {
	t.Helper()
	begin := time.Now()
	if _, err := v.client.Get(t.Context(), v.key); !errors.Is(err, ErrCacheMiss) {
		t.Fatalf("get: got error %v, want %v", err, ErrCacheMiss)
	}
	return time.Since(begin)
}

// TestHungServer: one request pays the timeout; later ones pay nothing, for as long as the server hangs.
func TestHungServer(t *testing.T) {
	for _, connects := range []bool{true, false} {
		t.Run(fmt.Sprintf("connects=%v", connects), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := newVirtual(t, Config{}, Server{Timeout: 700 * time.Millisecond})
				if connects {
					v.a.set(hang, true)
				} else {
					v.net.silent["a:1"] = true
				}
				if took := v.get(t); took != 700*time.Millisecond {
					t.Errorf("the first request took %v, want the timeout", took)
				}
				for range 600 {
					if took := v.get(t); took != 0 {
						t.Fatalf("a later request took %v", took)
					}
					time.Sleep(100 * time.Millisecond)
				}
				if v.failures.Load() != 1 || v.back.Load() != 0 {
					t.Errorf("%d failures and %d recoveries, want 1 and 0", v.failures.Load(), v.back.Load())
				}
				// One minute, with a pause of one second and a probe of 0.7 s each.
				if n := v.net.dialed("a:1"); n < 30 || n > 40 {
					t.Errorf("%d connections in a minute, want about 35", n)
				}
				v.a.set(none, false)
				v.net.mu.Lock()
				v.net.silent["a:1"] = false
				v.net.mu.Unlock()
				time.Sleep(1700 * time.Millisecond)
				synctest.Wait()
				if v.back.Load() != 1 || v.client.Servers()[0].Failed {
					t.Fatalf("not back after a probe: %+v", v.client.Servers())
				}
				v.a.executed()
				if v.get(t); len(v.a.executed()) == 0 {
					t.Error("the server got no request after it was back")
				}
			})
		})
	}
}

// TestConcurrentRequestsOnHungServer: all that are under way pay once, and the failure is reported once.
func TestConcurrentRequestsOnHungServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVirtual(t, Config{}, Server{})
		v.a.set(hang, true)
		begin := time.Now()
		done := make(chan error, 50)
		for range cap(done) {
			go func() { _, err := v.client.Get(t.Context(), v.key); done <- err }()
		}
		for range cap(done) {
			want(t, "get", <-done, ErrCacheMiss)
		}
		if took := time.Since(begin); took != DefaultTimeout || v.failures.Load() != 1 {
			t.Errorf("took %v with %d reports, want %v and 1", took, v.failures.Load(), DefaultTimeout)
		}
	})
}

// TestFlappingServer answers probes and nothing else: requests go on, each period costs one of them a detour.
func TestFlappingServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVirtual(t, Config{}, Server{})
		v.a.set(garbage, false)
		for range 100 {
			v.get(t)
			time.Sleep(100 * time.Millisecond)
		}
		if v.failures.Load() < 8 || v.failures.Load() > 11 {
			t.Errorf("%d failures in 10 s, want about 10", v.failures.Load())
		}
	})
}

// TestNeverRetried: a negative retry interval.
func TestNeverRetried(t *testing.T) {
	for _, php := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			v := newVirtual(t, Config{PHPCompatible: php}, Server{RetryInterval: -1})
			v.a.set(hangUp, true)
			v.get(t)
			v.a.set(none, false)
			dials := v.net.dialed("a:1")
			time.Sleep(24 * time.Hour)
			v.get(t)
			if n := v.net.dialed("a:1"); n != dials || !v.client.Servers()[0].Failed {
				t.Errorf("PHP %v: %d connections after the failure", php, n-dials)
			}
		})
	}
}

// TestPHPRetry: with PHPCompatible a request tries the failed server again, once for each interval, and pays for it.
func TestPHPRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVirtual(t, Config{PHPCompatible: true}, Server{})
		v.a.set(hang, true)
		paid := 0
		for range 60 {
			if took := v.get(t); took == DefaultTimeout {
				paid++
			} else if took != 0 {
				t.Fatalf("a request took %v", took)
			}
			time.Sleep(time.Second)
		}
		// The failure is noted when the timeout ends, so a period is 15 s and the timeout.
		if paid != 4 || v.failures.Load() != 4 || v.net.dialed("a:1") != 4 {
			t.Errorf("%d of 60 requests paid, %d reports, %d connections, want 4 of each", paid, v.failures.Load(), v.net.dialed("a:1"))
		}
		v.a.set(none, false)
		time.Sleep(DefaultPHPRetryInterval)
		if v.get(t); v.back.Load() != 1 || v.client.Servers()[0].Failed {
			t.Errorf("got %d recoveries and status %+v", v.back.Load(), v.client.Servers())
		}
	})
}

// TestPHPSmallestTimeout: the wait of PHP uses the smallest timeout of the pool.
func TestPHPSmallestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := newFakeNet()
		net.silent["a:1"], net.silent["b:1"] = true, true
		c := open(t, Config{PHPCompatible: true, Dial: net.dial, Servers: []Server{
			{Addr: "a:1", Timeout: 3 * time.Second}, {Addr: "b:1", Timeout: 250 * time.Millisecond},
		}})
		begin := time.Now()
		want(t, "set", c.Set(t.Context(), &Item{Key: "k"}), ErrNoServers)
		if took := time.Since(begin); took != 500*time.Millisecond {
			t.Errorf("two silent servers took %v, want 500ms", took)
		}
	})
}

func TestStartFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// Due at once: the probe finds it working before any request.
		v := newVirtual(t, Config{}, Server{StartFailed: true})
		synctest.Wait()
		if v.back.Load() != 1 || v.client.Servers()[0].Failed {
			t.Errorf("got %d recoveries and status %+v", v.back.Load(), v.client.Servers())
		}
		// In PHP the request finds out.
		v = newVirtual(t, Config{PHPCompatible: true}, Server{StartFailed: true})
		if v.get(t); v.back.Load() != 1 || len(v.a.executed()) == 0 {
			t.Errorf("PHP: got %d recoveries", v.back.Load())
		}
		v = newVirtual(t, Config{}, Server{StartFailed: true, RetryInterval: -1})
		synctest.Wait()
		if v.get(t); v.back.Load() != 0 || len(v.a.executed()) != 0 {
			t.Errorf("never retried: got %d recoveries", v.back.Load())
		}
	})
}

// TestImpatientCallers: contexts shorter than the timeout. The hung server is found out in the background.
func TestImpatientCallers(t *testing.T) {
	for _, silent := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			v := newVirtual(t, Config{}, Server{})
			v.a.set(hang, true)
			v.net.silent["a:1"] = silent
			missed := 0
			for range 100 {
				ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
				_, err := v.client.Get(ctx, v.key)
				cancel()
				if errors.Is(err, context.DeadlineExceeded) {
					missed++
				} else if !errors.Is(err, ErrCacheMiss) {
					t.Fatalf("got error %v", err)
				}
			}
			if missed < 15 || missed > 25 || v.failures.Load() != 1 {
				t.Errorf("%d of 100 requests ended early with %d reports, want about 20 and 1", missed, v.failures.Load())
			}
		})
	}
}

// TestBothBack: with no server left, requests hurry the probes, within limits.
func TestBothBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVirtual(t, Config{}, Server{RetryInterval: 10 * time.Second})
		a := v.net.refuse("a:1")
		v.net.refuse("b:1")
		v.client.Get(t.Context(), v.key)
		dials := v.net.dialed("a:1")
		for range 1000 {
			if _, err := v.client.Get(t.Context(), v.key); !errors.Is(err, ErrNoServers) {
				t.Fatalf("got error %v, want %v", err, ErrNoServers)
			}
			time.Sleep(10 * time.Millisecond)
		}
		if n := v.net.dialed("a:1") - dials; n < 8 || n > 11 {
			t.Errorf("%d probes in 10 s, want about 10", n)
		}
		v.net.put("a:1", a)
		begin := time.Now()
		for {
			_, err := v.client.Get(t.Context(), v.key)
			if errors.Is(err, ErrCacheMiss) {
				break
			}
			if time.Since(begin) > time.Second+10*time.Millisecond {
				t.Fatalf("still not back: %v", err)
			}
			time.Sleep(10 * time.Millisecond)
		}
	})
}

// TestFailureOfAnOldRequest: a request that began before the failure says nothing about the server that is back.
func TestFailureOfAnOldRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVirtual(t, Config{}, Server{Timeout: 10 * time.Second, RetryInterval: time.Second})
		v.a.set(hang, false)
		done := make(chan time.Duration)
		go func() { done <- v.get(t) }()
		synctest.Wait()
		time.Sleep(9 * time.Second)
		v.a.set(hangUp, false)
		v.get(t)
		v.a.set(none, false)
		time.Sleep(999 * time.Millisecond)
		if took := <-done; took != 10*time.Second {
			t.Errorf("the old request took %v", took)
		}
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		if v.failures.Load() != 1 || v.back.Load() != 1 || v.client.Servers()[0].Failed {
			t.Errorf("%d failures, %d recoveries, status %+v, want 1, 1 and working", v.failures.Load(), v.back.Load(), v.client.Servers())
		}
	})
}

// TestCloseEndsProbes: Close waits for the background and lets nothing run on.
func TestCloseEndsProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVirtual(t, Config{}, Server{})
		v.net.silent["a:1"] = true
		v.get(t)
		time.Sleep(1500 * time.Millisecond) // a probe is under way
		begin := time.Now()
		v.client.Close()
		if took := time.Since(begin); took != 0 {
			t.Errorf("close took %v", took)
		}
	})
}
