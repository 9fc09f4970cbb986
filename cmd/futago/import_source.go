package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/futago/futago/internal/access"
	"github.com/futago/futago/internal/addr"
	"github.com/futago/futago/internal/migrate"
	"github.com/futago/futago/internal/tyrant"
	"github.com/gomodule/redigo/redis"
	"github.com/spf13/cobra"
)

// transferConfig is what imports may be told; prefix and keep not those that follow or replay a log.
type transferConfig struct {
	prefix         string
	state          string
	keep, dryRun   bool
	asJSON         bool
	rate           int
	sourcePassword string             // name of a file
	sourceTLS      access.ClientFiles // of rediss://
}

// addTransfer gives cmd the flags of imports without a log.
func (c *transferConfig) addTransfer(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&c.prefix, "prefix", "", "only records whose key begins with `TEXT`")
	flags.BoolVar(&c.keep, "keep", false, "leave alone what the node has already under a key")
}

// addCommon gives cmd the flags that every import has.
func (c *transferConfig) addCommon(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&c.state, "state", "", "keep in this `FILE` how far it is, and go on there")
	flags.BoolVar(&c.dryRun, "dry-run", false, "read and check everything, store nothing")
	flags.IntVar(&c.rate, "rate", 0, "store at most so many records a second (default as fast as it goes)")
	flags.BoolVar(&c.asJSON, "json", false, "print the result as JSON")
}

func (c *transferConfig) mode() tyrant.StoreMode {
	switch {
	case c.dryRun && c.keep:
		return tyrant.CheckAbsent
	case c.dryRun:
		return tyrant.CheckAll
	case c.keep:
		return tyrant.StoreAbsent
	}
	return tyrant.StoreAll
}

// load applies the settings, and returns how to connect to the node.
func (c *transferConfig) load(cmd *cobra.Command, config *nodeConfig) (migrate.Dial, error) {
	if c.rate < 0 {
		return nil, usageError{fmt.Errorf("--rate %d: allowed is 0 or more", c.rate)}
	}
	return config.load(cmd)
}

// lockState keeps a state file for this command. A dry run does not change it.
func lockState(path string, dryRun bool) (unlock func(), err error) {
	if dryRun {
		return func() {}, nil
	}
	if unlock, err = migrate.LockState(path); errors.Is(err, migrate.ErrLocked) {
		err = withHint(err, "Let that end, or stop it. For other work name another --state FILE.")
	}
	return unlock, err
}

// run transfers from a source, which messages and the state know by its name, and prints what came of it.
func (c *transferConfig) run(cmd *cobra.Command, target migrate.Dial, config *nodeConfig, name string, source migrate.Source, inBytes bool) error {
	unlock, err := lockState(c.state, c.dryRun)
	if err != nil {
		return err
	}
	defer unlock()
	state, err := migrate.OpenState(c.state, name, fmt.Sprint(config.Addr))
	if err != nil {
		return withHint(err, "Give the same source and addresses, or another --state FILE to begin anew.")
	}
	told, stop := untilSignal(cmd.Context(), slog.New(slog.DiscardHandler), os.Exit)
	defer stop()
	errOut := cmd.ErrOrStderr()
	progress, end := progressBar(errOut, "importing", inBytes)
	done, problem := migrate.Transfer(cmd.Context(), migrate.TransferConfig{
		Source: source, Target: target, Mode: c.mode(), Prefix: []byte(c.prefix), Rate: c.rate, State: state, Stop: told.Done(),
		Progress: progress, Notice: func(text string) { fmt.Fprintf(errOut, "futago: %s\n", text) },
	})
	end()
	print := func() error { return printTransferred(cmd.OutOrStdout(), done) }
	if c.asJSON {
		print = func() error { return writeJSON(cmd.OutOrStdout(), done) }
	}
	if err := print(); err != nil {
		return fmt.Errorf("print result: %w", err)
	}
	if problem != nil {
		return importHint(fmt.Errorf("import %s: %w", name, problem), c.state)
	}
	return notAll(done)
}

