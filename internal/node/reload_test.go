package node

import (
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/futago/futago/internal/reload"
	"github.com/futago/futago/internal/users"
)

// reloading is a node whose configuration a test changes under it.
func reloading(t *testing.T, change func(c *Config)) (r *running, source *Config, problem *error) {
	c := testConfig(t, 4)
	c.LogLevel = new(slog.LevelVar)
	c.Settings = []reload.Setting{
		{Name: "log-level", Values: []string{"INFO"}, Source: "default"}, {Name: "idle-timeout", Values: []string{"0s"}, Source: "default"},
		{Name: "max-conns", Values: []string{"20000"}, Source: "default"}, {Name: "min-free", Values: []string{"0"}, Source: "f"},
		{Name: "max-value", Values: []string{"64MiB"}, Source: "default"}, {Name: "secret", Values: []string{}, Hidden: []string{"old"}, Secret: true},
	}
	change(&c)
	source, problem = new(Config), new(error)
	*source = c
	source.LogLevel = new(slog.LevelVar)
	c.Reread = func() (Config, error) { return *source, *problem }
	r = start(t, c)
	r.waitReady(t)
	return r, source, problem
}

// TestReload: what may change does, what may not is named at each reload, and nothing changes where anything is wrong.
func TestReload(t *testing.T) {
	r, source, problem := reloading(t, func(*Config) {})
	again := func() (d ReloadReport) {
		t.Helper()
		resp, body := send(t, r, "POST", "/reload", asOperator)
		if resp.StatusCode != 200 {
			t.Fatalf("got status %d, %s", resp.StatusCode, body)
		}
		if err := json.Unmarshal([]byte(body), &d); err != nil {
			t.Fatal(err)
		}
		return d
	}
	if d := again(); d.Node != 4 || len(d.Changed)+len(d.Restart)+len(d.Read) != 0 {
		t.Errorf("nothing is new: got %+v", d)
	}
	source.Settings = []reload.Setting{
		{Name: "log-level", Values: []string{"DEBUG"}, Source: "f"}, {Name: "idle-timeout", Values: []string{"1m30s"}, Source: "f"},
		{Name: "max-conns", Values: []string{"3"}, Source: "f"}, {Name: "min-free", Values: []string{"1TiB"}, Source: "f"},
		{Name: "max-value", Values: []string{"1MiB"}, Source: "f"}, {Name: "secret", Values: []string{}, Hidden: []string{"new"}, Secret: true, Source: "f"},
	}
	source.LogLevel.Set(slog.LevelDebug)
	source.IdleTimeout, source.MaxConns, source.MinFree, source.MaxValue = 90*time.Second, 3, 1<<60, 1<<20

	*problem = errors.New("f: unknown key x")
	if resp, body := send(t, r, "POST", "/reload", asOperator); resp.StatusCode != 409 || !strings.Contains(body, "unknown key x") {
		t.Errorf("a mistake: got status %d and %q, want 409 and the mistake", resp.StatusCode, body)
	}
	if r.cfg.LogLevel.Level() != slog.LevelInfo || r.present().IdleTimeout != 0 {
		t.Error("settings changed although one was wrong")
	}

	*problem = nil
	want := ReloadReport{Node: 4, Report: reload.Report{Read: []string{},
		Changed: []reload.Change{
			{Name: "log-level", Old: []string{"INFO"}, New: []string{"DEBUG"}, Source: "f"}, {Name: "idle-timeout", Old: []string{"0s"}, New: []string{"1m30s"}, Source: "f"},
			{Name: "max-conns", Old: []string{"20000"}, New: []string{"3"}, Source: "f"}, {Name: "min-free", Old: []string{"0"}, New: []string{"1TiB"}, Source: "f"},
		},
		Restart: []reload.Change{
			{Name: "max-value", Old: []string{"64MiB"}, New: []string{"1MiB"}, Source: "f"}, {Name: "secret", Old: []string{}, New: []string{}, Source: "f", Secret: true},
		},
	}}
	if diff := cmp.Diff(want, again()); diff != "" {
		t.Errorf("report differs (-want +got):\n%s", diff)
	}
	if r.cfg.LogLevel.Level() != slog.LevelDebug {
		t.Errorf("log level %v, want debug", r.cfg.LogLevel.Level())
	}
	_, body := fetch(t, r, "/settings")
	for _, part := range []string{`"idle-timeout","values":["1m30s"]`, `"max-value","values":["64MiB"]`} {
		if !strings.Contains(body, part) {
			t.Errorf("settings in force: no %s in %s", part, body)
		}
	}
	if got := r.Status().Disk; got == nil || got.MinFree != 1<<60 {
		t.Errorf("space that must stay free: got %+v", got)
	}
	eventually(t, "writes are refused for want of space", func() bool { return r.Status().Store.Refusal != "" })
	want.Changed = []reload.Change{}
	if diff := cmp.Diff(want, again()); diff != "" {
		t.Errorf("second report differs (-want +got):\n%s", diff)
	}
	var told []string
	for _, e := range r.events.recent() {
		told = append(told, e.Text)
	}
	for _, part := range []string{"reload refused, everything stays what it was", "setting=idle-timeout old=0s new=1m30s source=f", "setting needs a restart node=4 setting=secret source=f"} {
		if all := strings.Join(told, "\n"); !strings.Contains(all, part) || strings.Contains(all, "[old]") {
			t.Errorf("no %q in the log:\n%s", part, all)
		}
	}
}

