package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/futago/futago/internal/front"
)

const (
	// checkAgain is the longest time between two checks of an upstream that is not up: service must be back
	// within a second of its readiness, whatever the interval.
	checkAgain = 500 * time.Millisecond

	checkTimeoutMin = 100 * time.Millisecond
	checkTimeoutMax = time.Second

	reasonMax = 200 // bytes of a check's reply that are kept
)

// checkRecord is the result of the last active check of an upstream.
type checkRecord struct {
	at      time.Time
	took    time.Duration
	verdict verdict
	reason  string // one line, for people
}

// checkLoop checks upstream i of a group until ctx ends.
func (g *Gateway) checkLoop(ctx context.Context, gr *group, i int) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		begin := time.Now()
		up := g.checkOnce(ctx, gr, i)
		period := g.cfg.CheckInterval
		if !up {
			period = min(period, checkAgain)
		}
		timer.Reset(max(period-time.Since(begin), 0))
	}
}

// checkOnce asks upstream i of a group and returns whether it is up afterwards.
func (g *Gateway) checkOnce(ctx context.Context, gr *group, i int) (up bool) {
	u := gr.upstreams[i]
	begin := gr.balancer.now()
	limited, cancel := context.WithTimeout(ctx, min(max(g.cfg.CheckInterval, checkTimeoutMin), checkTimeoutMax))
	defer cancel()
	v, reason := u.ask(limited, gr.balancer.penalised(i))
	if ctx.Err() != nil {
		return true // the group is used no longer; the check was cut short and proves nothing
	}
	if v != verdictReady {
		u.checkFailures.Add(1)
	}
	u.lastCheck.Store(&checkRecord{at: begin, took: time.Since(begin), verdict: v, reason: reason})
	before, after := gr.balancer.judge(i, v, begin)
	switch {
	case before == after:
	case after == stateUp:
		g.log.Info("upstream back", "upstream", u.Addr, "by", "check", "was", before.String())
	default:
		g.log.Warn("upstream out", "upstream", u.Addr, "by", "check", "state", after.String(), "reason", reason)
	}
	return after == stateUp
}

// ask does one check. An upstream with a check address that is under a penalty must answer at its client port as
// well: its admin port may live while requests hang.
func (u *upstream) ask(ctx context.Context, penalised bool) (verdict, string) {
	if u.admin == nil {
		return probe(ctx, u.once, "OPTIONS", u.Addr, &url.URL{Scheme: "http", Host: u.urlHost, Opaque: "*"})
	}
	v, reason := probe(ctx, u.admin, "GET", u.Check, &url.URL{Scheme: "http", Host: "localhost", Path: "/readyz"})
	if v != verdictReady || !penalised {
		return v, reason
	}
	resp, err := roundTrip(ctx, u.once, "OPTIONS", &url.URL{Scheme: "http", Host: u.urlHost, Opaque: "*"})
	if err != nil {
		return verdictFailed, fmt.Sprintf("says ready, but at %s: %s", u.Addr, checkReason(err))
	}
	resp.Body.Close()
	if resp.StatusCode >= 500 {
		return verdictFailed, fmt.Sprintf("says ready, but at %s: %s", u.Addr, resp.Status)
	}
	return verdictReady, reason
}

// probe sends a request and judges the reply: 2xx is ready, 503 is not ready, anything else no answer. GET wants
// 200 exactly.
func probe(ctx context.Context, t *http.Transport, method, addr string, u *url.URL) (verdict, string) {
	resp, err := roundTrip(ctx, t, method, u)
	if err != nil {
		return verdictFailed, fmt.Sprintf("%s at %s: %s", method, addr, checkReason(err))
	}
	defer resp.Body.Close()
	// The body is a courtesy: a reply without a complete one still counts.
	body, _ := io.ReadAll(io.LimitReader(resp.Body, reasonMax))
	reason := front.FirstLine(string(body))
	if reason == "" {
		reason = resp.Status
	}
	switch {
	case resp.StatusCode == http.StatusOK, method == "OPTIONS" && resp.StatusCode/100 == 2:
		return verdictReady, reason
	case resp.StatusCode == http.StatusServiceUnavailable:
		return verdictNotReady, reason
	}
	return verdictFailed, fmt.Sprintf("%s at %s: unexpected status %s", method, addr, resp.Status)
}

// checkReason says in the words of operators why a check got no answer.
func checkReason(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return "no answer in time"
	}
	return err.Error()
}

func roundTrip(ctx context.Context, t *http.Transport, method string, u *url.URL) (*http.Response, error) {
	req := &http.Request{
		Method: method, URL: u, Header: http.Header{"User-Agent": {"futago-gateway"}},
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	return t.RoundTrip(req.WithContext(ctx))
}
