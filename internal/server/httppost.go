package server

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/futago/futago/internal/cabinet"
	"github.com/futago/futago/internal/store"
	"github.com/futago/futago/internal/tyrant"
	"github.com/futago/futago/internal/users"
)

// The headers of POST. Source: Tokyo Tyrant's protocol document, section HTTP.
const (
	headerScript     = "X-TT-XNAME" // function of the script: the key is that of the path, the value is the body
	headerScriptLock = "X-TT-XOPTS" // its option bits
	headerMisc       = "X-TT-MNAME" // function of misc: the arguments are the fields of the form in the body
	formType         = "application/x-www-form-urlencoded"
)

// maxFields is how many fields a form may have, as many as a list of the binary protocol.
const maxFields = 1 << 20

var errForm = errors.New("the form cannot be read: want application/x-www-form-urlencoded or multipart/form-data")

// options answers OPTIONS: what is allowed, and to whoever may read all, the figures of stat.
func (h webHandler) options(w http.ResponseWriter) {
	header := w.Header()
	header.Set("Allow", h.allow())
	header.Set("Content-Length", "0")
	if h.srv.cfg.Users == nil && !h.srv.masksHTTP(http.MethodOptions) {
		for _, s := range h.srv.tyrantIdentity() {
			header["X-TT-"+strings.ToUpper(s.name)] = []string{s.value}
		}
	}
	w.WriteHeader(http.StatusOK)
}

// allow lists the methods that no mask forbids.
func (h webHandler) allow() string {
	var all []string
	for method := range strings.SplitSeq(httpAllow, ", ") {
		if !h.srv.masksHTTP(method) {
			all = append(all, method)
		}
	}
	return strings.Join(all, ", ")
}

