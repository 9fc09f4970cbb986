package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/futago/futago/internal/clusterfront"
	"github.com/futago/futago/internal/gateway"
	"github.com/futago/futago/internal/node"
	"github.com/futago/futago/internal/proxy"
)

// TestAdminKinds asks what is no node for what only nodes have.
func TestAdminKinds(t *testing.T) {
	const version = "1.2.3"
	for kind, status := range map[adminKind]any{
		clusterFrontKind: clusterfront.Status{Version: version, Store: "redis-cluster"},
		proxyKind:        proxy.Status{Version: version, Choice: "primary", Upstreams: []proxy.UpstreamStatus{{}}},
		gatewayKind:      gateway.Status{Version: version, Upstreams: []gateway.UpstreamStatus{{}}},
		nodeKind:         node.Status{Version: version, Node: 1, State: node.Ready},
	} {
		document, err := json.Marshal(status)
		if err != nil {
			t.Fatal(err)
		}
		if got := kindOf(document); got != kind {
			t.Errorf("kind of %s: %q, want %q", document, got, kind)
		}
		if kind == nodeKind {
			continue
		}
		mux := http.NewServeMux()
		mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(document) })
		server := httptest.NewServer(mux)
		defer server.Close()
		addr := strings.TrimPrefix(server.URL, "http://")
		for _, args := range [][]string{
			{"top", "--once"}, {"clock"}, {"peer", "list"}, {"peer", "forget", "7"}, {"slow"}, {"hot"}, {"conflicts"}, {"list"}, {"watch"},
			{"backup", "-o", t.TempDir()}, {"verify", "--admin", addr},
		} {
			code, _, told := runFutago(nil, append(args, "--admin", addr)...)
			if code != exitFailure || !strings.Contains(told, addr) || !strings.Contains(told, "that is the admin address of a "+string(kind)) ||
				!strings.HasSuffix(told, "\n"+kind.hint()+"\n") {
				t.Errorf("futago %s at a %s: exit code %d, told %q", strings.Join(args, " "), kind, code, told)
			}
		}
		if code, _, told := runFutago(nil, "status", "--admin", addr); code != exitOK {
			t.Errorf("futago status at a %s: exit code %d, told %q", kind, code, told)
		}
	}
}
