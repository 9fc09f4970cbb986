package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/futago/futago/internal/access"
	"github.com/futago/futago/internal/addr"
	"github.com/futago/futago/internal/front"
)

const (
	// checkAgain is the longest time between two checks of an upstream that is down.
	checkAgain = 500 * time.Millisecond
	// checkPause is the shortest time between two checks, whoever is in a hurry.
	checkPause = 50 * time.Millisecond

	// checkRefused is the time between two checks, whoever is in a hurry, of an upstream that does not take the password:
	// looking at one costs it work.
	checkRefused = 2 * time.Second

	checkTimeoutMin = 100 * time.Millisecond
	checkTimeoutMax = time.Second

	// checkLenience is how many checks in a row may go without an answer before an upstream that serves is taken out.
	// Requests find a dead one sooner.
	checkLenience = 2

	answerMax = 200 // bytes of an answer that are kept
)

// checkRecord is the result of the last check of an upstream.
type checkRecord struct {
	at     time.Time
	took   time.Duration
	err    error // nil: ready
	answer string
	silent int // checks in a row without an answer
}

// errNotReady says that the upstream answered that it is not ready.
var errNotReady = errors.New("not ready")

// checkLoop checks an upstream until ctx ends. checked is called after the first time.
func (u *upstream) checkLoop(ctx context.Context, checked func()) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for first := true; ; first = false {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		begin := time.Now()
		up := u.checkOnce(ctx)
		if first {
			checked()
		}
		period := u.proxy.conf().CheckInterval
		if !up {
			period = min(period, checkAgain)
		}
		timer.Reset(u.pause())
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		timer.Reset(max(period-time.Since(begin), 0))
		select {
		case <-ctx.Done():
			return
		case <-u.kick:
		case <-timer.C:
		}
		timer.Reset(0)
	}
}

// pause is the least time until the next check.
func (u *upstream) pause() time.Duration {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.check != nil && errors.Is(u.check.err, errAuth) {
		return checkRefused
	}
	return checkPause
}

// checkOnce asks the upstream and returns whether it is up afterwards.
func (u *upstream) checkOnce(ctx context.Context) (up bool) {
	begin, was := time.Now(), u.up.Load()
	limited, cancel := context.WithTimeout(ctx, min(max(u.proxy.conf().CheckInterval, checkTimeoutMin), checkTimeoutMax))
	defer cancel()
	answer, err := u.ask(limited, was)
	if ctx.Err() != nil {
		return was // it is no longer used; the check was cut short and proves nothing
	}
	if err != nil {
		u.checkFailures.Add(1)
	}
	return u.judge(&checkRecord{at: begin, took: time.Since(begin), err: err, answer: answer})
}

// judge draws the conclusion from a check and returns whether the upstream is up.
func (u *upstream) judge(r *checkRecord) (up bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if r.err != nil && !errors.Is(r.err, errNotReady) {
		r.silent = 1
		if u.check != nil {
			r.silent += u.check.silent
		}
	}
	// One that is down from the start is news, and so is what an operator must repair.
	was := u.check
	news := was == nil || errors.Is(r.err, errAuth) && !errors.Is(u.check.err, errAuth)
	u.check = r
	switch {
	case r.err == nil && u.up.Load():
	case r.err == nil && !r.at.After(u.failed): // a request failed since: what the check saw may be over
	case r.err == nil && time.Since(u.failed) < u.hold:
		u.reason = "answers again, but hung twice in short time"
	case r.err == nil && was != nil && was.silent > 0: // one that stood still may not know yet what it has missed
		u.reason = "answers again, and is asked once more"
	case r.err == nil:
		if u.setLocked(true, r.answer) {
			u.proxy.log.Info("upstream up", "upstream", u.Addr, "answer", r.answer)
		}
	case u.up.Load() && r.silent > 0 && r.silent < checkLenience:
	default:
		if u.setLocked(false, r.err.Error()) || news {
			u.proxy.log.Warn("upstream out", "upstream", u.Addr, "by", "check", "err", r.err)
		}
	}
	return u.up.Load()
}

// ask does one check. An upstream that is down must answer at its client port as well: its admin port may live while
// requests hang.
func (u *upstream) ask(ctx context.Context, up bool) (answer string, err error) {
	if u.admin != nil {
		if answer, err = askReady(ctx, u.admin, u.Check); err != nil || up {
			return answer, err
		}
	}
	version, err := u.askVersion(ctx)
	if err != nil {
		return version, fmt.Errorf("version at %s: %w", u.Addr, err)
	}
	if u.admin == nil {
		answer = version
	}
	return answer, nil
}

func newAdminTransport(at string, trust *access.ClientTLS) *http.Transport {
	at, secure := front.CheckAddr(at)
	network, address, _ := addr.Split(at) // Config.Validate has passed
	return &http.Transport{
		DisableKeepAlives:      true, // a check must see that it still accepts
		MaxResponseHeaderBytes: 16 << 10,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, network, address)
			if err != nil || !secure {
				return c, err
			}
			return trust.Client(ctx, c, address)
		},
	}
}

// askReady wants 200 from GET /readyz.
func askReady(ctx context.Context, t *http.Transport, at string) (answer string, err error) {
	req := (&http.Request{
		Method: "GET", URL: &url.URL{Scheme: "http", Host: "localhost", Path: "/readyz"}, Header: http.Header{"User-Agent": {"futago-proxy"}},
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}).WithContext(ctx)
	resp, err := t.RoundTrip(req)
	if err != nil {
		return "", fmt.Errorf("GET /readyz at %s: %w", at, err)
	}
	defer resp.Body.Close()
	// The body is a courtesy: a reply without a complete one still counts.
	body, _ := io.ReadAll(io.LimitReader(resp.Body, answerMax))
	if answer = front.FirstLine(string(body)); answer == "" {
		answer = resp.Status
	}
	switch resp.StatusCode {
	case http.StatusOK:
		return answer, nil
	case http.StatusServiceUnavailable:
		return answer, fmt.Errorf("%w: %s", errNotReady, answer)
	}
	return answer, fmt.Errorf("GET /readyz at %s: unexpected status %s", at, resp.Status)
}

// askVersion asks on a new connection: a node's client port opens only when it is ready.
func (u *upstream) askVersion(ctx context.Context) (answer string, err error) {
	nc, err := u.dial(ctx)
	if err != nil {
		return "", err
	}
	defer nc.Close()
	if deadline, ok := ctx.Deadline(); ok {
		nc.SetDeadline(deadline)
	}
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	defer stop()
	line, err := u.hail(nc, make([]byte, answerMax))
	if err != nil {
		return "", err
	}
	if answer = front.FirstLine(line); !strings.HasPrefix(answer, "VERSION ") {
		return answer, fmt.Errorf("unexpected answer %q", answer)
	}
	return answer, nil
}
