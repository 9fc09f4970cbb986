package node

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/futago/futago/internal/access"
	"github.com/futago/futago/internal/node/web"
)

// send asks the admin port and returns the answer with its body read.
func send(t *testing.T, r *running, method, path string, change func(*http.Request)) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequest(method, "http://"+r.admin.addr()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(request)
	}
	resp, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

// asOperator is what the page and the command line put on an action.
func asOperator(r *http.Request) { r.Header.Set(access.ActionHeader, "1") }

// startPair returns two nodes that are ready and follow each other.
func startPair(t *testing.T) (a, b *running) {
	ca, cb := pairConfigs(t)
	ca.CatchupTimeout, cb.CatchupTimeout = 10*time.Second, 10*time.Second
	ca.PeerTimeout, cb.PeerTimeout = 5*time.Second, 5*time.Second // idle links last
	a, b = start(t, ca), start(t, cb)
	a.waitReady(t)
	b.waitReady(t)
	return a, b
}

func TestAdminGuard(t *testing.T) {
	r := start(t, testConfig(t, 1))
	r.waitReady(t)
	_, port, _ := strings.Cut(r.admin.addr(), ":")
	head := func(pairs ...string) func(*http.Request) {
		return func(r *http.Request) {
			for i := 0; i < len(pairs); i += 2 {
				if pairs[i] == "Host" {
					r.Host = pairs[i+1]
				} else {
					r.Header.Set(pairs[i], pairs[i+1])
				}
			}
		}
	}
	for _, c := range []struct {
		name, method, path string
		change             func(*http.Request)
		want               int
	}{
		{"read", "GET", "/status", nil, 200},
		{"read by name", "GET", "/status", head("Host", "localhost:"+port), 200},
		{"name that was made to lead here", "GET", "/key?key=a", head("Host", "evil.example:"+port), 421},
		{"the same with the header", "POST", "/sync", head("Host", "evil.example:"+port, access.ActionHeader, "1", "Origin", "http://evil.example:"+port), 421},
		{"action", "POST", "/sync", asOperator, 200},
		{"action of the page", "POST", "/sync", head(access.ActionHeader, "1", "Origin", "http://"+r.admin.addr(), "Sec-Fetch-Site", "same-origin"), 200},
		{"action without header", "POST", "/sync", nil, 403},
		{"action with another value", "POST", "/sync", head(access.ActionHeader, "yes"), 403},
		{"action of another origin", "POST", "/sync", head(access.ActionHeader, "1", "Origin", "http://evil.example"), 403},
		{"action of another site", "POST", "/sync", head(access.ActionHeader, "1", "Sec-Fetch-Site", "cross-site"), 403},
		{"drain without header", "POST", "/drain?force=1", nil, 403},
		{"undrain without header", "POST", "/undrain", nil, 403},
		{"verify without header", "POST", "/verify", nil, 403},
		{"forget without header", "POST", "/peers/forget?node=2", nil, 403},
		{"action as a read", "GET", "/drain", nil, 405},
		{"no peer to compare with", "POST", "/verify", asOperator, 409},
		{"not drained", "POST", "/undrain", asOperator, 409},
		{"nobody to drain to", "POST", "/drain", asOperator, 409},
	} {
		resp, body := send(t, r, c.method, c.path, c.change)
		if resp.StatusCode != c.want {
			t.Errorf("%s: got status %d and %q, want %d", c.name, resp.StatusCode, body, c.want)
		}
		if got := resp.Header.Get("Content-Security-Policy"); got != web.Policy || resp.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: got policy %q and nosniff %q", c.name, got, resp.Header.Get("X-Content-Type-Options"))
		}
	}
	if ok, text := r.readiness(); !ok {
		t.Errorf("readiness after refused actions: %s", text)
	}
	var noted []string
	for _, e := range r.events.recent() {
		if strings.HasPrefix(e.Text, "an operator's action") {
			noted = append(noted, e.Text)
		}
	}
	if all := strings.Join(noted, "\n"); strings.Count(all, "action=sync") != 2 || strings.Count(all, "action failed") != 3 || !strings.Contains(all, "remote=127.0.0.1:") {
		t.Errorf("actions in the events: got\n%s\nwant two of sync, and three that failed", all)
	}
}