// Every name of the table is a setting of its own that is taken over.
func TestChangeable(t *testing.T) {
	from := Config{CompactRate: 1, DrainTimeout: 2, FirstByteTimeout: 3, IdleTimeout: 4, LogRetain: 5, MaxConns: 6, MinFree: 7, RequestTimeout: 8, SlowThreshold: 9, LogLevel: new(slog.LevelVar)}
	from.LogLevel.Set(slog.LevelError)
	all := Config{LogLevel: new(slog.LevelVar)}
	for name, take := range changeable {
		one := Config{LogLevel: new(slog.LevelVar)}
		before := one
		take(&one, &from)
		before.LogLevel = one.LogLevel
		if reflect.DeepEqual(before, one) && one.LogLevel.Level() == 0 {
			t.Errorf("%s: nothing is taken over", name)
		}
		take(&all, &from)
	}
	all.LogLevel, from.LogLevel = nil, nil
	if !reflect.DeepEqual(from, all) {
		t.Errorf("all taken over: got %+v, want %+v", all, from)
	}
}

// A wrong file keeps settings and other files from changing.
func TestReloadIsWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	hash, err := users.Hash([]byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("a:" + hash + "\n")
	r, source, _ := reloading(t, func(c *Config) { c.Users = path })
	source.Settings = []reload.Setting{{Name: "idle-timeout", Values: []string{"5s"}}}
	source.IdleTimeout = 5 * time.Second
	write("nonsense\n")
	if _, err := r.Reload(); err == nil || !strings.Contains(err.Error(), "users:1: ") {
		t.Errorf("got %v, want the line that is wrong", err)
	}
	if got := r.present().IdleTimeout; got != 0 {
		t.Errorf("idle-timeout is %v after a refused reload", got)
	}
	write("b:" + hash + "\n")
	d, err := r.Reload()
	if err != nil || !cmp.Equal(d.Read, []string{"users"}) || r.present().IdleTimeout != 5*time.Second {
		t.Errorf("got %+v, %v, and idle-timeout %v", d, err, r.present().IdleTimeout)
	}
	if resp := r.ask(t, "b:secret", "/keys", ""); resp.StatusCode != 200 {
		t.Errorf("the new user: got status %d", resp.StatusCode)
	} else {
		resp.Body.Close()
	}
}
