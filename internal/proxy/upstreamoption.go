package proxy

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/futago/futago/internal/addr"
	"github.com/futago/futago/internal/nearest"
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
	parts := strings.Split(s, ",")
	u := Upstream{Addr: parts[0], Weight: 1}
	var errs []error
	seen := make(map[string]bool)
	for _, option := range parts[1:] {
		name, value, valued := strings.Cut(option, "=")
		switch {
		case !valued:
			errs = append(errs, fmt.Errorf("option %q: want name=value (nearest known option: %s)", option, nearest.Name(name, upstreamOptions)))
			continue
		case seen[name]:
			errs = append(errs, fmt.Errorf("option %s: given twice", name))
			continue
		}
		seen[name] = true
		if err := u.setOption(name, value); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) == 0 {
		errs = u.problems()
	}
	if len(errs) > 0 {
		return Upstream{}, fmt.Errorf("upstream %q: %w", s, errors.Join(errs...))
	}
	return u, nil
}

func (u *Upstream) setOption(name, value string) (err error) {
	switch name {
	case "check":
		if u.Check = value; value == "" {
			return errors.New("option check: want an address")
		}
	case "weight":
		if u.Weight, err = strconv.Atoi(value); err != nil {
			return fmt.Errorf("option weight=%q: want a whole number", value)
		}
	default:
		return fmt.Errorf("unknown option %q (nearest known option: %s)", name, nearest.Name(name, upstreamOptions))
	}
	return nil
}

// problems returns what is wrong with u, each naming the field, its value and what is allowed.
func (u Upstream) problems() (errs []error) {
	if err := addr.CheckDial(u.Addr); err != nil {
		errs = append(errs, err)
	}
	if u.Check != "" {
		if err := addr.CheckDial(u.Check); err != nil {
			errs = append(errs, fmt.Errorf("check: %w", err))
		}
	}
	if u.Weight < 1 || u.Weight > weightMax {
		errs = append(errs, fmt.Errorf("weight %d: want 1 to %d", u.Weight, weightMax))
	}
	return errs
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
