package futago

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// The values that zero fields of Config and Server stand for.
const (
	// DefaultAddr is where futago and memcached listen by default.
	DefaultAddr = "127.0.0.1:11211"
	// DefaultTimeout is PHP's.
	DefaultTimeout = time.Second
	// DefaultRetryInterval is the pause between background probes. They cost requests nothing, so it can be short.
	DefaultRetryInterval = time.Second
	// DefaultPHPRetryInterval is PHP's, where every retry may cost a request the whole timeout.
	DefaultPHPRetryInterval = 15 * time.Second
	// DefaultMaxFailoverAttempts is PHP's number of probes for another server.
	DefaultMaxFailoverAttempts = 20
	// DefaultMaxIdle is the number of unused connections kept to each server.
	DefaultMaxIdle = 16
	// DefaultMaxValue is the largest value accepted from a server, in bytes: what futago stores by default.
	DefaultMaxValue = 64 << 20
)

// weightMax bounds the weight of one server: the consistent strategy keeps 160 points for each unit.
const weightMax = 10_000

// Server describes one server, as the arguments of PHP's Memcache::addServer do.
type Server struct {
	// Addr is "host:port" or "unix:///path". The text as written, not the address behind it, decides which keys
	// the server gets with Consistent and Ketama: localhost and 127.0.0.1 differ. "host" alone means port 11211.
	Addr string
	// Weight is the server's share of the keys relative to the others. 0 means 1.
	Weight int
	// Timeout bounds connecting, and every wait for bytes to come or go. 0 means DefaultTimeout.
	// A server that is slow but keeps sending is not hung; the context of the call bounds that.
	Timeout time.Duration
	// RetryInterval is how long the server is left alone after a failure: the pause between probes in the background,
	// or with PHPCompatible, rounded down to seconds, the time until a request tries it again. 0 means
	// DefaultRetryInterval (DefaultPHPRetryInterval with PHPCompatible). Negative: it is never used again.
	RetryInterval time.Duration
	// StartFailed makes the server begin as failed, as status=false does in PHP. Unless RetryInterval is negative
	// it counts as due for a retry at once.
	StartFailed bool
}

// Strategy says how keys are spread over the servers.
type Strategy uint8

const (
	// Consistent is the default of PHP's memcache extension since 3.0: most keys stay where they are when a server
	// is added. The order of the servers does not matter.
	Consistent Strategy = iota
	// Standard is PHP's hash modulo weights. The order of the servers matters.
	Standard
	// Ketama is the weighted ring of libmemcached (OPT_LIBKETAMA_COMPATIBLE of php-memcached). Config.Hash is what
	// OPT_HASH set after that option is: it changes the hash of the keys and not the ring.
	Ketama
	// Modula is libmemcached's default: hash modulo number of servers. The order of the servers matters, weights do not.
	Modula
	// Continuum is libmemcached's ring without weights (DISTRIBUTION_CONSISTENT of php-memcached). As there, a
	// weight above 1 makes it the ring of Ketama, with Config.Hash for the keys.
	Continuum
)

// String returns PHP's name of the strategy, or libmemcached's.
func (s Strategy) String() string {
	switch s {
	case Consistent:
		return "consistent"
	case Standard:
		return "standard"
	case Ketama:
		return "ketama"
	case Modula:
		return "modula"
	case Continuum:
		return "continuum"
	}
	return fmt.Sprintf("Strategy(%d)", uint8(s))
}

func (s Strategy) ofLibmemcached() bool { return s >= Ketama }

func (s Strategy) defaultHash() Hash {
	switch s {
	case Ketama:
		return MD5
	case Modula, Continuum:
		return OneAtATime
	}
	return CRC32
}

