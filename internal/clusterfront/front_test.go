//go:build e2e && linux

package clusterfront

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/futago/futago/internal/listing"
	"github.com/futago/futago/internal/rediscluster"
	"github.com/futago/futago/internal/rediscluster/clustertest"
	"github.com/futago/futago/internal/reload"
	"github.com/futago/futago/internal/server"
	dbstore "github.com/futago/futago/internal/store"
)

// TestFront starts a front, looks at its pages, changes its settings, and stops it.
func TestFront(t *testing.T) {
	c := clustertest.Start(t, clustertest.Config{NodeTimeout: 5 * time.Second})
	store := rediscluster.DefaultConfig()
	store.Addrs, store.Timeout = c.Addrs(), 2*time.Second
	l, err := server.ParseListen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cfg := Config{Server: server.DefaultConfig(), Store: store, AdminListen: "none", DrainTimeout: 10 * time.Second, Logger: slog.New(slog.NewTextHandler(&log, nil)), LogLevel: new(slog.LevelVar)}
	cfg.Server.Listen = []server.Listener{l}
	cfg.Settings = []reload.Setting{{Name: "idle-timeout", Values: []string{"0s"}}, {Name: "store", Values: []string{"here"}}}
	again := cfg
	again.Server.IdleTimeout = time.Minute
	again.Settings = []reload.Setting{{Name: "idle-timeout", Values: []string{"1m"}}, {Name: "store", Values: []string{"there"}}}
	cfg.Reread = func() (Config, error) { return again, nil }
	f, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	page := func(path string) (int, string) {
		w := httptest.NewRecorder()
		f.AdminHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w.Code, w.Body.String()
	}
	if code, body := page("/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "starting") {
		t.Errorf("before it serves: %d %s", code, body)
	}
	ctx, stop := context.WithCancel(t.Context())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- f.Run(ctx, func(string) { close(ready) }) }()
	<-ready
	if code, body := page("/readyz"); code != http.StatusOK || !strings.Contains(body, "3 masters have all slots") {
		t.Errorf("while it serves: %d %s", code, body)
	}
	want := map[string]bool{}
	for i := range 300 {
		key := fmt.Sprintf("user:%d", i)
		want[key] = true
		for _, k := range []string{key, fmt.Sprintf("other:%d", i)} {
			if err := f.store.Commit(&dbstore.Request{Op: dbstore.Set, Key: []byte(k), Value: []byte("four"), Flags: 7}, new(dbstore.Result)); err != nil {
				t.Fatal(err)
			}
		}
	}
	pages, cursor := 0, ""
	for more := true; more; more = cursor != "" {
		code, body := page("/keys?prefix=user:&limit=50&cursor=" + cursor)
		var d listing.Document
		if err := json.Unmarshal([]byte(body), &d); code != http.StatusOK || err != nil {
			t.Fatalf("list keys: %d %s", code, body)
		}
		for _, k := range d.Keys {
			if !want[string(k.Key)] || k.Size != 4 || k.Flags != 7 || k.Expires != nil {
				t.Errorf("listed %+v: a second time, or wrong", k)
			}
			delete(want, string(k.Key))
		}
		pages, cursor = pages+1, d.Cursor
	}
	if len(want) != 0 || pages < 3 {
		t.Errorf("%d keys were not listed, %d answers", len(want), pages)
	}
	if code, body := page("/keys?cursor=zzz"); code != http.StatusBadRequest {
		t.Errorf("list keys from a cursor that is none: %d %s", code, body)
	}
	text, err := os.ReadFile("../../docs/cluster.md")
	if err != nil {
		t.Fatal(err)
	}
	_, metrics := page("/metrics")
	for line := range strings.Lines(metrics) {
		if name, _, _ := strings.Cut(strings.TrimPrefix(line, "# HELP "), " "); strings.HasPrefix(line, "# HELP futago_cluster_") && !strings.Contains(string(text), "`"+name+"`") {
			t.Errorf("docs/cluster.md does not tell of %s", name)
		}
	}
	report, err := f.Reload()
	if err != nil || len(report.Changed) != 1 || report.Changed[0].Name != "idle-timeout" || len(report.Restart) != 1 || report.Restart[0].Name != "store" {
		t.Errorf("reload: %+v, %v", report, err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
