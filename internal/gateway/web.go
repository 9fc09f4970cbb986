package gateway

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// copyBufferSize is the piece in which bodies pass, and so the memory of a transfer.
const copyBufferSize = 32 << 10

var copyBuffers = sync.Pool{New: func() any { return new([copyBufferSize]byte) }}

// webExchange carries a request of net/http's server over net/http's transport.
type webExchange struct {
	g   *Gateway
	w   http.ResponseWriter
	ctx context.Context // ends when the client goes away
	ex  *exchange
	out *http.Request
	rep *reply // of the last try
}

// serve answers one request of a client of net/http's server.
func (g *Gateway) serve(w http.ResponseWriter, r *http.Request) {
	ex := newExchange(r)
	defer g.finish(ex)
	hasBody := r.ContentLength != 0 || len(r.TransferEncoding) > 0
	// net/http ignores Transfer-Encoding on HTTP/1.0. Closing keeps what follows from being read as a request.
	if hasBody || !r.ProtoAtLeast(1, 1) {
		w.Header().Set("Connection", "close")
	}
	x := &webExchange{g: g, w: w, ctx: r.Context(), ex: ex}
	t, ok := g.admit(x, ex, r.Host, hasBody)
	if !ok {
		return
	}
	x.out = outgoing(r, t)
	conf := g.conf()
	if _, own := x.out.Header["Authorization"]; !own && conf.User != "" {
		x.out.SetBasicAuth(conf.User, conf.Password)
	}
	if !g.forward(x, ex) {
		panic(http.ErrAbortHandler)
	}
}

func (x *webExchange) try(u *upstream, limit time.Duration) (status int, err error) {
	req := x.out.WithContext(x.ctx)
	address := *x.out.URL
	address.Host = u.urlHost
	req.URL = &address
	x.rep, err = u.try(req, limit, x.g.conf().BodyTimeout)
	if x.ctx.Err() != nil {
		x.drop()
		return 0, errClientGone
	}
	if err != nil {
		return 0, err
	}
	return x.rep.StatusCode, nil
}

func (x *webExchange) drop() {
	if x.rep != nil {
		x.rep.close()
		x.rep = nil
	}
}

func (x *webExchange) pass() (whole bool) {
	defer x.drop()
	header := x.w.Header()
	copyHeader(header, x.rep.Header)
	if _, ok := header["Content-Type"]; !ok {
		header["Content-Type"] = nil // keeps net/http from guessing one
	}
	x.w.WriteHeader(x.rep.StatusCode)
	upstreamErr, clientErr := x.copyBody()
	if upstreamErr != nil && clientErr == nil {
		x.g.noteCut(upstreamErr, x.ex)
		http.NewResponseController(x.w).Flush() // what came is the client's, as with nginx
	}
	return upstreamErr == nil && clientErr == nil
}

// copyBody streams the body. At most one of the errors is set.
func (x *webExchange) copyBody() (upstreamErr, clientErr error) {
	buf := copyBuffers.Get().(*[copyBufferSize]byte)
	defer copyBuffers.Put(buf)
	control := http.NewResponseController(x.w)
	streamed := x.rep.ContentLength < 0 // of unknown length: each piece may be an event that somebody waits for
	for {
		n, err := x.rep.Read(buf[:])
		if n > 0 {
			control.SetWriteDeadline(time.Now().Add(x.g.cfg.WriteTimeout)) // unsupported only in tests of the handler
			written, werr := x.w.Write(buf[:n])
			x.ex.bytes += int64(written)
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

func (x *webExchange) text(status int, line string) {
	header := x.w.Header()
	header.Set("Content-Type", textType)
	header.Set("Content-Length", strconv.Itoa(len(line)+1))
	x.ex.status = status
	x.w.WriteHeader(status)
	if x.ex.method == http.MethodHead {
		return
	}
	n, _ := io.WriteString(x.w, line+"\n") // a client that is gone needs no answer
	x.ex.bytes = int64(n)
}

// outgoing builds the request that goes upstream: the client's method, target bytes and header, without what
// concerns its connection, a body, or the original server's control headers. appendHead does the same on the plain path.
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
