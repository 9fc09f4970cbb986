package access

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/futago/futago/internal/users"
)

const (
	// loginQuiet is how long the same login is not noted again: a page asks each second, each time with the password.
	loginQuiet = 10 * time.Minute
	// maxLogins bounds the memory for that.
	maxLogins = 1024
)

// Login is what every request to an operators' address passes. Where there are users it asks who is there: reading needs the
// right read or admin, everything else admin.
type Login struct {
	// Users are who may come; nil lets everybody do everything.
	Users *users.Users
	// MetricsOpen lets everybody read /metrics.
	MetricsOpen bool
	// Audit is told of logins.
	Audit *Audit
	// Asks are paths whose POST only asks, and tells no more than a reader without prefixes may know.
	Asks []string

	mu    sync.Mutex
	noted map[string]time.Time // logins, by when they were noted
}

type userKey struct{}

// UserOf returns who sent a request that passed a Login; nil where everybody may.
func UserOf(r *http.Request) *users.User {
	u, _ := r.Context().Value(userKey{}).(*users.User)
	return u
}

// NameOf is the name of who sent a request, "-" where nobody was asked.
func NameOf(r *http.Request) string {
	if u := UserOf(r); u != nil {
		return u.Name
	}
	return "-"
}

// Guard lets those pass to next who may. /healthz and /readyz are for everybody: load balancers have no password.
func (l *Login) Guard(next http.Handler) http.Handler {
	if l.Users == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if l.open(r) {
			next.ServeHTTP(w, r)
			return
		}
		name, u, err := l.Users.OfRequest(r, users.HostOf(r.RemoteAddr))
		if err != nil {
			if !errors.Is(err, users.ErrNone) {
				l.note(slog.LevelWarn, "login failed", name, r, "outcome", err.Error())
			}
			refuse(w, users.Refuse(w.Header(), err), err.Error())
			return
		}
		l.note(slog.LevelInfo, "login", u.Name, r, "outcome", "done")
		if !l.may(u, r) {
			l.Audit.Note(slog.LevelWarn, "request refused", "user", u.Name, "remote", r.RemoteAddr, "method", r.Method, "path", r.URL.Path, "outcome", "no right")
			refuse(w, http.StatusForbidden, fmt.Sprintf("user %s may not do that: it needs the right %s", u.Name, l.needs(r)))
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), userKey{}, u)))
	})
}

// open reports whether nobody is asked who he is.
func (l *Login) open(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	path := r.URL.Path
	return path == "/healthz" || path == "/readyz" || path == "/metrics" && l.MetricsOpen
}

// reads reports whether a request only reads.
func (l *Login) reads(r *http.Request) bool {
	if strings.HasPrefix(r.URL.Path, "/debug/") {
		return false // it slows the process down, and shows its memory
	}
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return true
	}
	for _, path := range l.Asks {
		if r.Method == http.MethodPost && r.URL.Path == path {
			return true
		}
	}
	return false
}

func (l *Login) may(u *users.User, r *http.Request) bool {
	return u.Has(users.Admin) || l.reads(r) && u.Has(users.Read)
}

func (l *Login) needs(r *http.Request) string {
	if l.reads(r) {
		return "read or admin"
	}
	return "admin"
}

// note notes a login, unless the same one was noted a short time ago. A name that is nobody's does not count, or whoever makes
// names up would fill the log; and it is not shown, for it may be a password in the wrong place.
func (l *Login) note(level slog.Level, message, name string, r *http.Request, args ...any) {
	host, now := users.HostOf(r.RemoteAddr), time.Now()
	known := name
	if l.Users.Table().User(name) == nil {
		known = ""
	}
	key := message + "\x00" + known + "\x00" + host
	l.mu.Lock()
	last, seen := l.noted[key]
	quiet := seen && now.Sub(last) < loginQuiet
	if !quiet {
		if l.noted == nil || len(l.noted) >= maxLogins {
			l.noted = map[string]time.Time{}
		}
		l.noted[key] = now
	}
	l.mu.Unlock()
	if !quiet {
		l.Audit.Note(level, message, append([]any{"user", cmp.Or(known, "?"), "remote", r.RemoteAddr}, args...)...)
	}
}

// refuse answers with a line.
func refuse(w http.ResponseWriter, status int, line string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, line+"\n")
}
