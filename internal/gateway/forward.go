package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// statusClientGone is nginx's word for a client that did not wait for its answer. It is logged, never sent.
const statusClientGone = 499

// carrier carries one request: through net/http (webExchange), or by itself (plainConn). What to carry where is decided
// here, for both.
type carrier interface {
	// try sends the request to u and waits for the header of the reply, at most limit. The error is ErrUpstreamTimeout
	// when that passed, errClientGone when nobody waits any more, or says how the upstream failed.
	try(u *upstream, limit time.Duration) (status int, err error)
	// drop ends the reply that the last try got.
	drop()
	// pass hands that reply to the client. From the first byte on there is no way back: when the upstream breaks off,
	// pass returns false, and the client's connection must be cut.
	pass() (whole bool)
	// text answers with one line in place of an upstream.
	text(status int, line string)
}

// admit answers a request that the rules refuse.
func (g *Gateway) admit(c carrier, ex *exchange, host string, hasBody bool) (t target, ok bool) {
	t, refused := g.conf().rules.judge(ex.method, ex.uri, hasBody)
	if refused == nil && !validHost(host) {
		refused = refusedHost
	}
	if refused != nil {
		g.metrics.refused(refused)
		c.text(refused.status, refused.text)
	}
	return t, refused == nil
}

// forward tries upstreams until one answers, each at most once and all within the retry budget. It returns whether the
// client's connection may go on.
func (g *Gateway) forward(c carrier, ex *exchange) (whole bool) {
	gr := g.enter()
	defer gr.active.Leave()
	var tried peerSet
	for {
		k, ok := gr.balancer.pick(tried)
		if !ok {
			panic("gateway: a request tried more upstreams than there are")
		}
		tried = tried.with(k.peer)
		status, err := g.attempt(c, gr.upstreams[k.peer], ex)
		if errors.Is(err, errClientGone) {
			// That says nothing about the upstream: its error may be our own cancelling.
			ex.status = statusClientGone
			return false
		}
		if err == nil && !unavailable(status) {
			if gr.balancer.succeed(k) {
				g.log.Info("upstream back", "upstream", gr.upstreams[k.peer].Addr, "by", "request")
			}
			ex.status = status
			return c.pass()
		}
		g.noteFailure(gr, k, status, err)
		switch {
		case !gr.balancer.all(tried) && time.Since(ex.start) < g.cfg.RetryBudget:
			if err == nil {
				c.drop()
			}
			continue
		case err == nil:
			// The last upstream's own words tell more than ours, and nginx does the same.
			ex.status = status
			return c.pass()
		case errors.Is(err, ErrUpstreamTimeout):
			c.text(http.StatusGatewayTimeout, "504 gateway timeout: no upstream answered in time")
		default:
			c.text(http.StatusBadGateway, "502 bad gateway: no upstream answered")
		}
		return true
	}
}

// attempt tries one upstream and notes the attempt in the exchange and the counters.
func (g *Gateway) attempt(c carrier, u *upstream, ex *exchange) (status int, err error) {
	u.requests.Add(1)
	begin := ex.start // of the first one, which follows at once
	if len(ex.tries) > 0 {
		u.retries.Add(1)
		begin = time.Now()
	}
	limit := min(g.cfg.RetryBudget-begin.Sub(ex.start), g.conf().UpstreamTimeout)
	status, err = c.try(u, limit)
	took := time.Since(begin)
	logged := status
	switch {
	case err == nil:
		u.response.Observe(took.Seconds())
	case errors.Is(err, ErrUpstreamTimeout):
		logged = http.StatusGatewayTimeout
	case errors.Is(err, errClientGone):
		logged = statusClientGone
	default:
		logged = http.StatusBadGateway
	}
	ex.tries = append(ex.tries, attempt{upstream: u.Addr, status: logged, took: took})
	return status, err
}

func (g *Gateway) noteFailure(gr *group, k pick, status int, err error) {
	u := gr.upstreams[k.peer]
	u.failures.Add(1)
	if err == nil {
		err = fmt.Errorf("%d %s", status, http.StatusText(status))
	}
	if gr.balancer.fail(k) {
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

// noteCut counts a reply whose body the upstream did not send to its end.
func (g *Gateway) noteCut(err error, ex *exchange) {
	g.metrics.truncated.Inc()
	g.log.Debug("reply cut", "err", err, "bytes", ex.bytes)
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
