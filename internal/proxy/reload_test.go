package proxy

import (
	"bytes"
	"errors"
	"log/slog"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/futago/futago/internal/reload"
)

// lockedBuffer is a log that several goroutines write.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// What may change does, for clients that are there as well; the rest is named; and where anything is wrong nothing changes.
func TestReload(t *testing.T) {
	var log lockedBuffer
	level := new(slog.LevelVar)
	setting := func(name, value string) reload.Setting {
		return reload.Setting{Name: name, Values: []string{value}, Source: "f"}
	}
	n := newFakeNode(t)
	n.asks("proxy old")
	change, users := withUsers(t, "foo")
	var fresh Config
	var problem error
	p := startProxy(t, func(c *Config) {
		change(c)
		c.User, c.Password = "proxy", "old"
		c.Logger, c.LogLevel = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: level})), level
		c.Settings = []reload.Setting{setting("timeout", "20s"), setting("log-level", "info"), setting("max-conns", "4096"), setting("pool", "2"), setting("upstream-user-file", "own")}
		c.Reread = func() (Config, error) { return fresh, problem }
		fresh = *c
		fresh.LogLevel = new(slog.LevelVar)
	}, n)
	c := p.dial()
	c.talk(authSet("foo secret")+"set k 0 0 1\r\nx\r\n", "STORED\r\nSTORED\r\n")
	fresh.Timeout, fresh.MaxConns, fresh.Pool, fresh.Password = 30*time.Second, 1, 3, "new"
	fresh.LogLevel.Set(slog.LevelDebug)
	fresh.Settings = []reload.Setting{setting("timeout", "30s"), setting("log-level", "debug"), setting("max-conns", "1"), setting("pool", "3"), setting("upstream-user-file", "own")}

	problem = errors.New("f: unknown key x")
	writeUsers(t, users, "bar")
	if _, err := p.Reload(); err == nil || !strings.Contains(err.Error(), "unknown key x") {
		t.Errorf("a mistake: got %v", err)
	}
	if c.talk("get k\r\n", "VALUE k 0 1\r\nx\r\nEND\r\n"); p.conf().Timeout != 20*time.Second || level.Level() != slog.LevelInfo {
		t.Error("settings changed although one was wrong")
	}
	if last := p.Status().LastReload; last == nil || last.Error != "f: unknown key x" || last.Changed == nil {
		t.Errorf("last reload: got %+v", last)
	}

	problem = nil
	r, err := p.Reload()
	if err != nil || len(r.Changed) != 3 || len(r.Restart) != 1 || r.Restart[0].Name != "pool" || strings.Join(r.Read, ",") != "users,upstream user" {
		t.Errorf("got %+v, %v", r, err)
	}
	if now := p.conf(); now.Timeout != 30*time.Second || now.MaxConns != 1 || now.Pool != 2 || now.Password != "new" || level.Level() != slog.LevelDebug {
		t.Errorf("in force: timeout %v, max-conns %d, pool %d, password %q, level %v", now.Timeout, now.MaxConns, now.Pool, now.Password, level.Level())
	}
	c.talk("get k\r\n", replyLocked)
	p.dial().want("ERROR Too many open connections\r\n")
	if last := p.Status().LastReload; last == nil || last.Error != "" || len(last.Changed) != 3 || last.At.IsZero() {
		t.Errorf("last reload: got %+v", last)
	}
	for _, part := range []string{"reload refused, everything stays what it was", "setting=timeout old=20s new=30s source=f", `setting needs a restart" setting=pool`} {
		if !strings.Contains(log.String(), part) {
			t.Errorf("no %q in the log:\n%s", part, log.String())
		}
	}
	// The next connection to the node is that of the new password.
	n.asks("proxy new")
	n.ready.Store(false)
	n.stop()
	p.waitUp(0)
	n.start(n.addr)
	n.ready.Store(true)
	p.waitUp(1)
	if again, err := p.Reload(); err != nil || len(again.Changed) != 0 || len(again.Restart) != 1 {
		t.Errorf("again: got %+v, %v", again, err)
	}
}

// Every name of the table is a setting of its own that is taken over.
func TestChangeable(t *testing.T) {
	from := Config{Choice: "c", Upstreams: []Upstream{{Addr: "a"}}, CheckInterval: 1, DrainTimeout: 2, IdleTimeout: 3, MaxConns: 4, MaxPending: 5, Timeout: 6, User: "7", Password: "8", WriteTimeout: 9, LogLevel: new(slog.LevelVar)}
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
