package proxy

import (
	"fmt"
	"strings"

	"github.com/futago/futago/internal/front"
	"github.com/futago/futago/internal/reload"
)

// changeable are the settings that a reload puts in force, each with how it is taken over.
var changeable = reload.Table[Config]{
	"choice":         func(to, from *Config) { to.Choice = from.Choice },
	"check-interval": func(to, from *Config) { to.CheckInterval = from.CheckInterval },
	"drain-timeout":  func(to, from *Config) { to.DrainTimeout = from.DrainTimeout },
	"idle-timeout":   func(to, from *Config) { to.IdleTimeout = from.IdleTimeout },
	"log-level": func(to, from *Config) {
		if to.LogLevel != nil && from.LogLevel != nil {
			to.LogLevel.Set(from.LogLevel.Level())
		}
	},
	"max-conns":          func(to, from *Config) { to.MaxConns = from.MaxConns },
	"max-pending-total":  func(to, from *Config) { to.MaxPending = from.MaxPending },
	"timeout":            func(to, from *Config) { to.Timeout = from.Timeout },
	"upstream":           func(to, from *Config) { to.Upstreams = from.Upstreams },
	"upstream-user-file": takeUser,
	"write-timeout":      func(to, from *Config) { to.WriteTimeout = from.WriteTimeout },
}

func takeUser(to, from *Config) { to.User, to.Password = from.User, from.Password }

// Changeable are the names of the settings that a reload puts in force, in order.
func Changeable() []string { return changeable.Names() }

// conf is the configuration with what reloads have changed. It must not be changed.
func (p *Proxy) conf() *Config { return p.latest.Load() }

// Reload reads the settings, users and certificates again, for what comes from now on, and opens the audit log again; it logs what
// came of it. On an error, which names everything that is wrong, all stays what it was.
func (p *Proxy) Reload() (front.ReloadReport, error) { return p.reloads.Do() }

func (p *Proxy) reload() (report reload.Report, err error) {
	p.changes.Lock()
	defer p.changes.Unlock()
	present := p.conf()
	reread := reload.Sources(present.Reread, func(c *Config) []reload.Setting { return c.Settings })
	plan, err := front.Plan(p.guard, changeable, *present, present.Settings, reread, front.UpstreamFiles(present.TLS, present.CheckTLS))
	if err != nil {
		return report, err
	}
	next := *present
	var g *group
	if plan.Changes("choice", "upstream") {
		next.Choice, next.Upstreams = plan.Fresh.Choice, plan.Fresh.Upstreams
		if g, err = p.prepare(&next); err != nil {
			return report, err // never: the settings have passed Validate
		}
		p.holds.mu.Lock() // until the new ones are there: no hold begins before
		defer p.holds.mu.Unlock()
		if p.holds.present.Load() != nil {
			p.drop(g)
			return report, fmt.Errorf("change upstreams: %w: release it, or reload again when it is over", errHeld)
		}
	}
	next = plan.Take()
	next.Settings = plan.Settings
	if reread != nil && plan.Fresh.User != "" { // its file may say something else under the same name
		takeUser(&next, &plan.Fresh)
		plan.Report.Read = append(plan.Report.Read, "upstream user")
	}
	p.latest.Store(&next)
	if g != nil {
		if p.switched.Swap(false) {
			p.log.Warn("upstreams of the last switch replaced by those of the configuration", "upstreams", strings.Join(words(next.Upstreams), " "))
		}
		p.install(g)
	}
	return plan.Report, nil
}
