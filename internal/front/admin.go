package front

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/futago/futago/internal/access"
	"github.com/futago/futago/internal/profile"
)

// pages are what / names.
const pages = `
/healthz  200 while the process lives
/readyz   200 while clients may be sent here, else 503, and why
/status   everything, as JSON
/metrics  for Prometheus
/reload   POST: read the configuration again
`

// Page is an action that only some fronts have, a POST.
type Page struct {
	Path  string
	About string // for /, a line
	Serve http.HandlerFunc
}

// AdminHandler serves the operators' pages: / names the others, /healthz, /readyz, which answers 200 in state "ready" and else 503, /status,
// the document that status returns as JSON, /metrics, the profiles, POST /reload, and more. The functions are called for each request.
// listen is the setting of their address.
func AdminHandler(listen string, state func() (state, reason string), status func() any, reloads *Reloads, metrics prometheus.Gatherer, profiles profile.Config, more ...Page) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeState(w, http.StatusOK, "ok", "process lives")
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		state, reason := state()
		writeState(w, http.StatusOK, state, reason)
		fmt.Fprint(w, pages)
		for _, p := range more {
			fmt.Fprintf(w, "%-9s POST: %s\n", p.Path, p.About)
		}
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		state, reason := state()
		code := http.StatusServiceUnavailable
		if state == "ready" {
			code = http.StatusOK
		}
		writeState(w, code, state, reason)
	})
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		encoder.Encode(status()) // the only error is a reader that is gone
	})
	mux.Handle("POST /reload", access.OwnPages(listen, reloads))
	for _, p := range more {
		mux.Handle("POST "+p.Path, access.OwnPages(listen, p.Serve))
	}
	profiles.Handle(mux)
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	return mux
}

// writeState writes the one-line body that load balancers and people read.
func writeState(w http.ResponseWriter, code int, state, reason string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	fmt.Fprintf(w, "%s: %s\n", state, reason)
}
