package gateway

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/futago/futago/internal/access"
	"github.com/futago/futago/internal/front"
	"github.com/futago/futago/internal/profile"
	"github.com/futago/futago/internal/reload"
)

// upstreamsMax is the width of the set of tried upstreams.
const upstreamsMax = 64

// Config is everything a gateway needs to know. Start from DefaultConfig: a zero limit is refused, not replaced.
type Config struct {
	// Listen is the address for clients: host:port, :port, [v6]:port or unix:/path; port 0 takes a free one. With ",tls" or
	// ",tls=mutual" behind it clients must speak TLS. They only read, and nodes ask them who they are: strangers may reach it.
	Listen string
	// AdminListen serves /healthz, /readyz, /metrics and /status, written likewise; "none" turns it off.
	AdminListen string
	// Access is what protects them.
	Access front.AccessConfig
	// Profile is what AdminListen serves of profiles.
	Profile profile.Config
	// Upstreams are the servers behind, at least one.
	Upstreams []Upstream
	// User and Password are sent to the servers with the requests of clients that bring no Authorization of their own;
	// an empty User sends nothing.
	User, Password string
	// TLS is spoken with the servers; nil speaks plain. CheckTLS is for checks whose address begins with https://.
	TLS, CheckTLS *access.ClientTLS
	// AllowPaths are the paths let through, by decoded path: "/prefix", or "~REGEX" (RE2, anchored at both ends
	// by the gateway). None lets every path through.
	AllowPaths []string

	// CheckInterval is the time between two active checks of an upstream; 0 turns them off. An upstream that is
	// not ready is checked at least each 500 ms. A check may take as long as the interval, at least 100 ms and at
	// most 1 s.
	CheckInterval time.Duration
	// UpstreamTimeout is how long an upstream may take from the connection attempt to the end of its reply's header.
	UpstreamTimeout time.Duration
	// RetryBudget bounds all tries of one request together, up to the header.
	RetryBudget time.Duration
	// BodyTimeout is the longest pause within a reply's body; the client's connection is then cut.
	BodyTimeout time.Duration

	// MaxConns is the number of client connections; one more gets 503 and is closed.
	MaxConns int
	// MaxHeaderBytes bounds the header of a request, request line included, and that of a reply. MaxConns times
	// this is the memory that hostile clients can take.
	MaxHeaderBytes int
	// ReadHeaderTimeout is how long a client may take to send the header of a request.
	ReadHeaderTimeout time.Duration
	// WriteTimeout is how long a client may take to read one piece of a reply (32 KiB).
	WriteTimeout time.Duration
	// IdleTimeout closes client connections without a request.
	IdleTimeout time.Duration
	// ShutdownTimeout bounds how long Run waits for requests in progress after its context ended.
	ShutdownTimeout time.Duration

	// AccessLog gets one line for each request, in batches of at most a second; nil for none. The gateway does
	// not close it. AccessLogPath names a file to append to instead; it is opened by Listen and closed by Run.
	AccessLog     io.Writer
	AccessLogPath string
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
	// Version is shown on /status.
	Version string
}

// DefaultConfig returns the configuration that holds without any flag, but for the upstreams.
func DefaultConfig() Config {
	return Config{
		Listen:            "127.0.0.1:11281",
		AdminListen:       "127.0.0.1:11282",
		CheckInterval:     500 * time.Millisecond,
		UpstreamTimeout:   time.Second,
		RetryBudget:       3 * time.Second,
		BodyTimeout:       10 * time.Second,
		MaxConns:          4096,
		MaxHeaderBytes:    64 << 10,
		ReadHeaderTimeout: 5 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       time.Minute,
		ShutdownTimeout:   10 * time.Second,
	}
}

// Validate returns all problems at once, each naming the field, its value and what is allowed.
func (c *Config) Validate() error {
	errs := c.Access.Problems(c.Listen, c.AdminListen, true)
	errs = append(errs, c.Profile.Problems(front.AdminOn(c.AdminListen))...)
	errs = append(errs, c.upstreamProblems()...)
	if _, err := newRules(c.AllowPaths); err != nil {
		errs = append(errs, err)
	}
	if c.CheckInterval != 0 {
		errs = append(errs, front.InRange("check interval", c.CheckInterval, 10*time.Millisecond, time.Minute))
	}
	errs = append(errs,
		front.InRange("upstream timeout", c.UpstreamTimeout, time.Millisecond, time.Minute),
		front.InRange("retry budget", c.RetryBudget, c.UpstreamTimeout, 10*time.Minute),
		front.InRange("body timeout", c.BodyTimeout, time.Millisecond, time.Hour),
		front.InRange("read header timeout", c.ReadHeaderTimeout, time.Millisecond, time.Hour),
		front.InRange("write timeout", c.WriteTimeout, time.Millisecond, time.Hour),
		front.InRange("idle timeout", c.IdleTimeout, time.Millisecond, 24*time.Hour),
		front.InRange("shutdown timeout", c.ShutdownTimeout, 0, time.Hour),
		front.InRange("max conns", c.MaxConns, 1, 1<<20),
		front.InRange("max header bytes", c.MaxHeaderBytes, 1<<10, 16<<20),
	)
	if strings.ContainsAny(c.User, ":\r\n") {
		errs = append(errs, fmt.Errorf("user %q: holds a colon or a line end", c.User))
	}
	if c.AccessLog != nil && c.AccessLogPath != "" {
		errs = append(errs, fmt.Errorf("access log path %q: a writer is given too, want one of them", c.AccessLogPath))
	}
	return errors.Join(errs...)
}

func (c *Config) upstreamProblems() (errs []error) {
	if n := len(c.Upstreams); n < 1 || n > upstreamsMax {
		errs = append(errs, fmt.Errorf("%d upstreams: want 1 to %d", n, upstreamsMax))
	}
	seen := make(map[string]bool)
	for _, u := range c.Upstreams {
		for _, err := range u.problems() {
			errs = append(errs, fmt.Errorf("upstream %q: %w", u, err))
		}
		if _, secure := front.CheckAddr(u.Check); secure && c.CheckTLS == nil {
			errs = append(errs, fmt.Errorf("upstream %q: a check by https:// needs authorities to trust", u))
		}
		if seen[u.Addr] {
			errs = append(errs, fmt.Errorf("upstream %q: address given twice", u.Addr))
		}
		seen[u.Addr] = true
	}
	return errs
}