// Config describes a Client. Its zero value is usable: one server at DefaultAddr, and the default behaviour.
type Config struct {
	// Servers are the servers in the order of PHP's addServer calls. None means one at DefaultAddr.
	Servers []Server
	// Strategy spreads the keys over the servers. The zero value is Consistent.
	Strategy Strategy
	// Hash is the hash function of the strategy. The zero value is DefaultHash.
	Hash Hash
	// Selector replaces Strategy and Hash when it is not nil. It must return numbers below len(Servers).
	Selector Selector

	// NoFailover is allow_failover=0 of PHP: the keys of a failed server fail with it.
	NoFailover bool
	// MaxFailoverAttempts is PHP's number of probes for another server. 0 means DefaultMaxFailoverAttempts.
	// After them the client takes any working server, with PHPCompatible it gives up.
	MaxFailoverAttempts int
	// Redundancy is the number of servers that a write goes to. 0 means 1. The first decides the result, the
	// others are written as far as they work. Servers that replicate, as futago does, want 1.
	Redundancy int
	// RepeatUnknown repeats also the requests that ErrUnknown is about, as PHP does: an increment may then count
	// twice, an append be appended twice, an add fail because it succeeded. PHPCompatible includes it.
	RepeatUnknown bool
	// PHPCompatible gives exactly the behaviour of PHP's extension: keys are mapped instead of refused, a search for
	// another server ends after MaxFailoverAttempts, a failed server is retried by a request and not in the
	// background, and a redundant write repeats the command itself.
	PHPCompatible bool
	// KeyPrefix is put before every key. It counts towards the 250 bytes and is hashed with the key.
	KeyPrefix string
	// AnyKey allows keys with spaces and control characters, up to 186 bytes with the prefix; without PHPCompatible. Requests for them are
	// meta commands, which futago and memcached from 1.6 on know. GetMulti asks for them one by one.
	AnyKey bool
	// HashWithoutPrefix leaves KeyPrefix out of the hash, as libmemcached does unless OPT_HASH_WITH_PREFIX_KEY is set.
	HashWithoutPrefix bool

	// User and Password authenticate each connection to a server that asks for it, in memcached's text convention. A
	// server that does not ask never sees them. An empty User does not authenticate.
	User, Password string
	// TLS encrypts all connections; nil leaves them plain. Without a ServerName the certificate must be for the host of
	// Server.Addr. The configuration is not changed, and must not be changed by others any more.
	TLS *tls.Config

	// MaxIdle is the number of unused connections kept to each server. 0 means DefaultMaxIdle, negative none.
	// Open connections in use are bounded by the number of concurrent calls only.
	MaxIdle int
	// MaxValue bounds a value that comes from a server, in bytes. 0 means DefaultMaxValue.
	MaxValue int

	// OnFailure is called each time a server is marked failed, with its address and the reason; in PHP, with each
	// retry that fails too. It may be called from several goroutines at once and delays a request while it runs.
	// It must not call Close. Nil: no call.
	OnFailure func(addr string, err error)
	// OnRecovery is called when a failed server is in use again. It must not call Close. Nil: no call.
	OnRecovery func(addr string)
	// Dial opens the connections. network is tcp or unix. Nil means the standard library's.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// withDefaults returns the configuration with the meaning of its zero fields filled in. It shares no memory with c
// that New would change.
func (c Config) withDefaults() Config {
	if len(c.Servers) == 0 {
		c.Servers = []Server{{Addr: DefaultAddr}}
	}
	retry := DefaultRetryInterval
	if c.PHPCompatible {
		retry = DefaultPHPRetryInterval
	}
	c.Servers = append([]Server(nil), c.Servers...)
	for i := range c.Servers {
		s := &c.Servers[i]
		s.Weight = orDefault(s.Weight, 1)
		s.Timeout = orDefault(s.Timeout, DefaultTimeout)
		s.RetryInterval = orDefault(s.RetryInterval, retry)
	}
	if c.PHPCompatible {
		c.RepeatUnknown = true
		// PHP waits for all servers together, with the smallest timeout of the pool.
		for i := range c.Servers {
			c.Servers[0].Timeout = min(c.Servers[0].Timeout, c.Servers[i].Timeout)
		}
		for i := range c.Servers {
			c.Servers[i].Timeout = c.Servers[0].Timeout
		}
	}
	c.Hash = orDefault(c.Hash, c.Strategy.defaultHash())
	c.MaxFailoverAttempts = orDefault(c.MaxFailoverAttempts, DefaultMaxFailoverAttempts)
	c.Redundancy = orDefault(c.Redundancy, 1)
	c.MaxIdle = orDefault(c.MaxIdle, DefaultMaxIdle)
	c.MaxValue = orDefault(c.MaxValue, DefaultMaxValue)
	if c.Dial == nil {
		c.Dial = new(net.Dialer).DialContext
	}
	return c
}

func orDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

// validate returns all problems of a configuration that has its defaults.
func (c Config) validate() error {
	var errs []error
	seen := make(map[string]bool)
	for i, s := range c.Servers {
		e, err := parseEndpoint(s.Addr)
		if err != nil {
			errs = append(errs, fmt.Errorf("server %d: %w", i, err))
		} else if seen[e.name()] {
			errs = append(errs, fmt.Errorf("server %d: address %q is there twice", i, s.Addr))
		}
		seen[e.name()] = true
		if s.Weight < 1 || s.Weight > weightMax {
			errs = append(errs, fmt.Errorf("server %q: weight %d is not in 1..%d", s.Addr, s.Weight, weightMax))
		}
		if s.Timeout < 0 {
			errs = append(errs, fmt.Errorf("server %q: timeout %v is negative", s.Addr, s.Timeout))
		}
	}
	if c.Strategy > Continuum {
		errs = append(errs, fmt.Errorf("unknown strategy %d", c.Strategy))
	}
	if strings.ContainsAny(c.User, " \r\n") {
		errs = append(errs, fmt.Errorf("user %q holds a space or a line end", c.User))
	}
	if c.User == "" && c.Password != "" {
		errs = append(errs, errors.New("a password is given, and no user"))
	}
	if c.Hash > Murmur {
		errs = append(errs, fmt.Errorf("unknown hash %d", c.Hash))
	}
	if c.Strategy <= Continuum && c.Hash <= Murmur && c.Strategy.ofLibmemcached() != (c.Hash > FNV) {
		errs = append(errs, fmt.Errorf("hash %v does not go with strategy %v: one is of PHP's memcache extension, the other of libmemcached", c.Hash, c.Strategy))
	}
	for _, f := range []struct {
		name  string
		value int
	}{
		{"max failover attempts", c.MaxFailoverAttempts},
		{"redundancy", c.Redundancy},
		{"max value", c.MaxValue},
	} {
		if f.value < 0 {
			errs = append(errs, fmt.Errorf("%s %d is negative", f.name, f.value))
		}
	}
	return errors.Join(errs...)
}

// endpoint is where a server listens, and what selectors hash: host as written and port in decimal, "0" for a
// unix socket as in PHP.
type endpoint struct {
	network string // tcp or unix
	dial    string // the address for the dialer
	host    string // as written; unix:///path for a unix socket
	port    string
}

// name is the server's name in hashes and messages of PHP.
func (e endpoint) name() string { return e.host + ":" + e.port }

func parseEndpoint(addr string) (endpoint, error) {
	if path, ok := strings.CutPrefix(addr, "unix://"); ok {
		if path == "" {
			return endpoint{}, fmt.Errorf("address %q: no path", addr)
		}
		return endpoint{network: "unix", dial: path, host: addr, port: "0"}, nil
	}
	host, port := addr, "11211"
	// A colon inside brackets belongs to an IPv6 address.
	if i := strings.LastIndexByte(addr, ':'); i > strings.LastIndexByte(addr, ']') {
		host, port = addr[:i], addr[i+1:]
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return endpoint{}, fmt.Errorf("address %q: port %q is not in 1..65535", addr, port)
	}
	bare := strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if bare == "" || strings.ContainsAny(bare, " []/") || (strings.Contains(bare, ":") && bare == host) {
		return endpoint{}, fmt.Errorf("address %q: want host:port, [v6]:port or unix:///path", addr)
	}
	port = strconv.FormatUint(n, 10)
	return endpoint{network: "tcp", dial: net.JoinHostPort(bare, port), host: host, port: port}, nil
}
