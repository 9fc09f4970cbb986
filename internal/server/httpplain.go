package server

import (
	"bytes"
	"net/http"
	"strconv"

	"github.com/futago/futago/internal/httphead"
	"github.com/futago/futago/internal/record"
)

// Most requests are a GET of a key and ask for nothing more. The carriers answer these themselves, byte for byte as
// net/http would; the first request of another kind takes the connection to net/http, where it stays.

// speaksHTTP reports whether the carriers answer requests: not where each has to be looked at for its user or the mask, and is told what
// a reply means.
func (s *Server) speaksHTTP() bool {
	return s.cfg.Users == nil && s.store.Durability() == "" && !s.masksHTTP(http.MethodGet) && !s.masksHTTP(http.MethodHead)
}

// feedHTTP is feed for HTTP. It sets leaving at the first request that is for net/http.
func (s *session) feedHTTP(w *worker, in []byte, start int) (n int) {
	for n < len(in) {
		if s.full(w, start) {
			s.more = true
			return n
		}
		size, verdict := httphead.Decode(in[n:], &w.head)
		if verdict == httphead.Partial {
			return n
		}
		before := s.made()
		w.begins()
		if verdict == httphead.Other || w.head.Flags&^(httphead.Forwarded|httphead.Tyrant) != 0 || !s.answerHTTP(w) {
			w.spare()
			s.leaving = true
			return n
		}
		s.ended(w, size+s.made()-before)
		n += size
	}
	return n
}

// answerHTTP answers the request in w.head; false when net/http has to.
func (s *session) answerHTTP(w *worker) bool {
	path, _, _ := bytes.Cut(w.head.Target[1:], []byte{'?'})
	key, err := appendUnescaped(w.key[:0], path)
	if err != nil || len(key) == 0 || len(key) > record.MaxKey {
		return false
	}
	w.key = key
	v := &w.view
	hit := w.store.Acquire(key, v)
	switch {
	case hit && (!printable(v.Type) || !s.roomFor(w, len(v.Value))):
		v.Release()
		return false
	case hit:
		w.tally[getHits]++
	default:
		if v.Fault != nil {
			return false
		}
		w.tally[getMisses]++
	}
	w.tally[cmdGet]++
	if w.head.Head {
		w.tally[httpHead]++
	} else {
		w.tally[httpGet]++
	}
	if hit {
		s.appendFound(w)
	} else {
		s.appendNotFound(w)
	}
	return true
}

// appendFound answers with what w.view holds, and releases it.
func (s *session) appendFound(w *worker) {
	v := &w.view
	defer v.Release()
	out := append(s.out, "HTTP/1.1 200 OK\r\nAccept-Ranges: bytes\r\nCache-Control: "...)
	out = appendCacheControl(out, v.Expires, w.now)
	out = append(out, "\r\nContent-Length: "...)
	out = strconv.AppendInt(out, int64(len(v.Value)), 10)
	out = append(out, "\r\nContent-Type: "...)
	if len(v.Type) > 0 {
		out = append(out, v.Type...)
	} else {
		out = append(out, defaultType...)
	}
	out = append(out, "\r\nEtag: "...)
	out = appendETag(out, v.Token)
	out = append(out, "\r\nDate: "...)
	out = w.appendDate(out)
	out = append(out, "\r\n\r\n"...)
	s.out = out
	if !w.head.Head {
		s.sendBody(w, v.Value, "")
	}
}

const notFound = "Not Found"

func (s *session) appendNotFound(w *worker) {
	out := append(s.out, "HTTP/1.1 404 Not Found\r\nContent-Length: "...)
	out = strconv.AppendInt(out, int64(len(notFound)+1), 10)
	out = append(out, "\r\nContent-Type: "+textType+"\r\nDate: "...)
	out = w.appendDate(out)
	out = append(out, "\r\n\r\n"...)
	if !w.head.Head {
		out = append(out, notFound+"\n"...)
	}
	s.out = out
}

// appendDate appends the present second as HTTP writes it.
func (w *worker) appendDate(dst []byte) []byte {
	if second := w.now / 1000; second != w.dated || len(w.date) == 0 {
		w.dated = second
		w.date = w.srv.wall(w.now).UTC().AppendFormat(w.date[:0], http.TimeFormat)
	}
	return append(dst, w.date...)
}

// printable reports whether a stored type can stand in a header as it is.
func printable(b []byte) bool {
	for _, c := range b {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return true
}
