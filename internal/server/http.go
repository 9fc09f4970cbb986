package server

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/futago/futago/internal/store"
)

const (
	httpAllow = "OPTIONS, GET, HEAD, PUT, POST, DELETE"
	// httpHeaderBytes has room for a key of 65,535 bytes, fully percent-encoded.
	httpHeaderBytes = 256 << 10
	// httpIdleTimeout holds when Config.IdleTimeout is off: an HTTP client expects to open a new connection.
	httpIdleTimeout = 5 * time.Minute
	// defaultType is the type of a record without one.
	defaultType = "application/octet-stream"
	maxType     = 255
	// textType is the type of the lines that answer writes and errors.
	textType = "text/plain; charset=utf-8"
)

// newWeb returns the HTTP server for the connections that the carriers hand over.
func newWeb(s *Server) *http.Server {
	return &http.Server{
		Handler:                      webHandler{s},
		DisableGeneralOptionsHandler: true,
		ReadHeaderTimeout:            s.limits.Load().RequestTimeout,
		IdleTimeout:                  s.idle(isHTTP),
		MaxHeaderBytes:               httpHeaderBytes,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, handedConnKey{}, c)
		},
		ConnState: func(c net.Conn, state http.ConnState) {
			if h, ok := c.(*handedConn); ok && state == http.StateIdle {
				h.headBegins()
			}
		},
		ErrorLog: slog.NewLogLogger(s.logger.Handler(), slog.LevelDebug),
	}
}

// webHandler serves keys as paths.
type webHandler struct{ srv *Server }

func (h webHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	t := h.srv.totals[0]
	if c, ok := r.Context().Value(handedConnKey{}).(*handedConn); ok {
		c.headEnds()
	}
	if r.ContentLength != 0 && r.Method != http.MethodPut && r.Method != http.MethodPost {
		h.ignoreBody(w)
	}
	if durability := h.srv.store.Durability(); durability != "" {
		w.Header().Set(headerDurability, durability)
	}
	if h.srv.sendsAway() {
		t.count(httpOther)
		sendAway(w)
		return
	}
	switch r.Method {
	case http.MethodOptions:
		t.count(httpOptions)
		h.options(w)
		return
	case http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete, http.MethodPost:
	default:
		t.count(httpOther)
		w.Header().Set("Allow", httpAllow)
		answer(w, http.StatusMethodNotAllowed, "allowed are "+httpAllow)
		return
	}
	user, ok := h.user(w, r)
	if !ok {
		t.count(httpOther)
		h.ignoreBody(w)
		return
	}
	if h.srv.masksHTTP(r.Method) {
		t.count(cmdDenied)
		h.ignoreBody(w)
		answer(w, http.StatusForbidden, "Forbidden")
		return
	}
	if r.Method == http.MethodPost {
		t.count(httpPost)
		h.post(w, r, user)
		return
	}
	key, err := httpKey(r.RequestURI)
	if err != nil {
		t.count(httpOther)
		keyFault(w, err)
		return
	}
	if !h.srv.allowed(user, httpRights(r.Method), key) {
		t.count(cmdDenied)
		h.ignoreBody(w)
		answer(w, http.StatusForbidden, "permission denied")
		return
	}
	switch r.Method {
	case http.MethodPut:
		t.count(httpPut)
		h.put(w, r, key)
	case http.MethodDelete:
		t.count(httpDelete)
		h.delete(w, r, key)
	case http.MethodHead:
		t.count(httpHead)
		h.get(w, r, key)
	default:
		t.count(httpGet)
		h.get(w, r, key)
	}
}

// keyFault answers for a path that names no key.
func keyFault(w http.ResponseWriter, err error) {
	status := http.StatusBadRequest
	if errors.Is(err, errLongKey) {
		status = http.StatusRequestURITooLong
	}
	answer(w, status, err.Error())
}

// sendAway answers while clients are to be elsewhere.
func sendAway(w http.ResponseWriter) {
	w.Header().Set("Connection", "close")
	w.Header().Set("Retry-After", "1")
	w.Header().Set(headerEffect, effectNone)
	answer(w, http.StatusServiceUnavailable, "this node stood still and catches up: ask its peer")
}

// ignoreBody bounds the time that net/http takes to read or cut off a body that nobody reads.
func (h webHandler) ignoreBody(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(h.srv.limits.Load().RequestTimeout))
}

