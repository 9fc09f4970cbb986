package proxy

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/futago/futago/internal/access"
	"github.com/futago/futago/internal/front"
	"github.com/futago/futago/internal/reload"
)

// listMax bounds the list of upstreams in a request.
const listMax = 64 << 10

// switchSource is where upstreams of a switch come from, in place of a file or a flag.
const switchSource = "POST /switch"

// Switch replaces the upstreams under a hold that is in force, and ends it: the requests that wait go to the new ones. Connections to
// those that stay are kept, the others are closed. On an error nothing has changed, and a hold in force stays.
func (p *Proxy) Switch(token string, upstreams []Upstream) error {
	p.changes.Lock()
	defer p.changes.Unlock()
	next := *p.conf()
	next.Upstreams = upstreams
	if err := errors.Join(next.upstreamProblems()...); err != nil {
		return fmt.Errorf("%w: %w", errList, err)
	}
	p.holds.mu.Lock()
	_, err := p.holds.findLocked(token)
	p.holds.mu.Unlock()
	if err != nil {
		return err
	}
	g, err := p.prepare(&next)
	if err != nil {
		return fmt.Errorf("%w: %w", errList, err)
	}
	if g.up() == 0 {
		err := fmt.Errorf("%w: %s", errNoneUp, g.whyDown())
		p.drop(g)
		return err
	}
	next.Settings = slices.Clone(next.Settings)
	if i := slices.IndexFunc(next.Settings, func(s reload.Setting) bool { return s.Name == "upstream" }); i >= 0 {
		next.Settings[i].Values, next.Settings[i].Source = words(upstreams), switchSource
	}
	p.holds.mu.Lock()
	h, err := p.holds.findLocked(token)
	if err != nil {
		p.holds.mu.Unlock()
		p.drop(g)
		return err
	}
	p.latest.Store(&next)
	p.switched.Store(true)
	p.install(g)
	p.holds.endLocked(h)
	p.holds.mu.Unlock()
	p.log.Warn("upstreams switched, the configuration names others still", "upstreams", strings.Join(words(upstreams), " "))
	return nil
}

func words(upstreams []Upstream) (all []string) {
	for _, u := range upstreams {
		all = append(all, u.String())
	}
	return all
}

// whyDown tells the state of all upstreams.
func (g *group) whyDown() string {
	var whys []string
	for _, u := range g.upstreams {
		whys = append(whys, u.Addr+" "+u.status().Reason)
	}
	return strings.Join(whys, "; ")
}

// pages are those of the operators' address that only a proxy has.
func (p *Proxy) pages() []front.Page {
	return []front.Page{
		{Path: "/hold", About: "?for=10s: have requests wait, for a switch; &token=T prolongs", Serve: p.action("hold", p.serveHold)},
		{Path: "/switch", About: "?token=T: the upstreams in the body, one a line, take the place of the present ones", Serve: p.action("switch", p.serveSwitch)},
		{Path: "/release", About: "?token=T: requests go to the present upstreams again", Serve: p.action("release", p.serveRelease)},
	}
}

// action is a page that changes something: it answers with what do returns, and the audit log is told.
func (p *Proxy) action(name string, do func(http.ResponseWriter, *http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		who := []any{"action", name, "user", access.NameOf(r), "remote", r.RemoteAddr}
		answer, err := do(w, r)
		w.Header().Set("Cache-Control", "no-store")
		if err != nil {
			p.guard.Audit().Note(slog.LevelWarn, "an operator's action failed", append(who, "outcome", "failed", "err", reload.Line(err))...)
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			w.WriteHeader(actionStatus(err))
			io.WriteString(w, reload.Line(err)+"\n")
			return
		}
		p.guard.Audit().Note(slog.LevelWarn, "an operator's action", append(who, "outcome", "done")...)
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(answer) // the only error is a reader that is gone
	}
}

// actionStatus is the HTTP status for an error of a hold or a switch.
func actionStatus(err error) int {
	switch {
	case errors.Is(err, errLease), errors.Is(err, errList):
		return http.StatusBadRequest
	case errors.Is(err, errNoneUp), errors.Is(err, errDraining):
		return http.StatusServiceUnavailable
	}
	return http.StatusConflict
}

// HoldAnswer is the answer to POST /hold.
type HoldAnswer struct {
	Held     bool      `json:"held"` // true
	Token    string    `json:"token"`
	Until    time.Time `json:"until"`
	InFlight int       `json:"in_flight"` // 0
}

func (p *Proxy) serveHold(w http.ResponseWriter, r *http.Request) (any, error) {
	lease, err := time.ParseDuration(r.URL.Query().Get("for"))
	if err != nil {
		return nil, fmt.Errorf("%w %q: want for=%v to for=%v", errLease, r.URL.Query().Get("for"), holdLeaseMin, holdLeaseMax)
	}
	// Requests in progress may take longer than other pages.
	control := http.NewResponseController(w)
	end := time.Now().Add(lease + adminTimeout)
	_ = errors.Join(control.SetReadDeadline(end), control.SetWriteDeadline(end)) // a writer without deadlines needs none
	answer := HoldAnswer{Held: true, Token: r.URL.Query().Get("token")}
	if answer.Token != "" {
		answer.Until, err = p.Prolong(answer.Token, lease)
	} else {
		by := r.RemoteAddr
		if user := access.UserOf(r); user != nil {
			by = user.Name + " at " + by
		}
		answer.Token, answer.Until, err = p.Hold(r.Context(), by, lease)
	}
	return answer, err
}

// SwitchAnswer is the answer to POST /switch.
type SwitchAnswer struct {
	Switched  bool     `json:"switched"` // true
	Upstreams []string `json:"upstreams"`
	Note      string   `json:"note"`
}

const switchNote = "these upstreams are in force until the next reload or restart, which apply what the configuration says: write them there"

func (p *Proxy) serveSwitch(w http.ResponseWriter, r *http.Request) (any, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, listMax))
	if err != nil {
		return nil, fmt.Errorf("%w: read it: %w", errList, err)
	}
	upstreams, err := parseUpstreams(string(body))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errList, err)
	}
	if err := p.Switch(r.URL.Query().Get("token"), upstreams); err != nil {
		return nil, err
	}
	return SwitchAnswer{Switched: true, Upstreams: words(upstreams), Note: switchNote}, nil
}

// parseUpstreams reads one a line, as ParseUpstream does; empty lines say nothing. All problems are returned at once.
func parseUpstreams(list string) (upstreams []Upstream, err error) {
	var errs []error
	for line := range strings.Lines(list) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		u, err := ParseUpstream(line)
		errs = append(errs, err)
		upstreams = append(upstreams, u)
	}
	return upstreams, errors.Join(errs...)
}

func (p *Proxy) serveRelease(_ http.ResponseWriter, r *http.Request) (any, error) {
	return map[string]bool{"released": true}, p.Release(r.URL.Query().Get("token"))
}
