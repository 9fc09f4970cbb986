package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"time"
)

//go:embed web
var demoWeb embed.FS

// demoHeader must be on every request that changes something. A page of another site cannot send it: its browser asks
// first, and gets no permission.
const demoHeader = "X-Futago-Demo"

// pageServer returns the server of the page. What it does for a request ends with ctx.
func (d *demo) pageServer(ctx context.Context) *http.Server {
	return &http.Server{
		Handler: d.pageHandler(ctx), BaseContext: func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		// A restart is answered when the node is ready.
		WriteTimeout: demoReadyTimeout + demoStopTimeout, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
	}
}

// pageHandler serves the page. What it starts goes on when the browser turns away, until ctx ends.
func (d *demo) pageHandler(ctx context.Context) http.Handler {
	files, err := fs.Sub(demoWeb, "web")
	if err != nil {
		panic("the embedded folder has no such name: " + err.Error())
	}
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServerFS(files))
	mux.HandleFunc("GET /api/state", func(w http.ResponseWriter, _ *http.Request) {
		replyJSON(w, d.state())
	})
	mux.HandleFunc("GET /api/key", d.serveKey)
	mux.HandleFunc("POST /api/key", d.serveKey)
	mux.HandleFunc("POST /restart", d.operation(func(n *demoNode) (string, error) {
		return d.restart(ctx, n)
	}))
	mux.HandleFunc("POST /kill", d.operation(func(n *demoNode) (string, error) {
		p := n.kill()
		if p == nil {
			return fmt.Sprintf("node %d is not running", n.id), nil
		}
		return fmt.Sprintf("node %d %s", n.id, p.ending()), nil
	}))
	return guardPage(d.ports.page, mux)
}

// operation serves a POST that does something to the node of the query and says in text what happened.
func (d *demo) operation(do func(*demoNode) (string, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id, err := parseDemoNode(r.URL.Query().Get("node"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		text, err := do(d.nodes[id-1])
		if err != nil {
			text := err.Error()
			if h, ok := errors.AsType[hintError](err); ok {
				text += "\n" + h.hint
			}
			http.Error(w, text, http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintln(w, text)
	}
}

// guardPage lets only programs of this machine and the page itself through. The name in Host keeps out a foreign page
// whose name was made to lead to this machine.
func guardPage(port int, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		host, _, err := net.SplitHostPort(r.RemoteAddr)
		if ip := net.ParseIP(host); err != nil || !ip.IsLoopback() {
			http.Error(w, "only for this machine", http.StatusForbidden)
			return
		}
		if r.Host != loopback(port) && r.Host != fmt.Sprintf("localhost:%d", port) {
			http.Error(w, fmt.Sprintf("the page is at http://%s/", loopback(port)), http.StatusMisdirectedRequest)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead && r.Header.Get(demoHeader) != "1" {
			http.Error(w, "a request that changes something needs the header "+demoHeader+": 1", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func replyJSON(w http.ResponseWriter, document any) {
	w.Header().Set("Content-Type", "application/json")
	writeJSON(w, document) // the only error is a reader that is gone
}
