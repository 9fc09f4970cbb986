package rediscluster

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/futago/futago/internal/access"
	"github.com/futago/futago/internal/nearest"
)

// Scheme begins an address of a cluster.
const Scheme = "redis-cluster://"

var addressOptions = []string{"tls", "tls-ca", "tls-cert", "tls-key", "user", "password-file", "prefix", "timeout", "lease", "wait"}

// ParseAddress reads `redis-cluster://HOST:PORT,HOST:PORT[,OPTION...]` over the defaults, and the files that the options name.
func ParseAddress(text string) (cfg Config, err error) {
	cfg = DefaultConfig()
	list, ok := strings.CutPrefix(text, Scheme)
	if !ok {
		return cfg, fmt.Errorf("store %.80q: want %sHOST:PORT,HOST:PORT", text, Scheme)
	}
	var secure bool
	var files access.ClientFiles
	var errs []error
	for word := range strings.SplitSeq(list, ",") {
		if host, port, err := net.SplitHostPort(word); err == nil && !strings.Contains(word, "=") {
			if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || host == "" {
				errs = append(errs, fmt.Errorf("address %q: want HOST:PORT", word))
			}
			cfg.Addrs = append(cfg.Addrs, word)
			continue
		}
		name, value, given := strings.Cut(word, "=")
		if given == (name == "tls") {
			errs = append(errs, fmt.Errorf("%q: want HOST:PORT, or an option, of which the nearest is %q", word, nearest.Name(name, addressOptions)))
			continue
		}
		var err error
		switch name {
		case "tls":
			secure = true
		case "tls-ca":
			files.CA = value
		case "tls-cert":
			files.Cert = value
		case "tls-key":
			files.Key = value
		case "user":
			cfg.User = value
		case "password-file":
			cfg.Password, err = OpenSecret(value)
		case "prefix":
			cfg.Prefix = value
		case "timeout":
			cfg.Timeout, err = time.ParseDuration(value)
		case "lease":
			cfg.Lease, err = time.ParseDuration(value)
		case "wait":
			cfg.Replicas, err = strconv.Atoi(value)
		default:
			err = fmt.Errorf("unknown option, nearest is %q", nearest.Name(name, addressOptions))
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	if len(cfg.Addrs) == 0 {
		errs = append(errs, errors.New("no address: want at least one HOST:PORT"))
	}
	if cfg.Timeout < time.Millisecond || cfg.Timeout > time.Minute || cfg.Lease < time.Millisecond || cfg.Lease > 10*time.Second {
		errs = append(errs, errors.New("timeout: allowed is 1ms to 1m, lease: 1ms to 10s"))
	}
	if cfg.Replicas < 0 || cfg.Replicas > 10 {
		errs = append(errs, fmt.Errorf("wait %d: allowed is 0 to 10", cfg.Replicas))
	}
	if cfg.User != "" && cfg.Password.Text() == "" {
		errs = append(errs, errors.New("user: wants password-file, too"))
	}
	if files != (access.ClientFiles{}) && !secure {
		errs = append(errs, errors.New("tls-ca, tls-cert, tls-key: want tls, too"))
	}
	if secure && len(errs) == 0 {
		var err error
		if cfg.TLS, err = access.OpenClientTLS(files); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 {
		return cfg, fmt.Errorf("store: %w", errors.Join(errs...))
	}
	return cfg, nil
}
