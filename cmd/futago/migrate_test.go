package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// fakeProxy is a proxy's admin address without a proxy.
type fakeProxy struct {
	*adminNode

	mu        sync.Mutex
	upstreams []string
	token     string // of the hold; "" for none
	holder    string // who has it
	holds     int
}

func newFakeProxy(t *testing.T, upstreams ...string) *fakeProxy {
	t.Helper()
	p := &fakeProxy{upstreams: upstreams}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		status := map[string]any{"listen": "127.0.0.1:1", "held": nil}
		var list []any
		for _, u := range p.upstreams {
			list = append(list, map[string]string{"addr": u})
		}
		if status["upstreams"] = list; p.token != "" {
			status["held"] = map[string]any{"by": p.holder, "until": time.Now().Add(time.Minute)}
		}
		json.NewEncoder(w).Encode(status)
	})
	mux.HandleFunc("POST /hold", func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		switch token := r.FormValue("token"); {
		case token != p.token:
			p.refuse(w)
			return
		case token == "":
			p.holds++
			p.token, p.holder = fmt.Sprint("hold ", p.holds), r.RemoteAddr
		}
		json.NewEncoder(w).Encode(map[string]string{"token": p.token})
	})
	mux.HandleFunc("POST /switch", func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.token == "" || r.URL.Query().Get("token") != p.token {
			p.refuse(w)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		p.upstreams, p.token = strings.Fields(string(body)), ""
	})
	mux.HandleFunc("POST /release", func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.token == "" || r.URL.Query().Get("token") != p.token {
			p.refuse(w)
			return
		}
		p.token = ""
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	nodes, err := (&adminConfig{Admin: []string{s.Listener.Addr().String()}, Timeout: 10 * time.Second}).nodes()
	if err != nil {
		t.Fatal(err)
	}
	p.adminNode = nodes[0]
	return p
}

func (p *fakeProxy) refuse(w http.ResponseWriter) { http.Error(w, "no such hold", http.StatusConflict) }

// Who finds proxies held by another move is told by whom.
func TestMigrateProxyHeld(t *testing.T) {
	p := newFakeProxy(t, "127.0.0.1:1")
	other := &heldProxies{nodes: []*adminNode{p.adminNode}}
	if err := other.hold(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer other.release(t.Context())
	_, err := (&heldProxies{nodes: other.nodes}).switched(t.Context())
	err = moveHint(err, "")
	if err == nil || !strings.Contains(err.Error(), "proxy "+p.addr+": another move") || !strings.Contains(err.Error(), p.holder) {
		t.Errorf("got %v, want who holds it: %s", err, p.holder)
	}
}
