package gateway

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// statusClientGone is nginx's word for a client that did not wait for its answer. It is logged, never sent.
const statusClientGone = 499

// copyBufferSize is the piece in which bodies pass, and so the memory of a transfer.
const copyBufferSize = 32 << 10

var copyBuffers = sync.Pool{New: func() any { return new([copyBufferSize]byte) }}

// serve answers one request of a client.
func (g *Gateway) serve(w http.ResponseWriter, r *http.Request) {
	ex := newExchange(r)
	defer g.finish(ex)
	hasBody := r.ContentLength != 0 || len(r.TransferEncoding) > 0
	// net/http ignores Transfer-Encoding on HTTP/1.0. Closing keeps what follows from being read as a request.
	if hasBody || !r.ProtoAtLeast(1, 1) {
		w.Header().Set("Connection", "close")
	}
	t, refused := g.rules.judge(r.Method, r.RequestURI, hasBody)
	if refused == nil && !validHost(r.Host) {
		refused = refusedHost
	}
	if refused != nil {
		g.metrics.refused(refused)
		ex.text(w, refused.status, refused.text)
		return
	}
	g.forward(w, r, t, ex)
}

// forward tries upstreams until one answers, each at most once and all within the retry budget.
func (g *Gateway) forward(w http.ResponseWriter, r *http.Request, t target, ex *exchange) {
	out := outgoing(r, t)
	if _, own := out.Header["Authorization"]; !own && g.cfg.User != "" {
		out.SetBasicAuth(g.cfg.User, g.cfg.Password)
	}
	var tried peerSet
	for {
		k, ok := g.balancer.pick(tried)
		if !ok {
			panic("gateway: a request tried more upstreams than there are")
		}
		tried = tried.with(k.peer)
		left := g.cfg.RetryBudget - time.Since(ex.start)
		rep, err := g.attempt(g.upstreams[k.peer], out, min(left, g.cfg.UpstreamTimeout), ex)
		if r.Context().Err() != nil {
			// The client went away, which says nothing about the upstream: its error may be our own cancelling.
			if rep != nil {
				rep.close()
			}
			ex.status = statusClientGone
			panic(http.ErrAbortHandler)
		}
		if err == nil && !unavailable(rep.StatusCode) {
			if g.balancer.succeed(k) {
				g.log.Info("upstream back", "upstream", g.upstreams[k.peer].Addr, "by", "request")
			}
			g.pass(w, rep, ex)
			return
		}
		g.noteFailure(k, rep, err)
		switch {
		case !g.balancer.all(tried) && time.Since(ex.start) < g.cfg.RetryBudget:
			if rep != nil {
				rep.close()
			}
			continue
		case rep != nil:
			// The last upstream's own words tell more than ours, and nginx does the same.
			g.pass(w, rep, ex)
		case errors.Is(err, ErrUpstreamTimeout):
			ex.text(w, http.StatusGatewayTimeout, "504 gateway timeout: no upstream answered in time")
		default:
			ex.text(w, http.StatusBadGateway, "502 bad gateway: no upstream answered")
		}
		return
	}
}

// attempt tries one upstream and notes the attempt in the exchange and the counters.
func (g *Gateway) attempt(u *upstream, out *http.Request, limit time.Duration, ex *exchange) (*reply, error) {
	req := out.WithContext(out.Context())
	address := *out.URL
	address.Host = u.urlHost
	req.URL = &address
	u.requests.Add(1)
	if len(ex.tries) > 0 {
		u.retries.Add(1)
	}
	begin := time.Now()
	rep, err := u.try(req, limit, g.cfg.BodyTimeout)
	took := time.Since(begin)
	status := http.StatusBadGateway
	switch {
	case err == nil:
		status = rep.StatusCode
		g.metrics.response(u, took)
	case errors.Is(err, ErrUpstreamTimeout):
		status = http.StatusGatewayTimeout
	case out.Context().Err() != nil:
		status = statusClientGone
	}
	ex.tries = append(ex.tries, attempt{upstream: u.Addr, status: status, took: took})
	return rep, err
}

func (g *Gateway) noteFailure(k pick, rep *reply, err error) {
	u := g.upstreams[k.peer]
	u.failures.Add(1)
	if rep != nil {
		err = errors.New(rep.Status)
	}
	if g.balancer.fail(k) {
		g.log.Warn("upstream out", "upstream", u.Addr, "by", "request", "err", err)
	} else {
		g.log.Debug("upstream failed", "upstream", u.Addr, "err", err)
	}
}

