package gateway

import (
	"encoding/base64"

	"github.com/futago/futago/internal/front"
	"github.com/futago/futago/internal/reload"
)

// changeable are the settings that a reload puts in force, each with how it is taken over. Checks that are turned on or off, and
// what net/http's servers are made with, are not among them.
var changeable = reload.Table[Config]{
	"allow-path":    func(to, from *Config) { to.AllowPaths = from.AllowPaths },
	"body-timeout":  func(to, from *Config) { to.BodyTimeout = from.BodyTimeout },
	"drain-timeout": func(to, from *Config) { to.ShutdownTimeout = from.ShutdownTimeout },
	"log-level": func(to, from *Config) {
		if to.LogLevel != nil && from.LogLevel != nil {
			to.LogLevel.Set(from.LogLevel.Level())
		}
	},
	"max-conns":          func(to, from *Config) { to.MaxConns = from.MaxConns },
	"upstream":           func(to, from *Config) { to.Upstreams = from.Upstreams },
	"upstream-timeout":   func(to, from *Config) { to.UpstreamTimeout = from.UpstreamTimeout },
	"upstream-user-file": takeUser,
}

func takeUser(to, from *Config) { to.User, to.Password = from.User, from.Password }

// Changeable are the names of the settings that a reload puts in force, in order.
func Changeable() []string { return changeable.Names() }

// inForce is a configuration with what is made of it.
type inForce struct {
	Config
	rules         *rules
	authorization []byte // line for clients without one of their own; empty for none
}

func newInForce(c Config) (*inForce, error) {
	f := &inForce{Config: c}
	if c.User != "" {
		credentials := base64.StdEncoding.EncodeToString([]byte(c.User + ":" + c.Password))
		f.authorization = []byte("Authorization: Basic " + credentials + "\r\n")
	}
	var err error
	f.rules, err = newRules(c.AllowPaths)
	return f, err
}

// conf is the configuration with what reloads have changed. It must not be changed.
func (g *Gateway) conf() *inForce { return g.latest.Load() }

// Reload reads the settings, users and certificates again, for what comes from now on, and opens the audit log again; it logs what
// came of it. On an error, which names everything that is wrong, all stays what it was.
func (g *Gateway) Reload() (front.ReloadReport, error) { return g.reloads.Do() }

func (g *Gateway) reload() (report reload.Report, err error) {
	g.changes.Lock()
	defer g.changes.Unlock()
	present := &g.conf().Config
	reread := reload.Sources(present.Reread, func(c *Config) []reload.Setting { return c.Settings })
	plan, err := front.Plan(g.guard, changeable, *present, present.Settings, reread, front.UpstreamFiles(present.TLS, present.CheckTLS))
	if err != nil {
		return report, err
	}
	config := plan.Take()
	config.Settings = plan.Settings
	if reread != nil && plan.Fresh.User != "" { // its file may say something else under the same name
		takeUser(&config, &plan.Fresh)
		plan.Report.Read = append(plan.Report.Read, "upstream user")
	}
	next, err := newInForce(config)
	if err != nil {
		return report, err // never: the rules have passed Validate
	}
	g.latest.Store(next)
	if plan.Changes("upstream") {
		g.replace(next.Upstreams)
	}
	g.conns.max.Store(int64(next.MaxConns))
	return plan.Report, nil
}
