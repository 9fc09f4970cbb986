package proxy

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/futago/futago/internal/front"
)

// Upstream is one node behind the proxy. Its text form is what ParseUpstream reads and String writes.
type Upstream struct {
	// Addr is the address that serves memcached clients: host:port, [v6]:port or unix:/path.
	Addr string
	// Check is the address asked `GET /readyz` (a node's admin address). Empty: Addr is asked for its version.
	Check string
	// Weight is its share of the keys where the key chooses, 1 to weightMax.
	Weight int
}

// weightMax is that of the Go client, which places the keys.
const weightMax = 10_000

// upstreamOptions are the names that may follow the address, in the order in which String writes them.
var upstreamOptions = []string{"check", "weight"}

// ParseUpstream reads `ADDR[,check=ADDR][,weight=N]`. All problems are returned at once.
func ParseUpstream(s string) (Upstream, error) {
	u := Upstream{Weight: 1}
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
			return errors.New("want an address")
		}
	case "weight":
		if u.Weight, err = strconv.Atoi(value); err != nil {
			return errors.New("want a whole number")
		}
	}
	return nil
}

// problems returns what is wrong with u, each naming the field, its value and what is allowed.
func (u Upstream) problems() []error {
	return front.UpstreamProblems(u.Addr, u.Check, u.Weight, weightMax)
}

// String returns the form that ParseUpstream reads; options at their default are left out.
func (u Upstream) String() string {
	s := u.Addr
	if u.Check != "" {
		s += ",check=" + u.Check
	}
	if u.Weight != 1 {
		s += ",weight=" + strconv.Itoa(u.Weight)
	}
	return s
}
