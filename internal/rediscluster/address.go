package rediscluster

import (
	"errors"
	"fmt"
	"net"
	"slices"
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
	if list == "" {
		return cfg, fmt.Errorf("store %s: no address: want %sHOST:PORT,HOST:PORT", text, Scheme)
	}
	var errs []error
	for word := range strings.SplitSeq(list, ",") {
		if word == "" {
			errs = append(errs, errors.New("nothing between commas: want HOST:PORT, or an option"))
			continue
		}
		if host, port, err := net.SplitHostPort(word); err == nil && !strings.Contains(word, "=") {
			if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || host == "" {
				errs = append(errs, fmt.Errorf("address %q: want HOST:PORT", word))
			}
			cfg.Addrs = append(cfg.Addrs, word)
			continue
		}
		name, value, given := strings.Cut(word, "=")
		if !slices.Contains(addressOptions, name) || given == (name == "tls") {
			errs = append(errs, unknownWord(word, name))
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
			cfg.Timeout, err = parseDuration(value, "1ms to 1m")
		case "lease":
			cfg.Lease, err = parseDuration(value, "1ms to 10s")
		case "wait":
			if cfg.Replicas, err = strconv.Atoi(value); err != nil {
				cfg.Replicas, err = 0, fmt.Errorf("%q is not a whole number: want 0 to 10", value)
			}
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	if len(cfg.Addrs) == 0 {
		errs = append(errs, errors.New("no address: want at least one HOST:PORT"))
	}
	if len(errs) == 0 && (cfg.Timeout < time.Millisecond || cfg.Timeout > time.Minute || cfg.Lease < time.Millisecond || cfg.Lease > 10*time.Second) {
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

// unknownWord says what is wrong with a word that is neither an address nor an option as they are written.
func unknownWord(word, name string) error {
	switch near := nearest.Name(name, addressOptions); {
	case name == "tls":
		return fmt.Errorf("%q: tls has no value, tls-ca, tls-cert and tls-key have", word)
	case slices.Contains(addressOptions, name):
		return fmt.Errorf("%q: want %s=VALUE", word, name)
	case nearest.Distance(name, near) <= 2 && len(name) > 2:
		return fmt.Errorf("%q: unknown option, nearest is %q", word, near)
	}
	return fmt.Errorf("%q: want HOST:PORT, or an option, which are %s", word, strings.Join(addressOptions, ", "))
}

func parseDuration(text, allowed string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil {
		err = fmt.Errorf("%q is not a duration: want %s", text, allowed)
	}
	return d, err
}
