package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/futago/futago/internal/server"
	"github.com/futago/futago/internal/store"
)

// ReloadReport is what a reload did.
type ReloadReport struct {
	Node    int      `json:"node"`
	Changed []Change `json:"changed"`       // in force now
	Restart []Change `json:"needs_restart"` // as before until then
	Read    []string `json:"read_again"`    // of users, certificates, admin certificates, script
}

// Change is a setting that has another value than the one in force.
type Change struct {
	Name   string   `json:"name"`
	Old    []string `json:"old"` // empty of a secret, as new is
	New    []string `json:"new"`
	Source string   `json:"source"` // of the new one: default, a file, variable or flag
	Secret bool     `json:"secret,omitempty"`
}

// changeable are the settings that a reload puts in force, each with how it is taken over.
var changeable = map[string]func(to, from *Config){
	"compact-rate":       func(to, from *Config) { to.CompactRate = from.CompactRate },
	"drain-timeout":      func(to, from *Config) { to.DrainTimeout = from.DrainTimeout },
	"first-byte-timeout": func(to, from *Config) { to.FirstByteTimeout = from.FirstByteTimeout },
	"idle-timeout":       func(to, from *Config) { to.IdleTimeout = from.IdleTimeout },
	"log-level": func(to, from *Config) {
		if to.LogLevel != nil && from.LogLevel != nil {
			to.LogLevel.Set(from.LogLevel.Level())
		}
	},
	"log-retain":      func(to, from *Config) { to.LogRetain = from.LogRetain },
	"max-conns":       func(to, from *Config) { to.MaxConns = from.MaxConns },
	"min-free":        func(to, from *Config) { to.MinFree = from.MinFree },
	"request-timeout": func(to, from *Config) { to.RequestTimeout = from.RequestTimeout },
	"slow-threshold":  func(to, from *Config) { to.SlowThreshold = from.SlowThreshold },
}

// Changeable are the names of the settings that a reload puts in force, in order.
func Changeable() []string { return slices.Sorted(maps.Keys(changeable)) }

// clientLimits and storeLimits are those of their packages that a reload may change.
func (c *Config) clientLimits() server.Limits {
	return server.Limits{MaxConns: c.MaxConns, FirstByteTimeout: c.FirstByteTimeout, IdleTimeout: c.IdleTimeout, RequestTimeout: c.RequestTimeout}
}

func (c *Config) storeLimits() store.Limits {
	return store.Limits{MinFree: c.MinFree, LogRetain: c.LogRetain, CompactRate: c.CompactRate}
}

// present is the configuration with what reloads have changed. It must not be changed.
func (n *Node) present() *Config {
	if c := n.latest.Load(); c != nil {
		return c
	}
	return &n.cfg
}

// Reload reads the settings, the file of users, the certificates of the client and admin addresses and the script again, opens the
// audit log again, and logs what came of it. On an error, which names everything that is wrong, all stays what it was.
func (n *Node) Reload() (ReloadReport, error) {
	n.rereads.Lock()
	defer n.rereads.Unlock()
	r, err := n.reload()
	if err != nil {
		n.logger.Error("reload refused, everything stays what it was", "err", strings.ReplaceAll(err.Error(), "\n", "; "))
		return r, err
	}
	for _, c := range r.Changed {
		n.logger.Info("setting changed", c.attrs()...)
	}
	for _, c := range r.Restart {
		n.logger.Warn("setting needs a restart", c.attrs()...)
	}
	n.logger.Info("reload done", "changed", len(r.Changed), "needs_restart", len(r.Restart), "read_again", strings.Join(r.Read, ","))
	return r, nil
}

func (n *Node) reload() (ReloadReport, error) {
	r := ReloadReport{Node: n.cfg.Node, Changed: []Change{}, Restart: []Change{}, Read: []string{}}
	if !n.opened.Load() {
		return r, errors.New("the log is being read: ask again")
	}
	next, fresh := *n.present(), Config{}
	next.Settings = slices.Clone(next.Settings)
	var problems []error
	if n.cfg.Reread != nil {
		var err error
		fresh, err = n.cfg.Reread()
		problems = append(problems, err)
		r.compare(next.Settings, fresh.Settings)
	}
	var taking []func()
	for _, f := range n.files() {
		take, err := f.read()
		problems = append(problems, err)
		taking = append(taking, take)
		r.Read = append(r.Read, f.name)
	}
	problems = append(problems, n.audit.Reopen()) // which may have been moved away, whatever else is wrong
	if err := errors.Join(problems...); err != nil {
		return ReloadReport{Node: n.cfg.Node}, err
	}
	// The script last: reading it is taking it.
	if n.listening.Load() && n.script != nil {
		if err := n.script.Reload(); err != nil {
			return ReloadReport{Node: n.cfg.Node}, fmt.Errorf("read script: %w", err)
		}
		r.Read = append(r.Read, "script")
	}
	for _, take := range taking {
		take()
	}
	for _, c := range r.Changed {
		changeable[c.Name](&next, &fresh)
	}
	n.latest.Store(&next)
	n.server.SetLimits(next.clientLimits())
	n.store.SetLimits(next.storeLimits())
	n.server.SlowLog().SetThreshold(next.SlowThreshold)
	return r, nil
}

// compare sorts what differs in fresh, and puts into settings what is to be in force.
func (r *ReloadReport) compare(settings, fresh []Setting) {
	for _, to := range fresh {
		at := slices.IndexFunc(settings, func(s Setting) bool { return s.Name == to.Name })
		if at < 0 {
			continue
		}
		from := &settings[at]
		if slices.Equal(from.Values, to.Values) && slices.Equal(from.Hidden, to.Hidden) {
			continue
		}
		c := Change{to.Name, from.Values, to.Values, to.Source, to.Secret}
		if changeable[to.Name] == nil {
			r.Restart = append(r.Restart, c)
			continue
		}
		r.Changed = append(r.Changed, c)
		*from = to
	}
}

// attrs are the change as the log tells it.
func (c *Change) attrs() []any {
	if c.Secret {
		return []any{slog.String("setting", c.Name), slog.String("source", c.Source)}
	}
	return []any{slog.String("setting", c.Name), slog.String("old", strings.Join(c.Old, " ")), slog.String("new", strings.Join(c.New, " ")), slog.String("source", c.Source)}
}

// file is one that is read again: read returns how to take what it says.
type file struct {
	name string
	read func() (take func(), err error)
}

// files are those of what protects the client and admin addresses.
func (n *Node) files() (all []file) {
	if n.users != nil {
		all = append(all, file{"users", n.users.Prepare})
	}
	if n.tls != nil {
		all = append(all, file{"certificates", n.tls.Prepare})
	}
	if n.adminTLS != nil {
		all = append(all, file{"admin certificates", n.adminTLS.Prepare})
	}
	return all
}

// serveReload is a reload that an operator asks for, who learns what came of it.
func (n *Node) serveReload(w http.ResponseWriter, r *http.Request) error {
	n.logger.Warn("an operator's action", "action", "reload", "remote", r.RemoteAddr)
	report, err := n.Reload()
	if err != nil {
		return httpError{http.StatusConflict, errors.New(strings.ReplaceAll(err.Error(), "\n", "; "))}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	return json.NewEncoder(w).Encode(report)
}
