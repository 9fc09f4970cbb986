package server

import (
	"errors"
	"net/http"
	"strings"

	"github.com/futago/futago/internal/store"
)

// Headers of acknowledgement.
const (
	headerAck    = "Futago-Ack"    // request: how far the write must come: local, peer or strict
	headerAcked  = "Futago-Acked"  // answer to a write that was executed: how far it came: local or peer
	headerEffect = "Futago-Effect" // 503 to a write: none or unknown

	headerDurability = "Futago-Durability" // every answer of a front of a cluster: async or wait=N
)

// The values of headerEffect.
const (
	effectNone    = "none"    // nothing was changed: the write may be repeated anywhere
	effectUnknown = "unknown" // it was executed here, and may or may not be at a peer
)

const badAck = headerAck + ": want local, peer or strict"

// ackLevel is the level that a request asks for; false when it names none that there is.
func ackLevel(h http.Header) (store.Level, bool) {
	values, ok := h[headerAck]
	if !ok {
		return store.DefaultLevel, true
	}
	return store.ParseLevel(strings.TrimSpace(strings.Join(values, ",")))
}

// done waits until the write at seq may be reported, and reports it. When nothing will be known about it the connection
// ends without an answer.
func (h webHandler) done(w http.ResponseWriter, r *http.Request, seq uint64, level store.Level, status int, line string) {
	reached, err := h.confirm(r, seq, level)
	switch {
	case errors.Is(err, store.ErrUnconfirmed):
		h.srv.store.Unconfirmed(1)
		w.Header().Set(headerEffect, effectUnknown)
		answer(w, http.StatusServiceUnavailable, err.Error())
	case err != nil:
		panic(http.ErrAbortHandler)
	default:
		if h.srv.store.Durability() == "" {
			w.Header().Set(headerAcked, reached.String())
		}
		answer(w, status, line)
	}
}

func (h webHandler) confirm(r *http.Request, seq uint64, level store.Level) (store.Level, error) {
	h.srv.store.Flush()
	if reached, err := h.srv.store.Reached(seq, level); reached != store.DefaultLevel || err != nil {
		return reached, err
	}
	h.srv.totals[0].count(repliesHeld)
	began := nanos()
	reached, err := h.srv.store.WaitAt(r.Context(), seq, level)
	h.srv.noteGate(r, began)
	return reached, err
}
