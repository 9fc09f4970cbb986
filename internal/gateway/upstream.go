package gateway

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/futago/futago/internal/front"
)

// Upstream is one server behind the gateway. Its text form is what ParseUpstream reads and String writes.
type Upstream struct {
	// Addr is the address that serves clients: host:port, [v6]:port or unix:/path.
	Addr string
	// Check is the address asked `GET /readyz` (a node's admin address). Empty: Addr is asked `OPTIONS *`.
	Check string
	// Weight is its share of the requests, 1 to weightMax.
	Weight int
	// MaxFails is how many failures take it out; 0 means that failures of requests never do.
	MaxFails int
	// FailTimeout is how long it then stays out, unless an active check sees it come back.
	FailTimeout time.Duration
}

// The defaults are nginx's.
const (
	defaultWeight      = 1
	defaultMaxFails    = 1
	defaultFailTimeout = 10 * time.Second
)

// weightMax and maxFailsMax keep the balancer's sums far from overflow.
const (
	weightMax   = 65535
	maxFailsMax = 65535
)

// upstreamOptions are the names that may follow the address, in the order in which String writes them.
var upstreamOptions = []string{"check", "weight", "max_fails", "fail_timeout"}

// DefaultUpstream returns an upstream at addr with every option at its default.
func DefaultUpstream(addr string) Upstream {
	return Upstream{Addr: addr, Weight: defaultWeight, MaxFails: defaultMaxFails, FailTimeout: defaultFailTimeout}
}

// ParseUpstream reads `ADDR[,check=ADDR][,weight=N][,max_fails=N][,fail_timeout=DURATION]`. All problems are
// returned at once.
func ParseUpstream(s string) (Upstream, error) {
	u := DefaultUpstream("")
	var errs []error
	u.Addr, errs = front.Options(s, upstreamOptions, u.setOption)
	if len(errs) == 0 {
		errs = u.problems()
	}
	if len(errs) > 0 {
		return Upstream{}, fmt.Errorf("upstream %q: %w", s, errors.Join(errs...))
	}
	return u, nil
}

// setOption sets one of upstreamOptions.
func (u *Upstream) setOption(name, value string) (err error) {
	switch name {
	case "check":
		if u.Check = value; value == "" {
			err = errors.New("want an address")
		}
	case "weight":
		u.Weight, err = strconv.Atoi(value)
	case "max_fails":
		u.MaxFails, err = strconv.Atoi(value)
	case "fail_timeout":
		u.FailTimeout, err = time.ParseDuration(value)
	}
	return err
}

// problems returns what is wrong with u, each naming the field, its value and what is allowed.
func (u Upstream) problems() (errs []error) {
	errs = front.UpstreamProblems(u.Addr, u.Check, u.Weight, weightMax)
	if u.MaxFails < 0 || u.MaxFails > maxFailsMax {
		errs = append(errs, fmt.Errorf("max_fails %d: want 0 to %d", u.MaxFails, maxFailsMax))
	}
	if u.FailTimeout < 0 || u.FailTimeout > 24*time.Hour {
		errs = append(errs, fmt.Errorf("fail_timeout %s: want 0s to 24h", u.FailTimeout))
	}
	return errs
}

// String returns the form that ParseUpstream reads; options at their default are left out.
func (u Upstream) String() string {
	var b strings.Builder
	b.WriteString(u.Addr)
	if u.Check != "" {
		b.WriteString(",check=" + u.Check)
	}
	if u.Weight != defaultWeight {
		fmt.Fprintf(&b, ",weight=%d", u.Weight)
	}
	if u.MaxFails != defaultMaxFails {
		fmt.Fprintf(&b, ",max_fails=%d", u.MaxFails)
	}
	if u.FailTimeout != defaultFailTimeout {
		fmt.Fprintf(&b, ",fail_timeout=%s", u.FailTimeout)
	}
	return b.String()
}
