package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/futago/futago/internal/migrate"
)

// fakeProxy is a proxy's admin address without a proxy.
type fakeProxy struct {
	*adminNode

	mu        sync.Mutex
	upstreams []string
	token     string // of the hold; "" for none
	holder    string // who has it
	holds     int
	prolonged int
	// beforeSwitch is called before a switch is looked at.
	beforeSwitch func()
}

func newFakeProxy(t *testing.T, upstreams ...string) *fakeProxy {
	t.Helper()
	p := &fakeProxy{upstreams: upstreams, beforeSwitch: func() {}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		status := map[string]any{"version": "1", "listen": "127.0.0.1:1", "choice": "primary", "held": nil}
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
		case token != "":
			p.prolonged++
		default:
			p.holds++
			p.token, p.holder = fmt.Sprint("hold ", p.holds), r.RemoteAddr
		}
		json.NewEncoder(w).Encode(map[string]string{"token": p.token})
	})
	mux.HandleFunc("POST /switch", func(w http.ResponseWriter, r *http.Request) {
		p.beforeSwitch()
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
	p.adminNode = adminNodeAt(t, s.Listener.Addr().String())
	return p
}

func adminNodeAt(t *testing.T, addr string) *adminNode {
	t.Helper()
	nodes, err := (&adminConfig{Admin: []string{addr}, Timeout: 10 * time.Second}).nodes()
	if err != nil {
		t.Fatal(err)
	}
	return nodes[0]
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
	err = moveHint(err, "", "")
	if err == nil || !strings.Contains(err.Error(), "proxy "+p.addr+": another move") || !strings.Contains(err.Error(), p.holder) {
		t.Errorf("got %v, want who holds it: %s", err, p.holder)
	}
}

// expire ends the hold.
func (p *fakeProxy) expire() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.token = ""
}

