package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/futago/futago/internal/reload"
	"github.com/futago/futago/internal/server"
	"github.com/futago/futago/internal/store"
)

// ReloadReport is what a reload did. Of files it reads users, certificates, admin certificates and script.
type ReloadReport struct {
	Node int `json:"node"`
	reload.Report
}

// changeable are the settings that a reload puts in force, each with how it is taken over.
var changeable = reload.Table[Config]{
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
func Changeable() []string { return changeable.Names() }

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
		reload.Refused(n.logger, err)
		return ReloadReport{Node: n.cfg.Node}, err
	}
	r.Log(n.logger)
	return ReloadReport{n.cfg.Node, r}, nil
}

func (n *Node) reload() (r reload.Report, err error) {
	if !n.opened.Load() {
		return r, errors.New("the log is being read: ask again")
	}
	present := n.present()
	reread := reload.Sources(n.cfg.Reread, func(c *Config) []reload.Setting { return c.Settings })
	plan, err := changeable.Plan(*present, present.Settings, reread, n.files())
	if err := errors.Join(err, n.audit.Reopen()); err != nil { // the audit log may have been moved away, whatever else is wrong
		return r, err
	}
	// The script last: reading it is taking it.
	if n.listening.Load() && n.script != nil {
		if err := n.script.Reload(); err != nil {
			return r, fmt.Errorf("read script: %w", err)
		}
		plan.Report.Read = append(plan.Report.Read, "script")
	}
	next := plan.Take()
	next.Settings = plan.Settings
	n.latest.Store(&next)
	n.server.SetLimits(next.clientLimits())
	n.store.SetLimits(next.storeLimits())
	n.server.SlowLog().SetThreshold(next.SlowThreshold)
	return plan.Report, nil
}

// files are those of what protects the client and admin addresses.
func (n *Node) files() (all []reload.File) {
	if n.users != nil {
		all = append(all, reload.File{Name: "users", Read: n.users.Prepare})
	}
	if n.tls != nil {
		all = append(all, reload.File{Name: "certificates", Read: n.tls.Prepare})
	}
	if n.adminTLS != nil {
		all = append(all, reload.File{Name: "admin certificates", Read: n.adminTLS.Prepare})
	}
	return all
}

// serveReload is a reload that an operator asks for, who learns what came of it.
func (n *Node) serveReload(w http.ResponseWriter, r *http.Request) error {
	n.logger.Warn("an operator's action", "action", "reload", "remote", r.RemoteAddr)
	report, err := n.Reload()
	if err != nil {
		return httpError{http.StatusConflict, errors.New(reload.Line(err))}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	return json.NewEncoder(w).Encode(report)
}
