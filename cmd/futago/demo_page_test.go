package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
)

func TestGuardPage(t *testing.T) {
	const local = "127.0.0.1:40000"
	for _, c := range []struct {
		name, method, host, remote, header string
		want                               int
	}{
		{"read", "GET", "127.0.0.1:11380", local, "", 200},
		{"read by name", "GET", "localhost:11380", local, "", 200},
		{"change", "POST", "127.0.0.1:11380", local, "1", 200},
		{"change by a foreign page", "POST", "127.0.0.1:11380", local, "", 403},
		{"change with another value", "POST", "127.0.0.1:11380", local, "yes", 403},
		{"put by a foreign page", "PUT", "127.0.0.1:11380", local, "", 403},
		{"name that was made to lead here", "GET", "evil.example:11380", local, "", 421},
		{"the same with the header", "POST", "evil.example:11380", local, "1", 421},
		{"another port", "GET", "127.0.0.1:11381", local, "", 421},
		{"no host", "GET", "", local, "", 421},
		{"another machine", "POST", "127.0.0.1:11380", "192.0.2.1:40000", "1", 403},
	} {
		r := httptest.NewRequest(c.method, "/restart?node=1", nil)
		r.Host, r.RemoteAddr = c.host, c.remote
		if c.header != "" {
			r.Header.Set(demoHeader, c.header)
		}
		passed := false
		w := httptest.NewRecorder()
		guardPage(11380, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { passed = true })).ServeHTTP(w, r)
		if w.Code != c.want || passed != (c.want == 200) {
			t.Errorf("%s: got status %d, passed %v, want %d", c.name, w.Code, passed, c.want)
		}
		if csp := w.Header().Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'; script-src 'self'; style-src 'self';") {
			t.Errorf("%s: got policy %q", c.name, csp)
		}
	}
}

// newPageDemo returns a demo whose nodes do not run. Its handler sees requests as if they came to its port.
func newPageDemo(t *testing.T) (*demo, func(method, path, body string) (int, string)) {
	t.Helper()
	ports := demoPorts{base: 1, client: [2]int{1, 2}, peer: [2]int{3, 4}, admin: [2]int{5, 6}} // page and gateway at free ports
	d, err := newDemo(ports, "/nowhere/futago", t.TempDir(), newAnnouncer(io.Discard))
	if err != nil {
		t.Fatal(err)
	}
	// The gateway closes its listeners only when it runs.
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := d.gateway.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() { cancel(); <-ended; d.page.Close() })
	handler := d.pageHandler(ctx)
	return d, func(method, path, body string) (int, string) {
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		r.Host, r.RemoteAddr = loopback(d.ports.page), "127.0.0.1:40000"
		r.Header.Set(demoHeader, "1")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
}

func TestPageServes(t *testing.T) {
	_, ask := newPageDemo(t)
	for _, c := range []struct {
		method, path string
		want         int
		part         string
	}{
		{"GET", "/", 200, "<title>futago demo</title>"},
		{"GET", "/app.js", 200, "textContent"},
		{"GET", "/style.css", 200, "prefers-color-scheme: dark"},
		{"GET", "/secret", 404, ""},
		{"GET", "/restart?node=1", 404, ""},
		{"POST", "/restart?node=3", 400, "want 1 to 2"},
		{"POST", "/restart", 400, "want 1 to 2"},
		{"POST", "/restart?node=1", 500, "start /nowhere/futago"},
		{"POST", "/kill?node=2", 200, "node 2 is not running"},
		{"GET", "/api/key?via=3&key=a", 400, "want 1, 2 or gateway"},
		{"GET", "/api/key?via=1&key=", 400, "want 1 to 250"},
		{"GET", "/api/key?via=1&key=" + strings.Repeat("k", 251), 400, "want 1 to 250"},
		{"POST", "/api/key?via=1&key=a", 400, "at most 65536 bytes"},
	} {
		body := ""
		if strings.HasPrefix(c.path, "/api/key?via=1&key=a") {
			body = strings.Repeat("x", maxDemoValue+1)
		}
		if code, text := ask(c.method, c.path, body); code != c.want || !strings.Contains(text, c.part) {
			t.Errorf("%s %.40s: got status %d and %.200q, want %d and %q", c.method, c.path, code, text, c.want, c.part)
		}
	}
}

func TestPageState(t *testing.T) {
	d, ask := newPageDemo(t)
	d.tell(plainTone, "INFO", "<b>bold</b>", "")
	code, text := ask("GET", "/api/state", "")
	var s demoState
	if err := json.Unmarshal([]byte(text), &s); err != nil || code != 200 {
		t.Fatalf("state: status %d, %v", code, err)
	}
	if len(s.Nodes) != 2 || s.Nodes[1].Node != 2 || s.Nodes[0].State != "starting" || s.Nodes[0].History == nil || len(s.Gateway.Status.Upstreams) != 2 {
		t.Errorf("state: got %+v", s)
	}
	if !slices.ContainsFunc(s.Events, func(e demoEvent) bool { return e.Source == "demo" && e.Text == "<b>bold</b>" }) {
		t.Errorf("events: got %+v", s.Events)
	}
}

// TestAskKey speaks to a server that answers as its path says.
func TestAskKey(t *testing.T) {
	var put string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch key, _ := url.PathUnescape(strings.TrimPrefix(r.URL.EscapedPath(), "/")); {
		case r.Method == http.MethodPut:
			put = key + "=" + string(body)
			w.WriteHeader(http.StatusCreated)
		case key == "a/b ?":
			io.WriteString(w, "caf\xe9")
		case key == "large":
			io.WriteString(w, strings.Repeat("x", maxDemoValue+1))
		case key == "broken":
			http.Error(w, "out of luck", http.StatusServiceUnavailable)
		default:
			http.NotFound(w, r)
		}
	}))
	defer server.Close()
	addr := strings.TrimPrefix(server.URL, "http://")
	for _, c := range []struct {
		key, value, problem string
		status              int
		cut                 bool
	}{
		{"a/b ?", "caf\uFFFD", "", 200, false},
		{"large", strings.Repeat("x", maxDemoValue), "", 200, true},
		{"broken", "", "out of luck", 503, false},
		{"absent", "", "", 404, false},
	} {
		a := askKey(t.Context(), http.MethodGet, addr, "1", c.key, nil)
		if a.Via != "1" || a.Status != c.status || a.Value != c.value || a.Error != c.problem || a.Cut != c.cut {
			t.Errorf("get %q: got %.200v", c.key, a)
		}
	}
	if a := askKey(t.Context(), http.MethodPut, addr, "2", "k\r\n", []byte("v")); a.Status != 201 || put != "k\r\n=v" {
		t.Errorf("put: got %+v, and the server got %q", a, put)
	}
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	if a := askKey(t.Context(), http.MethodGet, closed.Addr().String(), "1", "k", nil); a.Status != 0 || !strings.Contains(a.Error, "connection refused") {
		t.Errorf("get from nobody: got %+v", a)
	}
}