// A hold that ends before any proxy has switched lets all go on at the source. Once one has, the others follow under a new hold.
func TestMigrateHoldEnds(t *testing.T) {
	first, second := newFakeProxy(t, "source:1"), newFakeProxy(t, "source:1")
	h := &heldProxies{nodes: []*adminNode{first.adminNode, second.adminNode}, upstreams: []string{"target:1"}}
	if err := h.hold(t.Context()); err != nil {
		t.Fatal(err)
	}
	second.expire()
	if err := h.switchOver(t.Context()); !errors.Is(err, migrate.ErrLetGo) {
		t.Errorf("a hold ended before the switch: %v", err)
	}
	h.release(t.Context())
	if switched, err := h.switched(t.Context()); switched || err != nil {
		t.Errorf("after it was let go: %v, %v", switched, err)
	}
	if err := h.hold(t.Context()); err != nil {
		t.Fatal(err)
	}
	first.beforeSwitch = first.expire
	if err := h.switchOver(t.Context()); !errors.Is(err, migrate.ErrLetGo) {
		t.Errorf("a hold ended at the first switch: %v", err)
	}
	h.release(t.Context())
	first.beforeSwitch, second.beforeSwitch = func() {}, sync.OnceFunc(second.expire)
	if err := h.hold(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := h.switchOver(t.Context()); err != nil {
		t.Errorf("a hold ended at the second switch: %v", err)
	}
	for _, p := range []*fakeProxy{first, second} {
		if p.upstreams[0] != "target:1" || p.token != "" {
			t.Errorf("upstreams %q, hold %q", p.upstreams, p.token)
		}
	}
	if second.holds != first.holds+1 {
		t.Errorf("the second was held %d times, the first %d", second.holds, first.holds)
	}
}

// The holds of those that have not switched yet are prolonged while another one takes its time.
func TestMigrateHoldIsKept(t *testing.T) {
	first, second := newFakeProxy(t, "source:1"), newFakeProxy(t, "source:1")
	h := &heldProxies{nodes: []*adminNode{first.adminNode, second.adminNode}, upstreams: []string{"target:1"}}
	if err := h.hold(t.Context()); err != nil {
		t.Fatal(err)
	}
	prolonged := func() int {
		second.mu.Lock()
		defer second.mu.Unlock()
		return second.prolonged
	}
	first.beforeSwitch = func() {
		for before := prolonged(); prolonged() == before && t.Context().Err() == nil; {
			time.Sleep(time.Millisecond)
		}
	}
	if err := h.switchOver(t.Context()); err != nil || second.holds != 1 {
		t.Errorf("%v, %d holds", err, second.holds)
	}
}

// Proxies of another pair are not cut over; those of this one are known by any form of its addresses.
func TestMigrateProxyElsewhere(t *testing.T) {
	p, other := newFakeProxy(t, "127.0.0.1:4001", "10.1.2.3:4002"), newFakeProxy(t, "unix:/run/other", "10.1.2.3:4009")
	h := &heldProxies{nodes: []*adminNode{p.adminNode}}
	for _, tt := range []struct {
		source place
		known  bool
	}{
		{place{"127.0.0.1:4001", "127.0.0.1:1"}, true},
		{place{"localhost:4001", "127.0.0.1:1"}, true},
		{place{"0.0.0.0:4001", "127.0.0.1:1"}, true},
		{place{"[::]:4002", "10.1.2.3:1"}, true},
		{place{"127.0.0.1:4002", "10.1.2.3:1"}, true},
		{place{"[::ffff:10.1.2.3]:4002", ":1"}, true},
		{place{"127.0.0.1:4009", "127.0.0.1:1"}, false},
		{place{"10.1.2.4:4002", "10.1.2.4:1"}, false},
		{place{"127.0.0.1:4001", "10.1.2.4:1"}, false},
	} {
		err := h.check(t.Context(), []place{{"10.9.9.9:1", ":1"}, tt.source})
		if tt.known && err != nil || !tt.known && (!errors.Is(err, errElsewhere) || !strings.Contains(err.Error(), "sends to 127.0.0.1:4001 and 10.1.2.3:4002")) {
			t.Errorf("%v: %v", tt.source, err)
		}
	}
	h.nodes = append(h.nodes, other.adminNode)
	if err := h.check(t.Context(), []place{{"127.0.0.1:4001", ":1"}}); !errors.Is(err, errElsewhere) || strings.Contains(err.Error(), p.addr) || !strings.Contains(err.Error(), other.addr) {
		t.Errorf("one of two: %v", err)
	}
	if err := h.check(t.Context(), []place{{"127.0.0.1:4001", ":1"}, {"unix:/run/other", ":1"}}); err != nil {
		t.Errorf("a socket of unix: %v", err)
	}
}

// An address of something else is told of as what it is.
func TestMigrateDescribe(t *testing.T) {
	for _, tt := range []struct {
		status string
		kind   adminKind
		code   int
	}{
		{`{"version":"1","node":1,"listen":["a:1"],"log_identity":"x","peer_log_identities":["y"],"store":{"items":0}}`, nodeKind, 200},
		{`{"version":"1","listen":["a:1"],"store":"redis-cluster","nodes":["id"],"prefix":"p:"}`, clusterFrontKind, 200},
		{`{"version":"1","listen":"a:1","choice":"primary","upstreams":[{"addr":"b:1"}]}`, proxyKind, 200},
		{`{"version":"1","listen":"a:1","upstreams":[{"addr":"b:1"}]}`, gatewayKind, 200},
		{`{"some":"value"}`, "", 200},
		{"a value under the key status", "", 200},
		{"not found", "", 404},
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(tt.code)
			io.WriteString(w, tt.status)
		}))
		n := adminNodeAt(t, s.Listener.Addr().String())
		for _, wanted := range []adminKind{nodeKind, clusterFrontKind, proxyKind} {
			got, err := n.describe(t.Context(), wanted)
			_, wrong := errors.AsType[usageError](err)
			switch {
			case wanted == tt.kind:
				if err != nil || got.kind != wanted {
					t.Errorf("%s: %q, %v", tt.status, got.kind, err)
				}
			case !wrong || !strings.Contains(err.Error(), n.addr+" is ") || !strings.Contains(err.Error(), "want the --admin-listen address of a "+string(wanted)):
				t.Errorf("%s as a %s: %v", tt.status, wanted, err)
			case tt.kind != "" && !strings.Contains(err.Error(), "of a "+string(tt.kind)+":"), tt.kind == "" && !strings.Contains(err.Error(), "a client port"):
				t.Errorf("%s as a %s: %v, want what it is", tt.status, wanted, err)
			}
		}
		s.Close()
	}
}
