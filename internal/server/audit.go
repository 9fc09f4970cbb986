package server

import (
	"bytes"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/futago/futago/internal/access"
	"github.com/futago/futago/internal/memcache"
	"github.com/futago/futago/internal/tyrant"
	"github.com/futago/futago/internal/users"
)

const (
	// auditWindow is how long the same action of the same client is counted instead of noted again: who repeats a command that is
	// refused must neither fill the log nor hold a loop up.
	auditWindow = time.Second
	// maxAudited bounds the memory for that.
	maxAudited = 1024
	// maxAuditArgs is how much of an action's arguments is noted, in bytes.
	maxAuditArgs = 256
)

// Why an action is refused.
var (
	errNoRight = errors.New("no right")
	errMasked  = errors.New("masked")
	errOff     = errors.New("not enabled: see --allow")
)

// refusal is why a request was denied.
func refusal(masked bool) error {
	if masked {
		return errMasked
	}
	return errNoRight
}

// action is what a client does to the node or to all records at once. The zero action is none: what touches single keys, or
// only asks, is not noted.
type action struct {
	command string // as the client's protocol calls it
	args    string // never a value
	reads   bool   // it tells all keys or records, and changes nothing
	user    string
	remote  string
}

// action returns what the request in w is for the audit log.
func (s *session) action(w *worker) (a action) {
	switch s.proto {
	case isBinary:
		a = binaryAction(&w.breq)
	case isTyrant:
		a = tyrantAction(&w.treq)
	default:
		a = textAction(&w.mreq)
	}
	a.user, a.remote = auditName(s.user), s.peer.name()
	return a
}

// audit notes what came of the request in w; nil is done.
func (s *session) audit(w *worker, err error) { w.srv.audit.note(s.action(w), err) }

// auditName is the name of a user, "-" where nobody was asked.
func auditName(u *users.User) string {
	if u == nil {
		return "-"
	}
	return u.Name
}

func textAction(r *memcache.Request) action {
	switch r.Op {
	case memcache.OpFlushAll:
		return flushAction(r.Op.String(), r.Exptime)
	case memcache.OpMemLimit:
		return action{command: r.Op.String(), args: strconv.FormatUint(r.Delta, 10)}
	case memcache.OpShutdown:
		return action{command: r.Op.String(), args: string(r.Arg)}
	case memcache.OpRefreshCerts:
		return action{command: r.Op.String()}
	case memcache.OpDump:
		if r.Dump == memcache.DumpMg {
			return action{command: "lru_crawler mgdump", reads: true}
		}
		return action{command: "lru_crawler metadump", reads: true}
	case memcache.OpStats:
		return statsAction(r.Arg)
	}
	return action{}
}

func flushAction(command string, delay int64) action {
	if delay == 0 {
		return action{command: command}
	}
	return action{command: command, args: strconv.FormatInt(delay, 10)}
}

// statsAction is the action of stats with an argument.
func statsAction(arg []byte) action {
	name, rest, _ := strings.Cut(string(arg[:min(len(arg), maxAuditArgs)]), " ")
	switch rest = strings.TrimSpace(rest); {
	case name == "reset":
		return action{command: "stats reset"}
	case name == "detail" && (strings.HasPrefix(rest, "on") || strings.HasPrefix(rest, "off")):
		return action{command: "stats detail", args: rest}
	case name == "cachedump":
		return action{command: "stats cachedump", args: rest, reads: true}
	}
	return action{}
}

func binaryAction(r *memcache.BinaryRequest) action {
	switch r.Op {
	case memcache.OpcodeFlush:
		return flushAction("flush", r.Exptime)
	case memcache.OpcodeStat:
		if bytes.HasPrefix(r.Key, []byte("reset")) {
			return action{command: "stats reset"} // more may follow the word
		}
		if a := statsAction(r.Key); !a.reads { // there is no cachedump
			return a
		}
	}
	return action{}
}

func tyrantAction(r *tyrant.Request) action {
	a := action{command: r.Command.String()}
	switch r.Command {
	case tyrant.Vanish, tyrant.Optimize:
	case tyrant.Copy:
		a.args, a.reads = string(r.Text), true
	case tyrant.Restore:
		a.args = string(r.Text) + " " + strconv.FormatInt(r.Time, 10)
	case tyrant.SetMst:
		a.args = string(r.Text) + " " + strconv.Itoa(int(r.Port)) + " " + strconv.FormatInt(r.Time, 10)
	case tyrant.Repl:
		a.args, a.reads = strconv.FormatInt(r.Time, 10)+" "+strconv.FormatUint(uint64(r.SID), 10), true
	case tyrant.Misc:
		return miscAction(string(r.Name))
	default:
		return action{}
	}
	return a
}

// miscAction is the action of a function of misc.
func miscAction(name string) action {
	switch name {
	case "vanish", "optimize", "defrag":
		return action{command: "misc " + name}
	}
	return action{}
}

// auditor writes the actions of clients to the audit log. It may be used by several goroutines at once.
type auditor struct {
	log *access.Audit

	mu   sync.Mutex
	open map[audited]*audits // what was noted within the last auditWindow
}

// audited is what makes two actions the same.
type audited struct{ command, user, host, outcome string }

type audits struct {
	again int // how often it came since it was noted
	note  func(more ...any)
	timer *time.Timer
}

// note writes a line: one for each action, or for all alike within auditWindow one, and one with their number behind it.
func (a *auditor) note(what action, err error) {
	if what.command == "" {
		return
	}
	message, outcome, level := "a client's action", "done", slog.LevelWarn
	switch {
	case errors.Is(err, errNoRight), errors.Is(err, errMasked), errors.Is(err, errOff):
		message, outcome = "a client's action refused", "refused"
	case err != nil:
		message, outcome = "a client's action failed", "failed"
	case what.reads:
		level = slog.LevelInfo
	}
	key := audited{what.command, what.user, users.HostOf(what.remote), outcome}
	a.mu.Lock()
	if len(a.open) >= maxAudited {
		key.host = "" // what is left to tell apart are names of users
	}
	if n := a.open[key]; n != nil {
		n.again++
		a.mu.Unlock()
		return
	}
	n := &audits{note: func(more ...any) {
		args := []any{"command", what.command, "args", what.args[:min(len(what.args), maxAuditArgs)], "user", what.user, "remote", what.remote, "outcome", outcome}
		if err != nil {
			args = append(args, "err", err.Error())
		}
		a.log.Note(level, message, append(args, more...)...)
	}}
	if a.open == nil {
		a.open = map[audited]*audits{}
	}
	a.open[key] = n
	n.timer = time.AfterFunc(auditWindow, func() { a.end(key, n) })
	a.mu.Unlock()
	n.note()
}

// end tells how often an action came again; the next one is noted anew.
func (a *auditor) end(key audited, n *audits) {
	a.mu.Lock()
	if a.open[key] != n {
		a.mu.Unlock()
		return // flush was here
	}
	delete(a.open, key)
	again := n.again
	a.mu.Unlock()
	if again > 0 {
		n.note("again", again)
	}
}

// flush ends all that is counted.
func (a *auditor) flush() {
	a.mu.Lock()
	open := make(map[audited]*audits, len(a.open))
	for key, n := range a.open {
		n.timer.Stop()
		open[key] = n
	}
	a.mu.Unlock()
	for key, n := range open {
		a.end(key, n)
	}
}
