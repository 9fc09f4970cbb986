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

// AdminHandler serves the operators' pages: / names the others, /healthz, /readyz, which answers 200 in state "ready" and else 503, /status,
// the document that status returns as JSON, /metrics, the profiles, and POST /reload. The functions are called for each request.
// listen is the setting of their address.
func AdminHandler(listen string, state func() (state, reason string), status func() any, reloads *Reloads, metrics prometheus.Gatherer, profiles profile.Config) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeState(w, http.StatusOK, "ok", "process lives")
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		state, reason := state()
		writeState(w, http.StatusOK, state, reason)
		fmt.Fprint(w, pages)
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
