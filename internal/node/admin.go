package node

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/futago/futago/internal/server"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// adminServer serves health, status and metrics. It is open from the first moment to the last.
type adminServer struct {
	ln   net.Listener
	http *http.Server
	done chan struct{}
}

func (n *Node) openAdmin() (*adminServer, error) {
	l, err := server.ParseListen(n.cfg.AdminListen)
	if err != nil {
		return nil, fmt.Errorf("admin-listen: %w", err)
	}
	ln, err := l.Open()
	if err != nil {
		return nil, fmt.Errorf("admin-listen: %w", err)
	}
	a := &adminServer{ln: ln, done: make(chan struct{}), http: &http.Server{
		Handler: n.adminHandler(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second,
		IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
	}}
	n.logger.Info("listening for admin requests", "addr", ln.Addr().String())
	go func() {
		defer close(a.done)
		a.http.Serve(ln)
	}()
	return a, nil
}

func (a *adminServer) addr() string { return a.ln.Addr().String() }

func (a *adminServer) close() {
	a.http.Close()
	<-a.done
}

func (n *Node) adminHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		plain(w, http.StatusOK, "ok")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		state, reason, _ := n.state.get()
		ok, text := false, fmt.Sprintf("%s: %s", state, reason)
		if n.opened.Load() {
			ok, text = n.readiness()
		}
		if ok && !n.listening.Load() {
			ok, text = false, "starting: the client port is being opened"
		}
		if !ok {
			plain(w, http.StatusServiceUnavailable, text)
			return
		}
		plain(w, http.StatusOK, text)
	})
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		enc.Encode(n.Status())
	})
	n.addMesh(mux)
	mux.Handle("GET /metrics", promhttp.HandlerFor(n.registry, promhttp.HandlerOpts{}))
	n.cfg.Profile.Handle(mux)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		plain(w, http.StatusOK, fmt.Sprintf("futago %s, node %d: see /status /readyz /healthz /metrics /changes", n.cfg.Version, n.cfg.Node))
	})
	return mux
}

func plain(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	fmt.Fprintln(w, text)
}
