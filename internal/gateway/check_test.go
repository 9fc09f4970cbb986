package gateway

import (
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// quickChecks are no quicker than a machine that stops now and then: an interval is also the limit of a check, and who
// misses two is out.
func quickChecks(cfg *Config) { cfg.CheckInterval = 200 * time.Millisecond }

func (f *fixture) waitState(i int, want string) {
	f.t.Helper()
	eventually(f.t, f.cfg.Upstreams[i].Addr+" becomes "+want, func() bool { return f.upstreamStatus(i).State == want })
}

func (f *fixture) waitReady() {
	f.t.Helper()
	eventually(f.t, "the gateway is ready", func() bool { return f.Status().State == "ready" })
}

// A client must not meet an upstream that the checks have found dead.
func TestCheckTakesOutBeforeAnyRequest(t *testing.T) {
	tests := []struct {
		name   string
		spoil  func(*backend)
		state  string
		reason string
	}{
		{"refused", func(b *backend) { b.stop() }, "dead", "connection refused"},
		{"closed", func(b *backend) { b.setOptions(closes) }, "dead", "OPTIONS"},
		{"hangs", func(b *backend) { b.setOptions(b.hangs) }, "dead", "no answer in time"},
		{"odd status", func(b *backend) { b.setOptions(answers(404, "", "")) }, "dead", "404"},
		{"not ready", func(b *backend) { b.setOptions(answers(503, "", "catching up: 12 s behind\nmore")) }, "not_ready", "catching up: 12 s behind"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a, b := newBackend(t, answers(200, "", "from a")), newBackend(t, answers(200, "", "from b"))
			f := start(t, quickChecks, a, b)
			f.waitReady()
			test.spoil(a)
			f.waitState(0, test.state)
			if s := f.upstreamStatus(0); !strings.Contains(s.Reason, test.reason) || s.LastCheck == nil || s.LastCheck.Ready {
				t.Errorf("got %+v with check %+v, want reason %q", s, s.LastCheck, test.reason)
			}
			before := f.upstreamStatus(0).Requests
			for range 5 {
				if got := f.do("GET", "/key"); got.body != "from b" {
					t.Errorf("got %+v, want b's answer", got)
				}
			}
			if after := f.upstreamStatus(0).Requests; after != before {
				t.Errorf("tries at a: got %d, want none", after-before)
			}
			if got := f.admin("/readyz"); got.status != 200 || got.body != "ready: 1 of 2 upstreams usable\n" {
				t.Errorf("/readyz: got %+v, want ready", got)
			}
			if got := f.admin("/"); got.status != 200 || !strings.HasPrefix(got.body, "ready: 1 of 2 upstreams usable\n") || !strings.Contains(got.body, "/metrics") {
				t.Errorf("/: got %+v, want the state and the names of pages", got)
			}
			a.stop()
			a.setOptions(answers(204, "", ""))
			a.restart()
			f.waitState(0, "up")
		})
	}
}

// The promise with the default interval: a second after one of two dead upstreams is ready, so is the service. A busy
// machine gets some more; without the checks it would be the fail_timeout.
func TestServiceIsBackWithinASecond(t *testing.T) {
	a, b := newBackend(t, answers(200, "", "from a")), newBackend(t, answers(200, "", "from b"))
	a.stop()
	b.setOptions(b.hangs)
	b.set(b.hangs)
	f := start(t, func(cfg *Config) {
		cfg.CheckInterval = DefaultConfig().CheckInterval
		cfg.UpstreamTimeout = upstreamTimeout
		for i := range cfg.Upstreams {
			cfg.Upstreams[i].FailTimeout = 30 * time.Second
		}
	}, a, b)
	if got := f.do("GET", "/key"); got.status != 504 && got.status != 502 {
		t.Fatalf("with both dead: got %+v, want 502 or 504", got)
	}
	f.waitState(0, "dead")
	f.waitState(1, "dead")
	if got := f.admin("/readyz"); got.status != 503 || !strings.HasPrefix(got.body, "down: none of 2 upstreams usable: "+a.addr) || strings.Count(got.body, " dead, ") != 2 {
		t.Errorf("/readyz with both dead: got %+v, want 503 and the reason", got)
	}

	begin := time.Now()
	a.restart()
	if got := f.do("GET", "/key"); got.status != 200 || got.body != "from a" {
		t.Errorf("first request after the return: got %+v, want 200 from a", got)
	}
	f.waitState(0, "up")
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("a was usable after %s, want within 1s on a quiet machine", took)
	}
	if got := f.admin("/readyz"); got.status != 200 {
		t.Errorf("/readyz: got %+v, want 200", got)
	}
}

