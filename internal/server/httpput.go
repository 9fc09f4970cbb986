package server

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/futago/futago/internal/store"
)

const (
	// maxExpires bounds Futago-Expires, in seconds; beyond it milliseconds would not fit a record.
	maxExpires = 1 << 37
	bodyStep   = 64 << 10 // first read of a body, bytes
)

// The modes of the header X-TT-PDMODE that are not overwrite, as in Tokyo Tyrant. Source: its protocol document, section HTTP.
const (
	putKeep   = "1"
	putAppend = "2"
)

var errCrowded = errors.New("too much is being sent and received: try again")

func (h webHandler) put(w http.ResponseWriter, r *http.Request, key []byte) {
	if r.ContentLength == 0 && len(r.TransferEncoding) == 0 && r.Header.Get("Content-Length") == "" {
		answer(w, http.StatusLengthRequired, "a length is required")
		return
	}
	if r.ContentLength > h.srv.cfg.MaxValue {
		answer(w, http.StatusRequestEntityTooLarge, store.ErrTooLarge.Error())
		return
	}
	level, ok := ackLevel(r.Header)
	if !ok {
		answer(w, http.StatusBadRequest, badAck)
		return
	}
	q := store.Request{Key: key, Type: []byte(r.Header.Get("Content-Type")), Level: level}
	if len(q.Type) > maxType {
		answer(w, http.StatusBadRequest, "Content-Type is longer than 255 bytes")
		return
	}
	if text := r.Header.Get("Futago-Expires"); text != "" {
		seconds, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
		if err != nil || seconds > maxExpires || seconds < -maxExpires {
			answer(w, http.StatusBadRequest, "Futago-Expires: want seconds, or a Unix time")
			return
		}
		q.Expires, _ = expiresAt(seconds, h.srv.store.Now())
	}
	cond, mode := conditionOf(r.Header), r.Header.Get("X-TT-PDMODE")
	if mode == putKeep && cond.match != "" {
		answer(w, http.StatusBadRequest, "X-TT-PDMODE 1 and If-Match exclude each other")
		return
	}
	value, release, err := h.readBody(w, r)
	defer release()
	if err != nil {
		bodyFault(w, err)
		return
	}
	q.Value = value
	h.store(w, r, &q, cond, mode)
}

// store repeats the operation as long as others change the record between the look at it and the write.
func (h webHandler) store(w http.ResponseWriter, r *http.Request, q *store.Request, cond condition, mode string) {
	t, began := h.srv.totals[0], nanos()
	t.count(cmdSet)
	for {
		switch {
		case cond.any():
			token, present, err := h.current(q.Key)
			if err != nil {
				storeFault(w, err)
				return
			}
			if !cond.holds(token, present) {
				answer(w, http.StatusPreconditionFailed, "the condition does not hold")
				return
			}
			q.CAS = token
			switch {
			case present && mode == putKeep:
				answer(w, http.StatusConflict, "Conflict")
				return
			case !present:
				q.Op = store.Add
			case mode == putAppend:
				q.Op = store.Append
			default:
				q.Op = store.CAS
			}
		case mode == putKeep:
			q.Op = store.Add
		case mode == putAppend:
			if q.Op == store.Append {
				q.Op = store.Add // there was nothing to append to
			} else {
				q.Op = store.Append
			}
		default:
			q.Op = store.Set
		}
		var res store.Result
		err := h.srv.store.Commit(q, &res)
		switch {
		case err == nil:
			t.count(itemsStored)
			t.big.Note(q.Key, res.Size)
			h.srv.noteAside(classHTTPPut, began, r.RemoteAddr, q.Key, len(q.Value))
			h.done(w, r, res.Seq, q.Level, http.StatusCreated, "Created")
		case mode == putKeep && !cond.any() && errors.Is(err, store.ErrExists):
			answer(w, http.StatusConflict, "Conflict")
		case errors.Is(err, store.ErrConflict), errors.Is(err, store.ErrExists), errors.Is(err, store.ErrNotFound):
			continue
		default:
			storeFault(w, err)
		}
		return
	}
}

// readBody reads the body in growing steps, so that memory follows the bytes that arrive. Each RequestTimeout must
// bring minProgress bytes. release must be called once the value is not used any more.
func (h webHandler) readBody(w http.ResponseWriter, r *http.Request) (value []byte, release func(), err error) {
	s := h.srv
	control := http.NewResponseController(w)
	limit := s.cfg.MaxValue + 1 // one more shows that there is too much
	size := int64(bodyStep)
	if r.ContentLength >= 0 {
		limit = min(limit, r.ContentLength)
	}
	buf := make([]byte, 0, min(size, limit))
	counted := int64(cap(buf))
	s.pending.Add(counted)
	release = func() { s.pending.Add(-counted) }
	window := 0
	_ = control.SetReadDeadline(time.Now().Add(s.limits.Load().RequestTimeout))
	for {
		if len(buf) == cap(buf) && int64(len(buf)) < limit {
			if s.overfull(counted) {
				return nil, release, errCrowded
			}
			grown := append(make([]byte, 0, min(2*int64(cap(buf)), limit)), buf...)
			s.pending.Add(int64(cap(grown)) - counted)
			buf, counted = grown, int64(cap(grown))
		}
		var n int
		if int64(len(buf)) == limit {
			var one [1]byte
			n, err = r.Body.Read(one[:])
		} else {
			n, err = r.Body.Read(buf[len(buf):cap(buf)])
			buf = buf[:len(buf)+n]
		}
		if int64(len(buf)) > s.cfg.MaxValue {
			return nil, release, store.ErrTooLarge
		}
		if errors.Is(err, io.EOF) {
			_ = control.SetReadDeadline(time.Time{})
			return buf, release, nil
		} else if err != nil {
			return nil, release, err
		}
		if window += n; window >= minProgress {
			window = 0
			_ = control.SetReadDeadline(time.Now().Add(s.limits.Load().RequestTimeout))
		}
	}
}

// refuseCrowded answers when the connections together hold all they may.
func refuseCrowded(w http.ResponseWriter) {
	w.Header().Set("Retry-After", "1")
	answer(w, http.StatusServiceUnavailable, errCrowded.Error())
}

// bodyFault answers for a body that could not be read. The connection cannot go on behind it.
func bodyFault(w http.ResponseWriter, err error) {
	w.Header().Set("Connection", "close")
	switch {
	case errors.Is(err, store.ErrTooLarge):
		answer(w, http.StatusRequestEntityTooLarge, err.Error())
	case errors.Is(err, errCrowded):
		w.Header().Set(headerEffect, effectNone)
		refuseCrowded(w)
	default:
		answer(w, http.StatusBadRequest, "the body is not whole")
	}
}
