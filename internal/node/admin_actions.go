package node

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/futago/futago/internal/access"
	"github.com/futago/futago/internal/store"
)

// addActions adds what operators have done. Each action, carried out or not, is noted in the log, and so in the events.
func (n *Node) addActions(mux *http.ServeMux) {
	for name, act := range map[string]func(r *http.Request) (done string, err error){
		"clock/admit":  n.admitClock,
		"drain":        n.drainByHand,
		"peers/forget": n.forgetPeer,
		"sync":         n.syncLog,
		"undrain":      n.endDrainByHand,
		"verify":       n.verifyNow,
	} {
		mux.HandleFunc("POST /"+name, n.whenOpen(func(w http.ResponseWriter, r *http.Request) error {
			who := []any{"action", name, "query", r.URL.RawQuery, "user", access.NameOf(r), "remote", r.RemoteAddr}
			done, err := act(r)
			if err != nil {
				n.audit.Note(slog.LevelWarn, "an operator's action failed", append(who, "outcome", "failed", "err", err.Error())...)
				return err
			}
			n.audit.Note(slog.LevelWarn, "an operator's action", append(who, "outcome", "done", "result", done)...)
			plain(w, http.StatusOK, done)
			return nil
		}))
	}
}

func (n *Node) forgetPeer(r *http.Request) (string, error) {
	node, err := strconv.Atoi(r.FormValue("node"))
	if err != nil {
		return "", httpError{http.StatusBadRequest, fmt.Errorf("node %q: want its id", r.FormValue("node"))}
	}
	if err := n.forgettable(node); err != nil {
		return "", httpError{http.StatusConflict, err}
	}
	if err := n.store.ForgetPeer(node); err != nil {
		return "", httpError{http.StatusNotFound, fmt.Errorf("forget node %d: %w", node, err)}
	}
	return fmt.Sprintf("node %d is removed from the mesh", node), nil
}

// forgettable says why a node must not be removed: it is there.
func (n *Node) forgettable(node int) error {
	if n.source == nil {
		return nil
	}
	for _, f := range n.source.Followers() {
		if f.Node == node {
			return fmt.Errorf("node %d is connected: stop it first", node)
		}
	}
	return nil
}

func (n *Node) admitClock(*http.Request) (string, error) {
	up, err := n.store.AdmitClock()
	if errors.Is(err, store.ErrNothingToAdmit) {
		return "", httpError{http.StatusConflict, err}
	}
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("stamps up to %s are taken", up.Time().Format("2006-01-02T15:04:05Z07:00")), nil
}

// drainByHand sends the clients away, unless they would have nowhere to go.
func (n *Node) drainByHand(r *http.Request) (string, error) {
	if r.URL.Query().Get("force") != "1" && !n.peerServes() {
		return "", httpError{http.StatusConflict, errors.New("no other node is ready to take the clients; say force=1 to drain this one all the same")}
	}
	if !n.holdBack() {
		return "drained before", nil
	}
	return "drained: clients are sent away until undrain, or a restart", nil
}

// peerServes reports whether a linked peer serves clients.
func (n *Node) peerServes() bool {
	for _, l := range n.pullers() {
		if s := l.Status(); s.State == "stream" && s.PeerReady {
			return true
		}
	}
	return false
}

func (n *Node) endDrainByHand(*http.Request) (string, error) {
	if !n.endHold() {
		return "", httpError{http.StatusConflict, errors.New("this node is not drained")}
	}
	return "clients are served again", nil
}

// verifyNow makes the comparison with each peer due.
func (n *Node) verifyNow(*http.Request) (string, error) {
	all := n.pullers()
	if len(all) == 0 {
		return "", httpError{http.StatusConflict, errors.New("this node follows nobody to compare with")}
	}
	for _, l := range all {
		l.Verify()
	}
	return "the comparison is made as soon as no writes have come from the peers for 2 seconds", nil
}

func (n *Node) syncLog(*http.Request) (string, error) {
	n.store.Log().Flush()
	if err := n.store.Log().Sync(); err != nil {
		return "", fmt.Errorf("sync the log: %w", err)
	}
	return fmt.Sprintf("durable up to position %d", n.store.Log().Durable()), nil
}