func TestCheckAddress(t *testing.T) {
	withAdmin := func(admin *backend) func(*Config) {
		return func(cfg *Config) {
			quickChecks(cfg)
			shortTimeout(cfg)
			cfg.Upstreams[0].Check = admin.addr
			cfg.Upstreams[0].FailTimeout = time.Hour
		}
	}
	t.Run("is asked for readiness", func(t *testing.T) {
		a, b := newBackend(t, answers(200, "", "from a")), newBackend(t, answers(200, "", "from b"))
		admin := newBackend(t, answers(200, "", "ready: serving\n"))
		a.setOptions(answers(503, "", "never asked"))
		f := start(t, withAdmin(admin), a, b)
		f.waitReady()
		eventually(t, "a was checked", func() bool { c := f.upstreamStatus(0).LastCheck; return c != nil && c.Ready })
		if s := f.upstreamStatus(0); s.State != "up" || s.LastCheck.Answer != "ready: serving" {
			t.Errorf("got %+v with check %+v, want up", s, s.LastCheck)
		}
		if got := admin.requests()[0]; !strings.HasPrefix(got, "GET /readyz HTTP/1.1\r\n") {
			t.Errorf("check: got %q, want GET /readyz", got)
		}
		admin.set(answers(503, "", "draining: told to stop"))
		f.waitState(0, "not_ready")
		if got := f.do("GET", "/key"); got.body != "from b" {
			t.Errorf("got %+v, want b's answer", got)
		}
		if s := f.upstreamStatus(0); s.Reason != "draining: told to stop" {
			t.Errorf("reason: got %q", s.Reason)
		}
	})
	t.Run("ends a penalty once the client port answers too", func(t *testing.T) {
		a, b := newBackend(t, nil), newBackend(t, answers(200, "", "from b"))
		admin := newBackend(t, answers(200, "", "ready: serving\n"))
		a.set(a.hangs)
		a.setOptions(a.hangs)
		f := start(t, withAdmin(admin), a, b)
		f.waitReady()
		if got := f.do("GET", "/key"); got.body != "from b" {
			t.Fatalf("got %+v, want b's answer", got)
		}
		f.waitState(0, "dead") // from penalty, without a moment of being up
		if n := f.upstreamStatus(0).Requests; n != 1 {
			t.Errorf("tries at a: got %d, want 1", n)
		}
		for range 5 {
			f.do("GET", "/key")
		}
		if n := f.upstreamStatus(0).Requests; n != 1 {
			t.Errorf("tries at a after more requests: got %d, want 1", n)
		}
		a.set(answers(200, "", "from a"))
		a.setOptions(answers(200, "", ""))
		f.waitState(0, "up")
		// The effective weight climbs by 1 a pick, so not each of the next requests is a's.
		eventually(t, "requests reach a again", func() bool { return f.do("GET", "/key").body == "from a" })
	})
}

func TestCheckEndsPenalty(t *testing.T) {
	a, b := newBackend(t, answers(200, "", "from a")), newBackend(t, answers(200, "", "from b"))
	f := start(t, func(cfg *Config) {
		quickChecks(cfg)
		cfg.Upstreams[0].FailTimeout = time.Hour
	}, a, b)
	f.waitReady()
	a.set(closes)
	if got := f.do("GET", "/key"); got.body != "from b" {
		t.Fatalf("got %+v, want b's answer", got)
	}
	a.set(answers(200, "", "from a"))
	f.waitState(0, "up")
	eventually(t, "requests reach a again", func() bool { return f.do("GET", "/key").body == "from a" })
}

// One slow answer is not two failures.
func TestOneLostCheckIsForgiven(t *testing.T) {
	t.Parallel() // it takes some checks of a second, the longest limit that they can have
	a, b := newBackend(t, answers(200, "", "from a")), newBackend(t, answers(200, "", "from b"))
	f := start(t, func(cfg *Config) { cfg.CheckInterval = time.Second }, a, b)
	f.waitReady()
	var checks atomic.Int32
	a.setOptions(func(conn net.Conn, request string) bool {
		return checks.Add(1) > 1 && answers(200, "", "")(conn, request)
	})
	eventually(t, "the lost check and two more", func() bool {
		if s := f.upstreamStatus(0); s.State != "up" {
			t.Fatalf("got %+v, want up throughout", s)
		}
		return checks.Load() >= 3
	})
	if got := f.do("GET", "/key"); got.body != "from a" {
		t.Errorf("got %+v, want a's answer", got)
	}
}