// get answers GET and HEAD from a copy: the record may be held only for a moment, the client may be slow.
func (h webHandler) get(w http.ResponseWriter, r *http.Request, key []byte) {
	t, began := h.srv.totals[0], nanos()
	t.count(cmdGet)
	var v store.View
	if !h.srv.store.Acquire(key, &v) {
		if v.Fault != nil {
			storeFault(w, v.Fault)
			return
		}
		t.count(getMisses)
		h.srv.noteAside(classHTTPGet, began, r.RemoteAddr, key, 0)
		answer(w, http.StatusNotFound, notFound)
		return
	}
	size, contentType, expires, token := len(v.Value), string(v.Type), v.Expires, v.Token
	isPlain := plain(r.Header)
	var value []byte
	if r.Method == http.MethodGet || !isPlain {
		if !h.srv.hold(size) {
			v.Release()
			refuseCrowded(w)
			return
		}
		defer h.srv.pending.Add(-int64(size))
		value = bytes.Clone(v.Value)
	}
	v.Release()
	t.count(getHits)
	h.srv.noteAside(classHTTPGet, began, r.RemoteAddr, key, size)
	if contentType == "" {
		contentType = defaultType
	}
	header := w.Header()
	header["Content-Type"] = []string{contentType}
	header["Etag"] = []string{etag(token)}
	header["Cache-Control"] = []string{string(appendCacheControl(nil, expires, h.srv.store.Now()))}
	if isPlain {
		header["Content-Length"] = []string{strconv.Itoa(size)}
		header["Accept-Ranges"] = []string{"bytes"}
		w.WriteHeader(http.StatusOK)
		if r.Method == http.MethodGet {
			_, _ = w.Write(value)
		}
		return
	}
	if c := conditionOf(r.Header); c.match != "" && !listed(c.match, etag(token), false) {
		answer(w, http.StatusPreconditionFailed, "the condition does not hold")
		return
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(value))
}

// plain reports whether a request has neither a condition nor a range, which http.ServeContent would look for.
func plain(h http.Header) bool {
	for _, name := range []string{"If-None-Match", "If-Match", "Range", "If-Range", "If-Modified-Since", "If-Unmodified-Since"} {
		if _, ok := h[name]; ok {
			return false
		}
	}
	return true
}

func appendCacheControl(dst []byte, expires uint64, now int64) []byte {
	if expires == 0 {
		return append(dst, "no-cache"...)
	}
	return strconv.AppendInt(append(dst, "max-age="...), max(int64(expires)-now, 0)/1000, 10)
}

func (h webHandler) delete(w http.ResponseWriter, r *http.Request, key []byte) {
	t, began := h.srv.totals[0], nanos()
	level, ok := ackLevel(r.Header)
	if !ok {
		answer(w, http.StatusBadRequest, badAck)
		return
	}
	cond := conditionOf(r.Header)
	for {
		q := store.Request{Op: store.Delete, Key: key, Level: level}
		if cond.any() {
			token, present, err := h.current(key)
			if err != nil {
				storeFault(w, err)
				return
			}
			if !cond.holds(token, present) {
				answer(w, http.StatusPreconditionFailed, "the condition does not hold")
				return
			}
			if !present {
				t.count(deleteMisses)
				answer(w, http.StatusNotFound, "Not Found")
				return
			}
			q.CAS = token
		}
		var res store.Result
		err := h.srv.store.Commit(&q, &res)
		switch {
		case err == nil:
			t.count(deleteHits)
			h.srv.noteAside(classHTTPDelete, began, r.RemoteAddr, key, 0)
			h.done(w, r, res.Seq, level, http.StatusOK, "OK")
		case cond.any() && (errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrNotFound)):
			continue // changed since the look at it
		case errors.Is(err, store.ErrNotFound):
			t.count(deleteMisses)
			answer(w, http.StatusNotFound, "Not Found")
		default:
			storeFault(w, err)
		}
		return
	}
}

// current returns the token of the live record.
func (h webHandler) current(key []byte) (token uint64, present bool, err error) {
	var v store.View
	if !h.srv.store.Acquire(key, &v) {
		return 0, false, v.Fault
	}
	token = v.Token
	v.Release()
	return token, true, nil
}

// storeFault answers for an error of the store that is no outcome of the operation.
func storeFault(w http.ResponseWriter, err error) {
	switch {
	case errors.Is(err, store.ErrTooLarge):
		answer(w, http.StatusRequestEntityTooLarge, err.Error())
	case errors.Is(err, store.ErrKey):
		answer(w, http.StatusBadRequest, err.Error())
	case errors.Is(err, store.ErrNoSpace), errors.Is(err, store.ErrNoMemory), errors.Is(err, store.ErrClock), errors.Is(err, store.ErrClockAhead), errors.Is(err, store.ErrDamaged),
		errors.Is(err, store.ErrReadOnly), errors.Is(err, store.ErrNoPeer), errors.Is(err, store.ErrUnreached), errors.Is(err, store.ErrForeign), errors.Is(err, store.ErrRefused), errors.Is(err, store.ErrClosed):
		w.Header().Set("Retry-After", "1")
		w.Header().Set(headerEffect, effectNone)
		answer(w, http.StatusServiceUnavailable, err.Error())
	case errors.Is(err, store.ErrUnknown):
		w.Header().Set(headerEffect, effectUnknown)
		answer(w, http.StatusServiceUnavailable, err.Error())
	default:
		answer(w, http.StatusInternalServerError, "internal error")
	}
}

// answer writes a body of one line.
func answer(w http.ResponseWriter, status int, line string) {
	header := w.Header()
	header.Set("Content-Type", textType)
	header.Set("Content-Length", strconv.Itoa(len(line)+1))
	w.WriteHeader(status)
	_, _ = io.WriteString(w, line+"\n")
}
