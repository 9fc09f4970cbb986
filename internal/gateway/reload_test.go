package gateway

import (
	"errors"
	"log/slog"
	"net"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/futago/futago/internal/reload"
)

// What may change does, on connections that are there as well; the rest is named; and where anything is wrong nothing changes.
func testReload(t *testing.T) {
	setting := func(name, value string) reload.Setting {
		return reload.Setting{Name: name, Values: []string{value}, Source: "f"}
	}
	a := newBackend(t, answers(200, "", "ok"))
	level := new(slog.LevelVar)
	var fresh Config
	var problem error
	f := start(t, func(c *Config) {
		c.AllowPaths, c.User, c.Password, c.LogLevel = []string{"/a"}, "gate", "old", level
		c.Settings = []reload.Setting{setting("allow-path", "/a"), setting("max-conns", "4096"), setting("log-level", "info"), setting("idle-timeout", "1m"), setting("upstream-timeout", "1s")}
		c.Reread = func() (Config, error) { return fresh, problem }
		fresh = *c
		fresh.LogLevel = new(slog.LevelVar)
	}, a)
	status := func(path string) int {
		t.Helper()
		req, err := http.NewRequest("GET", f.url(path), nil)
		if err != nil {
			t.Fatal(err)
		}
		return f.send(req).status
	}
	if got := [2]int{status("/a"), status("/b")}; got != [2]int{200, 404} {
		t.Fatalf("before: got %d", got)
	}
	fresh.AllowPaths, fresh.MaxConns, fresh.IdleTimeout, fresh.UpstreamTimeout, fresh.Password = []string{"/b"}, 77, time.Hour, 2*time.Second, "new"
	fresh.LogLevel.Set(slog.LevelWarn)
	fresh.Settings = []reload.Setting{setting("allow-path", "/b"), setting("max-conns", "77"), setting("log-level", "warn"), setting("idle-timeout", "1h"), setting("upstream-timeout", "2s")}
	problem = errors.New("f: unknown key x")
	if _, err := f.Reload(); err == nil || status("/a") != 200 || level.Level() != slog.LevelInfo {
		t.Errorf("a mistake: got %v, and something changed", err)
	}
	problem = nil
	r, err := f.Reload()
	if err != nil || r.Front != "gateway" || len(r.Changed) != 4 || len(r.Restart) != 1 || r.Restart[0].Name != "idle-timeout" || strings.Join(r.Read, ",") != "upstream user" {
		t.Errorf("got %+v, %v", r, err)
	}
	if got := [2]int{status("/a"), status("/b")}; got != [2]int{404, 200} {
		t.Errorf("after: got %d, want other paths", got)
	}
	seen := a.requests()
	if last := seen[len(seen)-1]; !strings.Contains(last, "Authorization: Basic Z2F0ZTpuZXc=\r\n") {
		t.Errorf("the server saw %q, want the new password", last)
	}
	if now := f.conf(); now.MaxConns != 77 || f.conns.max.Load() != 77 || now.IdleTimeout == time.Hour || now.UpstreamTimeout != 2*time.Second || level.Level() != slog.LevelWarn {
		t.Errorf("in force: %+v", now.Config)
	}
	if last := f.Status().LastReload; last == nil || last.Error != "" || len(last.Changed) != 4 {
		t.Errorf("last reload: got %+v", last)
	}
}

// Every name of the table is a setting of its own that is taken over.
func TestChangeable(t *testing.T) {
	from := Config{AllowPaths: []string{"/a"}, Upstreams: []Upstream{{Addr: "b"}}, BodyTimeout: 2, ShutdownTimeout: 3, MaxConns: 4, UpstreamTimeout: 5, User: "6", Password: "7", LogLevel: new(slog.LevelVar)}
	from.LogLevel.Set(slog.LevelError)
	all := Config{LogLevel: new(slog.LevelVar)}
	for name, take := range changeable {
		one := Config{LogLevel: new(slog.LevelVar)}
		take(&one, &from)
		if one.LogLevel.Level() == 0 && reflect.DeepEqual(one, Config{LogLevel: one.LogLevel}) {
			t.Errorf("%s: nothing is taken over", name)
		}
		take(&all, &from)
	}
	all.LogLevel, from.LogLevel = nil, nil
	if !reflect.DeepEqual(from, all) {
		t.Errorf("all taken over: got %+v, want %+v", all, from)
	}
}

// A reload puts other upstreams in force: a request under way ends at the old one, a client's connection goes on with the new ones, and
// what stays keeps its connections and what is known of it.
func TestReloadUpstreams(t *testing.T) {
	release := make(chan struct{})
	asked := make(chan struct{}, 1)
	old := newBackend(t, func(conn net.Conn, head string) bool {
		if strings.HasPrefix(head, "GET /slow ") {
			asked <- struct{}{}
			<-release
		}
		return answers(200, "", "old")(conn, head)
	})
	kept := newBackend(t, answers(200, "", "kept"))
	next := newBackend(t, answers(200, "", "new"))
	var fresh Config
	say := func(backends ...*backend) []reload.Setting {
		fresh.Upstreams = nil
		var values []string
		for _, b := range backends {
			u := DefaultUpstream(b.addr)
			fresh.Upstreams, values = append(fresh.Upstreams, u), append(values, u.String())
		}
		fresh.Settings = []reload.Setting{{Name: "upstream", Values: values, Source: "f"}}
		return fresh.Settings
	}
	f := start(t, func(c *Config) {
		c.Reread = func() (Config, error) { return fresh, nil }
		c.CheckInterval = time.Minute
		fresh = *c
		c.Settings = say(old)
		c.Upstreams = fresh.Upstreams
	}, old)
	slow, quick := f.dial(), f.dial()
	quick.send("GET /a HTTP/1.1\r\nHost: h\r\n\r\n")
	quick.receive("GET")
	slow.send("GET /slow HTTP/1.1\r\nHost: h\r\n\r\n")
	<-asked
	reloaded := func(backends ...*backend) {
		t.Helper()
		say(backends...)
		if r, err := f.Reload(); err != nil || len(r.Changed) != 1 || len(r.Restart) != 0 {
			t.Fatalf("got %+v, %v", r, err)
		}
	}
	reloaded(kept)
	quick.send("GET /a HTTP/1.1\r\nHost: h\r\n\r\n")
	if got := quick.receive("GET"); got.body != "kept" {
		t.Errorf("got %+v from the connection that was there, want another server", got)
	}
	close(release)
	if got := slow.receive("GET"); got.body != "old" {
		t.Errorf("got %+v for the request under way, want the old server", got)
	}
	eventually(t, "the old server has no connections", func() bool {
		old.mu.Lock()
		defer old.mu.Unlock()
		return len(old.conns) == 0
	})
	u := f.group.Load().upstreams[0]
	requests := u.requests.Load()
	reloaded(next, kept)
	if now := f.group.Load().upstreams[1]; requests == 0 || now != u || now.requests.Load() != requests {
		t.Errorf("the server that stays: got %+v", now.status(f.group.Load().balancer.view()[1]))
	}
	seen := map[string]bool{}
	for range 20 {
		quick.send("GET /a HTTP/1.1\r\nHost: h\r\n\r\n")
		seen[quick.receive("GET").body] = true
	}
	if !seen["new"] || !seen["kept"] || seen["old"] {
		t.Errorf("answers of %v", seen)
	}
	if s := f.Status(); len(s.Upstreams) != 2 || s.Upstreams[0].Addr != next.addr {
		t.Errorf("status: got %+v", s.Upstreams)
	}
}