// unavailable says whether a status means that another upstream may do better. 500 is not among them: it may be
// the request's fault, and then each upstream in turn would be taken out for it.
func unavailable(status int) bool {
	return status == http.StatusBadGateway || status == http.StatusServiceUnavailable || status == http.StatusGatewayTimeout
}

// pass hands an upstream's reply to the client. From the first byte on there is no way back: when the upstream
// breaks off, so does the client's connection.
func (g *Gateway) pass(w http.ResponseWriter, rep *reply, ex *exchange) {
	defer rep.close()
	header := w.Header()
	copyHeader(header, rep.Header)
	if _, ok := header["Content-Type"]; !ok {
		header["Content-Type"] = nil // keeps net/http from guessing one
	}
	ex.status = rep.StatusCode
	w.WriteHeader(rep.StatusCode)
	upstreamErr, clientErr := g.copyBody(w, rep, ex)
	if upstreamErr == nil && clientErr == nil {
		return
	}
	if upstreamErr != nil && clientErr == nil {
		g.metrics.truncated.Inc()
		g.log.Debug("reply cut", "err", upstreamErr, "bytes", ex.bytes)
		http.NewResponseController(w).Flush() // what came is the client's, as with nginx
	}
	panic(http.ErrAbortHandler)
}

// copyBody streams the body. At most one of the errors is set.
func (g *Gateway) copyBody(w http.ResponseWriter, rep *reply, ex *exchange) (upstreamErr, clientErr error) {
	buf := copyBuffers.Get().(*[copyBufferSize]byte)
	defer copyBuffers.Put(buf)
	control := http.NewResponseController(w)
	streamed := rep.ContentLength < 0 // of unknown length: each piece may be an event that somebody waits for
	for {
		n, err := rep.Read(buf[:])
		if n > 0 {
			control.SetWriteDeadline(time.Now().Add(g.cfg.WriteTimeout)) // unsupported only in tests of the handler
			written, werr := w.Write(buf[:n])
			ex.bytes += int64(written)
			if werr == nil && streamed {
				werr = control.Flush()
			}
			if werr != nil {
				return nil, werr
			}
		}
		switch {
		case err == io.EOF:
			return nil, nil
		case err != nil:
			return err, nil
		}
	}
}

// outgoing builds the request that goes upstream: the client's method, target bytes and header, without what
// concerns its connection, a body, or the original server's control headers.
func outgoing(r *http.Request, t target) *http.Request {
	header := make(http.Header, len(r.Header)+2)
	for name, values := range r.Header {
		if !strings.HasPrefix(name, "X-Tt-") && name != "Content-Length" && name != "Expect" {
			header[name] = values
		}
	}
	removeHopByHop(header)
	if _, ok := header["User-Agent"]; !ok {
		header["User-Agent"] = nil // keeps net/http from adding its own
	}
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		if before := header["X-Forwarded-For"]; len(before) > 0 {
			host = strings.Join(before, ", ") + ", " + host
		}
		header.Set("X-Forwarded-For", host)
	}
	out := http.Request{
		Method: r.Method,
		// Opaque goes into the request line as it is. It never begins with two slashes, which would be read as a host.
		URL:        &url.URL{Scheme: "http", Opaque: t.path, RawQuery: t.query, ForceQuery: t.hasQuery},
		Host:       r.Host,
		Header:     header,
		Proto:      "HTTP/1.1",
		ProtoMajor: 1,
		ProtoMinor: 1,
	}
	return out.WithContext(r.Context())
}

// hopByHop belong to one connection (RFC 9110, section 7.6.1, and its predecessors).
var hopByHop = []string{
	"Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization",
	"Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

// removeHopByHop removes the headers of the connection, and those that Connection names.
func removeHopByHop(h http.Header) {
	for _, list := range h["Connection"] {
		for name := range strings.SplitSeq(list, ",") {
			h.Del(strings.TrimSpace(name))
		}
	}
	for _, name := range hopByHop {
		delete(h, name)
	}
}

// copyHeader moves an upstream's header to the client. A Connection header that dst already holds stays.
func copyHeader(dst, src http.Header) {
	removeHopByHop(src)
	for name, values := range src {
		dst[name] = values
	}
}

// validHost says whether a Host can be sent on. net/http checks the header field, not the host of an absolute
// request target, and would refuse to send some: that must not look like an upstream's failure.
func validHost(host string) bool {
	for i := range len(host) {
		c := host[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("-._~%!$&'()*+,;=:[]", c) >= 0:
		default:
			return false
		}
	}
	return true
}