// post calls a function.
func (h webHandler) post(w http.ResponseWriter, r *http.Request, user *users.User) {
	script, misc := r.Header.Get(headerScript), r.Header.Get(headerMisc)
	if script == "" && misc == "" {
		h.ignoreBody(w)
		answer(w, http.StatusBadRequest, "the header "+headerScript+" or "+headerMisc+" must name a function")
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
	body, release, err := h.readBody(w, r)
	defer release()
	if err != nil {
		bodyFault(w, err)
		return
	}
	c := h.srv.cabinet.Client(new(cabinet.Scratch))
	c.Level = level
	if h.srv.cfg.Users != nil {
		c.Sees = func(key []byte) bool { return h.srv.allowed(user, users.Read, key) }
	}
	if script != "" {
		h.postScript(w, r, user, c, script, body)
		return
	}
	h.postMisc(w, r, user, c, misc, body)
}

// heavy runs what may take long; not while the client is told of it, who may be slow. Nothing is executed, and the client is answered,
// if false.
func (h webHandler) heavy(w http.ResponseWriter, r *http.Request, job func(ctx context.Context)) (done bool) {
	since := nanos()
	began := h.srv.inTurn(r.Context(), func(ctx context.Context) {
		if done = !h.srv.sendsAway(); done {
			job(ctx)
		}
	})
	if !began {
		panic(http.ErrAbortHandler)
	}
	if !done {
		sendAway(w)
		return false
	}
	key, _ := httpKey(r.RequestURI)
	h.srv.noteAside(classHTTPPost, since, r.RemoteAddr, key, int(max(r.ContentLength, 0)))
	return true
}

func (h webHandler) postScript(w http.ResponseWriter, r *http.Request, user *users.User, c *cabinet.Client, name string, body []byte) {
	key, err := httpKey(r.RequestURI)
	if err != nil && !errors.Is(err, errNoKey) {
		keyFault(w, err)
		return
	}
	if h.srv.cfg.Mask.Forbids(tyrant.Ext, tyrant.ViaHTTP) || !h.srv.allowed(user, users.Read|users.Write, nil) || user != nil && len(user.Prefixes) > 0 {
		h.denied(w)
		return
	}
	lock, _ := strconv.ParseUint(r.Header.Get(headerScriptLock), 10, 32)
	if h.srv.cfg.Script == nil {
		answer(w, http.StatusInternalServerError, "this node has no script: start it with --script")
		return
	}
	var result []byte
	var ok bool
	if !h.heavy(w, r, func(ctx context.Context) { result, ok = h.srv.callScript(ctx, c, name, key, body, uint32(lock)) }) {
		return
	}
	if !ok {
		answer(w, http.StatusInternalServerError, "Internal Server Error")
		return
	}
	h.called(w, r, c, defaultType, result)
}

func (h webHandler) postMisc(w http.ResponseWriter, r *http.Request, user *users.User, c *cabinet.Client, name string, body []byte) {
	args, err := formFields(r.Header.Get("Content-Type"), body)
	if err != nil {
		answer(w, http.StatusBadRequest, err.Error())
		return
	}
	what := miscAction(name)
	what.user, what.remote = auditName(user), r.RemoteAddr
	masked := h.srv.masksMisc(name, tyrant.ViaHTTP)
	if masked || h.srv.cfg.Users != nil && !h.srv.allowedMisc(user, name, args) {
		h.srv.audit.note(what, refusal(masked))
		h.denied(w)
		return
	}
	var list [][]byte
	if !h.heavy(w, r, func(ctx context.Context) { list, err = c.Misc(ctx, name, args) }) {
		return
	}
	h.srv.audit.note(what, err)
	if err != nil {
		answer(w, http.StatusInternalServerError, err.Error())
		return
	}
	var reply []byte
	for i, b := range list {
		if i > 0 {
			reply = append(reply, '&')
		}
		reply = appendEscaped(append(strconv.AppendInt(append(reply, "res"...), int64(i+1), 10), '='), b)
	}
	h.called(w, r, c, formType, reply)
}

func (h webHandler) denied(w http.ResponseWriter) {
	h.srv.totals[0].count(cmdDenied)
	answer(w, http.StatusForbidden, "Forbidden")
}

// called answers with the result of a function once what it has written may be told of.
func (h webHandler) called(w http.ResponseWriter, r *http.Request, c *cabinet.Client, contentType string, result []byte) {
	if seq := c.Written(); seq != 0 {
		reached, err := h.confirm(r, seq, c.Level)
		switch {
		case errors.Is(err, store.ErrUnconfirmed):
			h.srv.store.Unconfirmed(1)
			w.Header().Set(headerEffect, effectUnknown)
			answer(w, http.StatusServiceUnavailable, err.Error())
			return
		case err != nil:
			panic(http.ErrAbortHandler)
		}
		w.Header().Set(headerAcked, reached.String())
	}
	if !h.srv.hold(len(result)) {
		refuseCrowded(w)
		return
	}
	defer h.srv.pending.Add(-int64(len(result)))
	header := w.Header()
	header.Set("Content-Type", contentType)
	header.Set("Content-Length", strconv.Itoa(len(result)))
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(result)
}

// formFields are the values of a form, in order; their names say nothing.
func formFields(contentType string, body []byte) (list [][]byte, err error) {
	kind, params, err := mime.ParseMediaType(contentType)
	if contentType != "" && err != nil {
		return nil, errForm
	}
	switch kind {
	case "multipart/form-data":
		parts := multipart.NewReader(bytes.NewReader(body), params["boundary"])
		for {
			part, err := parts.NextRawPart()
			if errors.Is(err, io.EOF) {
				return list, nil
			}
			if err != nil || len(list) >= maxFields {
				return nil, errForm
			}
			value, err := io.ReadAll(part)
			if err != nil {
				return nil, errForm
			}
			list = append(list, value)
		}
	case "", formType:
	default:
		return nil, errForm
	}
	if len(body) == 0 {
		return nil, nil
	}
	for field := range strings.SplitSeq(string(body), "&") {
		_, value, _ := strings.Cut(field, "=")
		text, err := url.QueryUnescape(value)
		if err != nil || len(list) >= maxFields {
			return nil, errForm
		}
		list = append(list, []byte(text))
	}
	return list, nil
}

// appendEscaped percent-encodes all but the bytes that the original leaves bare.
func appendEscaped(dst, b []byte) []byte {
	const digits = "0123456789ABCDEF"
	for _, c := range b {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("_-.!~*'()", c) >= 0:
			dst = append(dst, c)
		default:
			dst = append(dst, '%', digits[c>>4], digits[c&15])
		}
	}
	return dst
}
