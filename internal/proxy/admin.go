package proxy

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/futago/futago/internal/front"
)

// adminTimeout bounds a request to the admin address.
const adminTimeout = 10 * time.Second

func (p *Proxy) adminServer() *http.Server {
	return &http.Server{
		Handler: p.AdminHandler(), ReadHeaderTimeout: adminTimeout, ReadTimeout: adminTimeout, WriteTimeout: adminTimeout,
		IdleTimeout: time.Minute, MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(p.log.Handler(), slog.LevelDebug),
	}
}

// AdminHandler returns the handler of /healthz, /readyz, /metrics, /status, /reload, /hold, /switch and /release.
func (p *Proxy) AdminHandler() http.Handler {
	return p.guard.Guard(front.AdminHandler(p.cfg.AdminListen, p.state, func() any { return p.Status() }, p.reloads, p.gatherer, p.cfg.Profile, p.pages()...))
}
