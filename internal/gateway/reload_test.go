package gateway

import (
	"errors"
	"log/slog"
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
	from := Config{AllowPaths: []string{"/a"}, BodyTimeout: 2, ShutdownTimeout: 3, MaxConns: 4, UpstreamTimeout: 5, User: "6", Password: "7", LogLevel: new(slog.LevelVar)}
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