// notAll is the error for records that could not be stored.
func notAll(done *migrate.Summary) error {
	failed := done.AllFailed()
	if failed == 0 {
		return nil
	}
	return withHint(fmt.Errorf("not everything was imported: %s failed", counted(failed, "record")), failedHint(done))
}

// failedHint says what to do about records that could not be stored.
func failedHint(done *migrate.Summary) string {
	for _, r := range done.Failed {
		switch {
		case strings.Contains(r.Reason, "refused"):
			return "See whether you may write these keys: the node's --users and --mask. Then run it again, or do without what is named above."
		case strings.Contains(r.Reason, "max-value"):
			return "Start the node with a larger --max-value and run it again, or do without what is named above."
		}
	}
	return "Mend what is named above and run it again, or do without."
}

func printTransferred(w io.Writer, d *migrate.Summary) error {
	_, err := fmt.Fprintf(w, "%stime      %s\n", summaryText(d), roundSeconds(d.Seconds))
	return err
}

// summaryText is what every import prints of its records.
func summaryText(d *migrate.Summary) string {
	var b strings.Builder
	what, rate := "stored   ", ""
	if d.DryRun {
		what = "would store"
	}
	if d.Seconds > 0 {
		rate = fmt.Sprintf(", %s records/s", grouped(int64(float64(d.Read)/d.Seconds)))
	}
	fmt.Fprintf(&b, "%s %s of %s read, %s%s\n", what, grouped(d.Stored), counted(d.Read, "record"), counted(d.Bytes, "byte"), rate)
	if d.Removed > 0 {
		fmt.Fprintf(&b, "removed   %s that the source has deleted\n", counted(d.Removed, "record"))
	}
	for _, part := range []struct {
		name string
		list []migrate.Reason
	}{{"skipped", d.Skipped}, {"failed", d.Failed}} {
		for _, r := range part.list {
			fmt.Fprintf(&b, "%-9s %s: %s", part.name, grouped(r.Count), r.Reason)
			if len(r.Examples) > 0 {
				fmt.Fprintf(&b, ": %s", strings.Join(r.Examples, ", "))
			}
			if r.Count > int64(len(r.Examples)) && len(r.Examples) > 0 {
				b.WriteString(", ...")
			}
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// newImportFileCommand is an import of lines.
func newImportFileCommand(cmd *cobra.Command, open func(from io.Reader, size int64) *migrate.Lines) *cobra.Command {
	cmd.Args = words(1, 1)
	config := newNodeConfig(cmd)
	var c transferConfig
	c.addTransfer(cmd)
	c.addCommon(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		target, err := c.load(cmd, config)
		if err != nil {
			return err
		}
		from, size, name := cmd.InOrStdin(), int64(0), "-"
		if args[0] != "-" {
			file, err := os.Open(args[0])
			if err != nil {
				return fmt.Errorf("open records: %w", err)
			}
			defer file.Close()
			if info, err := file.Stat(); err == nil {
				size = info.Size()
			}
			from = file
			if name, err = filepath.Abs(args[0]); err != nil {
				return err
			}
		}
		return c.run(cmd, target, config, cmd.Name()+":"+name, open(from, size), true)
	}
	return cmd
}

// sourceOf returns the source that a URL names, and how messages call it: without a password.
func (c *transferConfig) sourceOf(text string, config *nodeConfig) (source migrate.Source, name string, err error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, "", errors.New("it is no URL: want a scheme, ://, a host and a port; in a password escape what is special with %XX")
	}
	switch u.Scheme {
	case "memcache", "memcached":
		return c.memcached(u, config)
	case "redis", "rediss":
		return c.redis(u, config)
	}
	return nil, "", fmt.Errorf("want tyrant://, memcache://, redis:// or rediss://HOST:PORT%s", didYouMean("", u.Scheme+"://", []string{"tyrant://", "memcache://", "redis://"}))
}

// hostPort is the address in a URL.
func hostPort(u *url.URL, port int) (string, error) {
	if u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "" {
		return "", fmt.Errorf("want %s://HOST:PORT", u.Scheme)
	}
	text := u.Port()
	if text == "" {
		text = strconv.Itoa(port)
	}
	address := net.JoinHostPort(u.Hostname(), text)
	return address, addr.CheckDial(address)
}

const (
	memcachedPort = 11211
	redisPort     = 6379
)

func (c *transferConfig) memcached(u *url.URL, config *nodeConfig) (migrate.Source, string, error) {
	address, err := hostPort(u, memcachedPort)
	switch {
	case err != nil:
	case u.User != nil || strings.Trim(u.Path, "/") != "" || c.sourcePassword != "":
		err = errors.New("want memcache://HOST:PORT, without user, password and path")
	case c.state != "":
		err = errors.New("--state: a memcached lists its keys in no fixed order, so that there is no place to go on from: run the import again without it")
	}
	if err != nil {
		return nil, "", err
	}
	return &migrate.Memcached{
		Timeout: config.Timeout,
		Dial: func(ctx context.Context) (net.Conn, error) {
			nc, err := dialServer(ctx, address)
			if err != nil {
				err = sourceError{err}
			}
			return nc, err
		},
	}, "memcache://" + address, nil
}

func (c *transferConfig) redis(u *url.URL, config *nodeConfig) (migrate.Source, string, error) {
	address, err := hostPort(u, redisPort)
	if err != nil {
		return nil, "", err
	}
	database := 0
	if text := strings.Trim(u.Path, "/"); text != "" {
		if database, err = strconv.Atoi(text); err != nil || database < 0 {
			return nil, "", fmt.Errorf("database %q: want a number", text)
		}
	}
	password, _ := u.User.Password()
	if c.sourcePassword != "" {
		if password != "" {
			return nil, "", errors.New("the password is in the URL and in --source-password-file: allowed is one of them")
		}
		if password, err = readPassword(c.sourcePassword); err != nil {
			return nil, "", err
		}
	}
	secure, err := c.redisTLS(u.Scheme)
	if err != nil {
		return nil, "", err
	}
	options := []redis.DialOption{
		redis.DialUseTLS(secure != nil), redis.DialTLSConfig(secure), redis.DialTLSHandshakeTimeout(dialTimeout),
		redis.DialUsername(u.User.Username()), redis.DialPassword(password), redis.DialDatabase(database),
		redis.DialConnectTimeout(dialTimeout), redis.DialReadTimeout(config.Timeout), redis.DialWriteTimeout(config.Timeout),
	}
	dial := func(ctx context.Context) (redis.Conn, error) {
		conn, err := redis.DialContext(ctx, "tcp", address, options...)
		if _, isNet := errors.AsType[net.Error](err); isNet && !isAlert(err) {
			err = sourceError{&tyrant.Error{Doing: "connect to " + address, Code: tyrant.CodeRefused, Err: err}}
		}
		return conn, err
	}
	return &migrate.Redis{Dial: dial}, fmt.Sprintf("%s://%s/%d", u.Scheme, address, database), nil
}

// isAlert reports whether the other side has ended TLS with a reason.
func isAlert(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "remote error" // the alert itself has a type that crypto/tls keeps to itself
}

// redisTLS is the TLS of a URL's scheme; nil: none. The name in the URL must be in the certificate.
func (c *transferConfig) redisTLS(scheme string) (*tls.Config, error) {
	files := c.sourceTLS
	if scheme != "rediss" {
		if files != (access.ClientFiles{}) {
			return nil, errors.New("--source-tls-ca, --source-tls-client-cert and --source-tls-client-key are for rediss://, which speaks TLS")
		}
		return nil, nil
	}
	if (files.Cert == "") != (files.Key == "") {
		return nil, fmt.Errorf("--source-tls-client-cert %q, --source-tls-client-key %q: allowed is both or none", files.Cert, files.Key)
	}
	t, err := access.OpenClientTLS(files)
	if err != nil {
		return nil, err
	}
	return t.Config(""), nil // the client takes the name from the address
}
