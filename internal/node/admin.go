package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/futago/futago/internal/access"
	"github.com/futago/futago/internal/node/web"
	"github.com/futago/futago/internal/server"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// adminServer serves health, status, metrics, the dashboard and what operators ask for. It is open from the first moment to the last.
type adminServer struct {
	ln   net.Listener
	http *http.Server
	done chan struct{}
}

// maxAdminHead has room for a key of 65,535 bytes, fully percent-encoded.
const maxAdminHead = 256 << 10

func (n *Node) openAdmin() (*adminServer, error) {
	l, err := server.ParseListen(n.cfg.AdminListen)
	if err != nil {
		return nil, fmt.Errorf("admin-listen: %w", err)
	}
	ln, err := l.Open()
	if err != nil {
		return nil, fmt.Errorf("admin-listen: %w", err)
	}
	if l.TLS != server.NoTLS {
		ln = n.tls.Listener(ln, l.TLS == server.MutualTLS)
	}
	a := &adminServer{ln: ln, done: make(chan struct{}), http: &http.Server{
		Handler: n.adminHandler(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second,
		IdleTimeout: time.Minute, MaxHeaderBytes: maxAdminHead, ErrorLog: slog.NewLogLogger(n.logger.Handler(), slog.LevelDebug),
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
		state, reason, since := n.current()
		plain(w, http.StatusOK, fmt.Sprintf("ok: %s for %v: %s", state, time.Since(since).Round(time.Second), reason))
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
	mux.Handle("GET /metrics", promhttp.HandlerFor(n.registry, promhttp.HandlerOpts{}))
	n.cfg.Profile.Handle(mux)
	web.Handle(mux, "index.html")
	n.addDocuments(mux)
	n.addActions(mux)
	login := &access.Login{Users: n.users, MetricsOpen: n.cfg.MetricsOpen, Audit: n.audit, Asks: []string{"/records"}}
	return n.guard(login.Guard(mux))
}

// addDocuments adds what tools and the dashboard read of an opened node.
func (n *Node) addDocuments(mux *http.ServeMux) {
	for pattern, serve := range map[string]func(w http.ResponseWriter, r *http.Request) error{
		"GET /changes":   n.serveChanges,
		"GET /clients":   n.serveClients,
		"GET /conflicts": n.serveConflicts,
		"GET /digest":    n.serveDigest,
		"GET /history":   n.serveHistory,
		"GET /hot":       n.serveHot,
		"GET /key":       n.serveKey,
		"GET /keys":      n.serveKeys,
		"GET /latency":   n.serveLatency,
		"GET /peers":     n.servePeers,
		"GET /segments":  n.serveSegments,
		"GET /settings":  n.serveSettings,
		"GET /slow":      n.serveSlow,
		"POST /backup":   n.serveBackup,
		"POST /records":  n.serveRecords,
		"POST /reload":   n.serveReload,
	} {
		mux.HandleFunc(pattern, n.whenOpen(serve))
	}
}

// whenOpen serves once the store is there, and tells errors in text.
func (n *Node) whenOpen(serve func(w http.ResponseWriter, r *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !n.opened.Load() {
			plain(w, http.StatusServiceUnavailable, "the log is being read: ask again")
			return
		}
		if err := serve(w, r); err != nil {
			code := http.StatusInternalServerError
			if status, ok := errors.AsType[httpError](err); ok {
				code = status.code
			}
			plain(w, code, err.Error())
		}
	}
}

func plain(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	fmt.Fprintln(w, text)
}
