// Package reload compares the settings in force of a process with those that its sources have now, and takes over what may change
// while it runs, all of it or nothing. It knows no setting and no file: they are given to it.
package reload

import (
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
)

// Setting is one value in force.
type Setting struct {
	Name   string   `json:"name"`
	Values []string `json:"values"` // more than one only of a list; empty of a secret
	Source string   `json:"source"` // default, a file, variable or flag
	Secret bool     `json:"secret,omitempty"`
	Hidden []string `json:"-"` // of a secret: never told, only compared
}

// Change is a setting that has another value than the one in force.
type Change struct {
	Name   string   `json:"name"`
	Old    []string `json:"old"` // empty of a secret, as new is
	New    []string `json:"new"`
	Source string   `json:"source"` // of the new one: default, a file, variable or flag
	Secret bool     `json:"secret,omitempty"`
}

// attrs are the change as the log tells it.
func (c *Change) attrs() []any {
	if c.Secret {
		return []any{slog.String("setting", c.Name), slog.String("source", c.Source)}
	}
	return []any{slog.String("setting", c.Name), slog.String("old", strings.Join(c.Old, " ")), slog.String("new", strings.Join(c.New, " ")), slog.String("source", c.Source)}
}

// Report is what a reload did. Its lists are never nil.
type Report struct {
	Changed []Change `json:"changed"`       // in force now
	Restart []Change `json:"needs_restart"` // as before until then
	Read    []string `json:"read_again"`    // files, by what is in them
}

// Log tells what a reload did.
func (r *Report) Log(logger *slog.Logger) {
	for _, c := range r.Changed {
		logger.Info("setting changed", c.attrs()...)
	}
	for _, c := range r.Restart {
		logger.Warn("setting needs a restart", c.attrs()...)
	}
	logger.Info("reload done", "changed", len(r.Changed), "needs_restart", len(r.Restart), "read_again", strings.Join(r.Read, ","))
}

// Refused tells why a reload did nothing.
func Refused(logger *slog.Logger, err error) {
	logger.Error("reload refused, everything stays what it was", "err", Line(err))
}

// Line is an error, of one or several problems, on one line.
func Line(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// File is one that is read again: Read returns how to take what it says.
type File struct {
	Name string
	Read func() (take func(), err error)
}

// Table are the settings that may change while a process runs, by name, each with how a configuration takes it over from another.
type Table[C any] map[string]func(to, from *C)

// Names are those of the settings, in order.
func (t Table[C]) Names() []string { return slices.Sorted(maps.Keys(t)) }

// Sources is a function for Table.Plan of one that returns a configuration, and of where this has its settings. nil stays nil.
func Sources[C any](reread func() (C, error), settings func(*C) []Setting) func() (C, []Setting, error) {
	if reread == nil {
		return nil
	}
	return func() (C, []Setting, error) {
		fresh, err := reread()
		return fresh, settings(&fresh), err
	}
}

// Plan is a reload in which nothing is wrong and nothing has happened yet.
type Plan[C any] struct {
	Report   Report
	Settings []Setting // to be in force
	Fresh    C         // what the sources say; the zero value without them

	table   Table[C]
	present C
	taking  []func()
}

// Plan reads the sources, which reread knows (nil: there are none), and files. present and settings are in force, and are not changed.
// The error names everything that is wrong.
func (t Table[C]) Plan(present C, settings []Setting, reread func() (C, []Setting, error), files []File) (*Plan[C], error) {
	p := &Plan[C]{Settings: slices.Clone(settings), table: t, present: present}
	p.Report = Report{Changed: []Change{}, Restart: []Change{}, Read: []string{}}
	var problems []error
	if reread != nil {
		fresh, said, err := reread()
		problems = append(problems, err)
		p.Fresh = fresh
		p.compare(said)
	}
	for _, f := range files {
		take, err := f.Read()
		problems = append(problems, err)
		p.taking = append(p.taking, take)
		p.Report.Read = append(p.Report.Read, f.Name)
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return p, nil
}

// compare sorts what differs in fresh, and puts into the settings what is to be in force.
func (p *Plan[C]) compare(fresh []Setting) {
	for _, to := range fresh {
		at := slices.IndexFunc(p.Settings, func(s Setting) bool { return s.Name == to.Name })
		if at < 0 {
			continue
		}
		from := &p.Settings[at]
		if slices.Equal(from.Values, to.Values) && slices.Equal(from.Hidden, to.Hidden) {
			continue
		}
		c := Change{to.Name, from.Values, to.Values, to.Source, to.Secret}
		if p.table[to.Name] == nil {
			p.Report.Restart = append(p.Report.Restart, c)
			continue
		}
		p.Report.Changed = append(p.Report.Changed, c)
		*from = to
	}
}

// Changes says whether any of the settings will be another one.
func (p *Plan[C]) Changes(names ...string) bool {
	return slices.ContainsFunc(p.Report.Changed, func(c Change) bool { return slices.Contains(names, c.Name) })
}

// Take puts the files in force and returns the configuration that is to be.
func (p *Plan[C]) Take() C {
	for _, take := range p.taking {
		take()
	}
	next := p.present
	for _, c := range p.Report.Changed {
		p.table[c.Name](&next, &p.Fresh)
	}
	return next
}
