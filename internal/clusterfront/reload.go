package clusterfront

import (
	"github.com/futago/futago/internal/front"
	"github.com/futago/futago/internal/reload"
	"github.com/futago/futago/internal/server"
)

// changeable are the settings that a reload puts in force, each with how it is taken over.
var changeable = reload.Table[Config]{
	"drain-timeout":      func(to, from *Config) { to.DrainTimeout = from.DrainTimeout },
	"first-byte-timeout": func(to, from *Config) { to.Server.FirstByteTimeout = from.Server.FirstByteTimeout },
	"idle-timeout":       func(to, from *Config) { to.Server.IdleTimeout = from.Server.IdleTimeout },
	"request-timeout":    func(to, from *Config) { to.Server.RequestTimeout = from.Server.RequestTimeout },
	"max-conns":          func(to, from *Config) { to.Server.MaxConns = from.Server.MaxConns },
	"log-level": func(to, from *Config) {
		if to.LogLevel != nil && from.LogLevel != nil {
			to.LogLevel.Set(from.LogLevel.Level())
		}
	},
}

// Changeable are the names of the settings that a reload puts in force, in order.
func Changeable() []string { return changeable.Names() }

// Reload reads the settings, users, certificates and the password for the cluster again, for what comes from now on, and opens the audit log again; it logs what
// came of it. On an error, which names everything that is wrong, all stays what it was.
func (f *Front) Reload() (front.ReloadReport, error) { return f.reloads.Do() }

func (f *Front) reload() (report reload.Report, err error) {
	present := f.latest.Load()
	reread := reload.Sources(present.Reread, func(c *Config) []reload.Setting { return c.Settings })
	plan, err := front.Plan(f.guard, changeable, *present, present.Settings, reread, present.Store.Files())
	if err != nil {
		return report, err
	}
	next := plan.Take()
	next.Settings = plan.Settings
	f.latest.Store(&next)
	c := &next.Server
	f.server.SetLimits(server.Limits{MaxConns: c.MaxConns, FirstByteTimeout: c.FirstByteTimeout, IdleTimeout: c.IdleTimeout, RequestTimeout: c.RequestTimeout})
	return plan.Report, nil
}
