package gateway

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/futago/futago/internal/access"
	"github.com/futago/futago/internal/addr"
	"github.com/futago/futago/internal/front"
)

// idleConnsMax is how many idle connections to an upstream are kept, idleConnTimeout for how long. The time must
// be shorter than the upstream's own, or requests meet connections that it is closing.
const (
	idleConnsMax    = 512
	idleConnTimeout = 30 * time.Second
)

// upstream is one server with its connections and counters.
type upstream struct {
	Upstream
	client    *http.Transport // to Addr, kept alive, for requests that net/http carries
	conns     *pool           // to Addr, for plain requests
	once      *http.Transport // to Addr, one connection a request: checks must see that it still accepts
	admin     *http.Transport // to Check, likewise; nil without one
	urlHost   string          // Host of requests that come without one
	lastCheck atomic.Pointer[checkRecord]

	requests, failures, retries, checkFailures atomic.Uint64
	response                                   prometheus.Observer // seconds to the header of a reply
}

func newUpstream(u Upstream, conf func() *inForce) *upstream {
	cfg := conf()
	up := &upstream{Upstream: u, urlHost: "localhost"}
	if network, address, _ := addr.Split(u.Addr); network == "tcp" {
		up.urlHost = address
	}
	up.client = newTransport(u.Addr, cfg.TLS, conf)
	up.conns = newPool(u.Addr)
	up.once = newTransport(u.Addr, cfg.TLS, conf)
	up.once.DisableKeepAlives = true
	if u.Check != "" {
		check, secure := front.CheckAddr(u.Check)
		trust := cfg.CheckTLS
		if !secure {
			trust = nil
		}
		up.admin = newTransport(check, trust, conf)
		up.admin.DisableKeepAlives = true
	}
	return up
}

// newTransport returns a transport whose every connection goes to at, whatever the URL says, by TLS unless trust is nil.
func newTransport(at string, trust *access.ClientTLS, conf func() *inForce) *http.Transport {
	network, address, _ := addr.Split(at) // Config.Validate has passed
	return &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			// A dial may outlive the request that began it, so it needs a limit of its own.
			limit := conf().UpstreamTimeout
			c, err := (&net.Dialer{Timeout: limit}).DialContext(ctx, network, address)
			if err != nil || trust == nil {
				return c, err
			}
			ctx, cancel := context.WithTimeout(ctx, limit)
			defer cancel()
			return trust.Client(ctx, c, address)
		},
		DisableCompression:     true, // the client's Accept-Encoding and the upstream's bytes pass unaltered
		MaxIdleConns:           idleConnsMax,
		MaxIdleConnsPerHost:    idleConnsMax,
		IdleConnTimeout:        idleConnTimeout,
		MaxResponseHeaderBytes: int64(conf().MaxHeaderBytes),
		WriteBufferSize:        4 << 10,
		ReadBufferSize:         4 << 10,
	}
}

func (u *upstream) close() {
	u.client.CloseIdleConnections()
	u.conns.close()
}

// reply is an upstream's answer, its header read and its body not.
type reply struct {
	*http.Response
	stall  *time.Timer // cancels the exchange
	pause  time.Duration
	cancel context.CancelCauseFunc
}

// try sends req to the upstream and waits for the header of the reply, at most limit. The error is
// ErrUpstreamTimeout when that passed; anything else says that the upstream failed, or that req's context ended.
// The caller must close the reply.
func (u *upstream) try(req *http.Request, limit, pause time.Duration) (*reply, error) {
	ctx, cancel := context.WithCancelCause(req.Context())
	timer := time.AfterFunc(limit, func() { cancel(ErrUpstreamTimeout) })
	resp, err := u.client.RoundTrip(req.WithContext(ctx))
	if err == nil && resp.StatusCode == http.StatusSwitchingProtocols {
		resp.Body.Close()
		err = errUpgrade
	}
	if err == nil && !timer.Stop() {
		resp.Body.Close()
		err = ErrUpstreamTimeout
	}
	if err != nil {
		timer.Stop()
		if errors.Is(context.Cause(ctx), ErrUpstreamTimeout) || isTimeout(err) {
			err = ErrUpstreamTimeout
		}
		cancel(nil)
		return nil, err
	}
	return &reply{Response: resp, stall: timer, pause: pause, cancel: cancel}, nil
}

// Read reads from the body and fails when nothing comes for the length of the pause.
func (r *reply) Read(p []byte) (int, error) {
	r.stall.Reset(r.pause)
	n, err := r.Body.Read(p)
	r.stall.Stop()
	return n, err
}

// close ends the exchange. The connection is kept only if the body was read to its end.
func (r *reply) close() {
	r.stall.Stop()
	r.Body.Close()
	r.cancel(nil)
}

// isTimeout says whether err is a time-out of the network, such as that of the dialer.
func isTimeout(err error) bool {
	netErr, ok := errors.AsType[net.Error](err)
	return ok && netErr.Timeout()
}

var _ io.Reader = (*reply)(nil)
