package front

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/futago/futago/internal/access"
	"github.com/futago/futago/internal/reload"
)

// Reloads has a front read its configuration again, one time after the other, and remembers what came of the last one. It serves
// POST /reload.
type Reloads struct {
	front string
	log   *slog.Logger
	audit *access.Audit
	run   func() (reload.Report, error)

	mu   sync.Mutex
	last atomic.Pointer[LastReload]
}

// ReloadReport is the answer to POST /reload.
type ReloadReport struct {
	Front string `json:"front"` // gateway, proxy or cluster front
	reload.Report
}

// LastReload is the part of a front's status about its last reload.
type LastReload struct {
	At    time.Time `json:"at"`
	Error string    `json:"error"` // what was wrong; then nothing changed. Empty: nothing
	reload.Report
}

// NewReloads returns what calls run for each reload of a front, gateway or proxy, that a guards. run changes nothing when it returns an error.
func NewReloads(front string, logger *slog.Logger, a *Access, run func() (reload.Report, error)) *Reloads {
	return &Reloads{front: front, log: logger, audit: a.audit, run: run}
}

// Do reloads and logs what came of it.
func (r *Reloads) Do() (ReloadReport, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	report, err := r.run()
	last := &LastReload{At: time.Now(), Report: report}
	if err != nil {
		reload.Refused(r.log, err)
		last.Error = reload.Line(err)
		last.Report = reload.Report{Changed: []reload.Change{}, Restart: []reload.Change{}, Read: []string{}}
	} else {
		report.Log(r.log)
	}
	r.last.Store(last)
	return ReloadReport{r.front, last.Report}, err
}

// Last is nil before the first reload.
func (r *Reloads) Last() *LastReload { return r.last.Load() }

// ServeHTTP is a reload that an operator asks for, who learns what came of it.
func (r *Reloads) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	who := []any{"action", "reload", "user", access.NameOf(request), "remote", request.RemoteAddr}
	report, err := r.Do()
	w.Header().Set("Cache-Control", "no-store")
	if err != nil {
		r.audit.Note(slog.LevelWarn, "an operator's action failed", append(who, "outcome", "failed", "err", reload.Line(err))...)
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(http.StatusConflict)
		w.Write([]byte(reload.Line(err) + "\n"))
		return
	}
	r.audit.Note(slog.LevelWarn, "an operator's action", append(who, "outcome", "done")...)
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(report) // the only error is a reader that is gone
}

// Plan prepares the reload of a front: what table says of its settings, its files, and further ones. The audit log is opened again
// whatever else is wrong, for it may have been moved away.
func Plan[C any](a *Access, table reload.Table[C], present C, settings []reload.Setting, reread func() (C, []reload.Setting, error), files []reload.File) (*reload.Plan[C], error) {
	plan, err := table.Plan(present, settings, reread, append(a.files(), files...))
	return plan, errors.Join(err, a.audit.Reopen())
}

// UpstreamFiles are the certificates for connections to upstreams and for their checks. Each may be nil, and both may be one.
func UpstreamFiles(to, check *access.ClientTLS) (all []reload.File) {
	if to != nil && to.Reads() {
		all = append(all, reload.File{Name: "upstream certificates", Read: to.Prepare})
	}
	if check != nil && check != to && check.Reads() {
		all = append(all, reload.File{Name: "check certificates", Read: check.Prepare})
	}
	return all
}
