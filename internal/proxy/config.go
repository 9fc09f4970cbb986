package proxy

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/futago/futago"
	"github.com/futago/futago/internal/access"
	"github.com/futago/futago/internal/front"
	"github.com/futago/futago/internal/profile"
	"github.com/futago/futago/internal/reload"
)

// upstreamsMax is the width of a set of upstreams.
const upstreamsMax = 64

// The ways to choose an upstream.
const (
	// ChoosePrimary takes the first upstream that is up, in the order of the configuration, for everything.
	ChoosePrimary = "primary"
	// ChooseConsistent takes the upstream that the Go client's Consistent strategy gives the key, and while that is down the
	// next one.
	ChooseConsistent = "consistent"
)

// Config is everything a proxy needs to know. Start from DefaultConfig: a zero limit is refused, not replaced.
type Config struct {
	// Listen is the address for clients: host:port, :port, [v6]:port or unix:/path; port 0 takes a free one. With ",tls" behind
	// it clients must speak TLS, with ",tls=mutual" and show a certificate.
	Listen string
	// AdminListen serves /healthz, /readyz, /metrics and /status, written likewise; "none" turns it off.
	AdminListen string
	// Access is what protects them.
	Access front.AccessConfig
	// Profile is what AdminListen serves of profiles.
	Profile profile.Config
	// Upstreams are the nodes behind, at least one.
	Upstreams []Upstream
	// Choice is ChoosePrimary or ChooseConsistent.
	Choice string

	// User and Password authenticate at upstreams that ask for it, with both protocols: there all clients are this user. An
	// empty User has none.
	User, Password string
	// TLS is spoken with upstreams; nil speaks plain. CheckTLS is for checks whose address begins with https://.
	TLS, CheckTLS *access.ClientTLS

	// Timeout is the time within which a request is answered, all tries together. A try gets an equal part of what is
	// left of it; the last upstream gets all. The time in which large replies come before its own on the connection, at
	// 4 MB/s or more, does not count.
	Timeout time.Duration
	// CheckInterval is the time between two checks of an upstream. One that is down is checked at least each 500 ms.
	CheckInterval time.Duration
	// Pool is the number of connections to each upstream, for each of the two protocols. They are opened when needed.
	Pool int

	// MaxConns is the number of client connections; one more gets an error line and is closed.
	MaxConns int
	// MaxValue is the largest value that a client may store. Nodes have a limit of their own.
	MaxValue int
	// MaxPending bounds the memory, in bytes, that large requests and replies of all clients take together.
	MaxPending int64
	// WriteTimeout is how long a client may take to read the replies of a round, or send nothing in the middle of a request;
	// then it is dropped.
	WriteTimeout time.Duration
	// IdleTimeout closes client connections without a request; 0 never does.
	IdleTimeout time.Duration
	// DrainTimeout bounds how long Run waits for requests in progress after its context ended.
	DrainTimeout time.Duration

	// Settings are those of this configuration. Reread returns the configuration as its sources have it now, with its Settings, for
	// Reload; it has passed Validate, or the error says what is wrong. nil: only files are read again.
	Settings []reload.Setting
	Reread   func() (Config, error)
	// LogLevel is that of Logger, which a reload may change; nil: it cannot.
	LogLevel *slog.LevelVar
	// Logger gets state changes; nil discards.
	Logger *slog.Logger
	// Registerer gets the metrics as well; nil leaves them to /metrics alone. When it is also a Gatherer, as
	// *prometheus.Registry is, /metrics shows all that it gathers.
	Registerer prometheus.Registerer
	// Version is shown on /status. Clients that ask are told that it is a memcached of that version, memcache.ServerVersion.
	Version string
}

// DefaultConfig returns the configuration that holds without any flag, but for the upstreams.
func DefaultConfig() Config {
	return Config{
		Listen:        "127.0.0.1:11211",
		AdminListen:   "127.0.0.1:11283",
		Choice:        ChoosePrimary,
		Timeout:       time.Second,
		CheckInterval: 500 * time.Millisecond,
		Pool:          2,
		MaxConns:      4096,
		MaxValue:      64 << 20,
		MaxPending:    1 << 30,
		WriteTimeout:  30 * time.Second,
		DrainTimeout:  10 * time.Second,
	}
}

// Validate returns all problems at once, each naming the field, its value and what is allowed.
func (c *Config) Validate() error {
	errs := c.Access.Problems(c.Listen, c.AdminListen, false)
	errs = append(errs, c.Profile.Problems(front.AdminOn(c.AdminListen))...)
	errs = append(errs, c.upstreamProblems()...)
	if c.User == "" && c.Password != "" || strings.ContainsAny(c.User, " \x00") || strings.ContainsRune(c.Password, 0) {
		errs = append(errs, errors.New("user and password: want a name without space, and no NUL"))
	}
	if c.Choice != ChoosePrimary && c.Choice != ChooseConsistent {
		errs = append(errs, fmt.Errorf("choice %q: want %s or %s", c.Choice, ChoosePrimary, ChooseConsistent))
	}
	if c.IdleTimeout != 0 {
		errs = append(errs, front.InRange("idle timeout", c.IdleTimeout, time.Millisecond, 24*time.Hour))
	}
	errs = append(errs,
		front.InRange("timeout", c.Timeout, 10*time.Millisecond, time.Minute),
		front.InRange("check interval", c.CheckInterval, 10*time.Millisecond, time.Minute),
		front.InRange("pool", c.Pool, 1, 64),
		front.InRange("max conns", c.MaxConns, 1, 1<<20),
		front.InRange("max value", c.MaxValue, 1<<10, 1<<30),
		front.InRange("max pending", int(c.MaxPending), 1<<20, 1<<40),
		front.InRange("write timeout", c.WriteTimeout, time.Millisecond, time.Hour),
		front.InRange("drain timeout", c.DrainTimeout, 0, time.Hour),
	)
	return errors.Join(errs...)
}

func (c *Config) upstreamProblems() (errs []error) {
	if n := len(c.Upstreams); n < 1 || n > upstreamsMax {
		errs = append(errs, fmt.Errorf("%d upstreams: want 1 to %d, each with --upstream", n, upstreamsMax))
	}
	seen := make(map[string]bool)
	for _, u := range c.Upstreams {
		for _, err := range u.problems() {
			errs = append(errs, fmt.Errorf("upstream %q: %w", u, err))
		}
		if _, secure := front.CheckAddr(u.Check); secure && c.CheckTLS == nil {
			errs = append(errs, fmt.Errorf("upstream %q: a check by https:// needs authorities to trust", u))
		}
		if c.TLS != nil && strings.HasPrefix(u.Addr, "unix:") {
			errs = append(errs, fmt.Errorf("upstream %q: TLS needs a host, whose certificate is checked", u))
		}
		if seen[u.Addr] {
			errs = append(errs, fmt.Errorf("upstream %q: address given twice", u.Addr))
		}
		seen[u.Addr] = true
	}
	return errs
}

// selector returns what gives a key its upstream, nil where keys do not matter.
func (c *Config) selector() (futago.Selector, error) {
	if c.Choice != ChooseConsistent || len(c.Upstreams) == 1 {
		return nil, nil
	}
	servers := make([]futago.Server, len(c.Upstreams))
	for i, u := range c.Upstreams {
		at := u.Addr
		if path, ok := strings.CutPrefix(at, "unix:"); ok {
			at = "unix://" + path // the client's form
		}
		servers[i] = futago.Server{Addr: at, Weight: u.Weight}
	}
	return futago.NewSelector(futago.Consistent, futago.CRC32, servers)
}
