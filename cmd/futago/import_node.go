package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/futago/futago"
	"github.com/futago/futago/internal/addr"
	"github.com/futago/futago/internal/migrate"
	"github.com/futago/futago/internal/tyrant"
	"github.com/spf13/cobra"
)

const (
	// importTimeout is how long servers may take for an answer: listing keys takes the original its time, and so does a group of records.
	importTimeout = time.Minute
	// dialTimeout bounds connecting.
	dialTimeout = 5 * time.Second
)

// nodeConfig says which node the tools speak to that import and export.
type nodeConfig struct {
	// Addr are the client addresses of the nodes, the first one first: the others are for when it fails.
	Addr    []string
	Timeout time.Duration
	login   loginConfig
	table   settings
}

// newNodeConfig gives cmd the settings of a nodeConfig.
func newNodeConfig(cmd *cobra.Command) *nodeConfig {
	c := &nodeConfig{Addr: []string{futago.DefaultAddr}, Timeout: importTimeout}
	c.table.add("addr", addrsValue(&c.Addr), "speak to the node at this `ADDR`, and to the next one if it cannot be reached or says nothing for 2s; several with commas")
	c.table.add("timeout", durationValue(&c.Timeout), "give up waiting for a server after so long")
	c.login.add(&c.table, "tls")
	c.table.withClientFile()
	c.table.bind(cmd)
	return c
}

// load applies the settings, and returns how to connect to the node.
func (c *nodeConfig) load(cmd *cobra.Command) (migrate.Dial, error) {
	if err := c.table.load(cmd); err != nil {
		return nil, usageError{err}
	}
	if c.Timeout <= 0 {
		return nil, usageError{fmt.Errorf("timeout %v: allowed is more than 0", c.Timeout)}
	}
	for i, a := range c.Addr {
		if strings.HasPrefix(a, ":") {
			c.Addr[i] = "127.0.0.1" + a
		}
		if err := addr.CheckDial(c.Addr[i]); err != nil {
			return nil, usageError{err}
		}
	}
	var login futago.Config
	if err := c.login.apply(&login); err != nil {
		return nil, usageError{err}
	}
	d := &nodeDialer{nodeConfig: c, login: &login, notes: cmd.ErrOrStderr(), order: slices.Clone(c.Addr)}
	return d.dial, nil
}

// nodeDialer connects to the first node that answers.
type nodeDialer struct {
	*nodeConfig
	login *futago.Config
	notes io.Writer

	mu    sync.Mutex
	order []string // of the addresses: those that were silent are the last ones
}

// dial goes from address to address. Those that say nothing are waited for when there is no other one.
func (d *nodeDialer) dial(ctx context.Context, maxReply int) (client *tyrant.Client, err error) {
	d.mu.Lock()
	queue := slices.Clone(d.order)
	d.mu.Unlock()
	for i, all := 0, len(queue); i < len(queue); i++ {
		client, err = d.try(ctx, queue[i], maxReply, i < all && i+1 < len(queue))
		if err == nil || ctx.Err() != nil {
			return client, err
		}
		if errors.Is(err, errSilent) {
			nextAsked(d.notes, queue[i])
			queue = append(queue, queue[i])
			d.last(queue[i])
		}
	}
	return nil, err
}

// last puts an address at the end of the order.
func (d *nodeDialer) last(address string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	i := slices.Index(d.order, address)
	d.order = append(slices.Delete(d.order, i, i+1), address)
}

// try connects to a node and hears that it answers. others says that another one may be asked.
func (d *nodeDialer) try(ctx context.Context, address string, maxReply int, others bool) (*tyrant.Client, error) {
	limited, heard := breakSilence(ctx, d.notes, address, others)
	defer heard()
	client, err := d.connect(limited, address, maxReply, d.login)
	if err != nil {
		return nil, cmp.Or(silence(limited), err)
	}
	stop := context.AfterFunc(limited, func() { client.Close() })
	err = d.greet(client, address)
	if !stop() || err != nil {
		client.Close()
		return nil, cmp.Or(silence(limited), err, context.Cause(limited))
	}
	return client, nil
}

// silence is errSilent where that ended the context.
func silence(ctx context.Context) error {
	if err := context.Cause(ctx); errors.Is(err, errSilent) {
		return err
	}
	return nil
}

// greet says who asks, and hears an answer: the kernel of a node that hangs takes connections.
func (d *nodeDialer) greet(client *tyrant.Client, address string) error {
	if d.login.User != "" {
		if _, err := client.Misc("login", 0, []byte(d.login.User), []byte(d.login.Password)); err != nil {
			return withHint(fmt.Errorf("log in at %s as %q: %w", address, d.login.User, err), "Give another user or password: --user, --password-file or FUTAGO_PASSWORD.")
		}
		return nil
	}
	_, err := client.RNum()
	if problem, ok := errors.AsType[*tyrant.Error](err); ok && problem.Code != tyrant.CodeSend && problem.Code != tyrant.CodeRecv {
		return nil // a refusal is an answer
	}
	return err
}

// connect connects to one node.
func (c *nodeConfig) connect(ctx context.Context, address string, maxReply int, login *futago.Config) (*tyrant.Client, error) {
	nc, err := dialServer(ctx, address)
	if err != nil {
		return nil, err
	}
	if login.TLS != nil {
		config := login.TLS.Clone()
		if config.ServerName == "" {
			config.ServerName, _, _ = net.SplitHostPort(address)
		}
		secured := tls.Client(nc, config)
		ctx, cancel := context.WithTimeout(ctx, dialTimeout)
		defer cancel()
		if err := secured.HandshakeContext(ctx); err != nil {
			nc.Close()
			return nil, fmt.Errorf("begin TLS with %s: %w", address, err)
		}
		nc = secured
	}
	return tyrant.NewClient(nc, tyrant.ClientConfig{Timeout: c.Timeout, MaxReply: maxReply}), nil
}

func dialServer(ctx context.Context, address string) (net.Conn, error) {
	network, target, err := addr.Split(address)
	if err != nil {
		return nil, err
	}
	d := net.Dialer{Timeout: dialTimeout}
	nc, err := d.DialContext(ctx, network, target)
	if err != nil {
		return nil, &tyrant.Error{Doing: "connect to " + address, Code: tyrant.CodeRefused, Err: err}
	}
	return nc, nil
}

// tyrantScheme begins the name of a server of Tokyo Tyrant.
const tyrantScheme = "tyrant://"

// parseTyrant returns the address in tyrant://HOST[:PORT] or tyrant://unix:/path.
func parseTyrant(text string) (string, error) {
	rest, ok := strings.CutPrefix(text, tyrantScheme)
	if !ok {
		return "", errors.New("want tyrant://HOST:PORT; 'futago import --help' lists what else can be imported")
	}
	rest = strings.TrimSuffix(rest, "/")
	if _, _, err := net.SplitHostPort(rest); err != nil && rest != "" && !strings.HasPrefix(rest, "unix:") {
		rest = net.JoinHostPort(strings.Trim(rest, "[]"), strconv.Itoa(tyrantPort))
	}
	return rest, addr.CheckDial(rest)
}

// sourceError marks an error of the way to the source of an import, not to the node.
type sourceError struct{ error }

func (e sourceError) Unwrap() error { return e.error }

// importHint says what to do about an error of an import.
func importHint(err error, state string) error {
	again := "Run the same command again."
	if state != "" {
		again = "Run the same command again: it goes on where " + state + " says."
	}
	_, wrongCert := errors.AsType[*tls.CertificateVerificationError](err)
	_, noTLS := errors.AsType[tls.RecordHeaderError](err)
	switch {
	case err == nil:
		return nil
	case wrongCert:
		return withHint(err, "Name the authority of the certificate, --source-tls-ca or --tls-ca FILE, and the server as its certificate does.")
	case isAlert(err):
		return withHint(err, "The server may want a certificate: --source-tls-client-cert and --source-tls-client-key, or --tls-client-cert and --tls-client-key.")
	case noTLS:
		return withHint(err, "That port speaks no TLS: name another one, or do without TLS (redis:// instead of rediss://).")
	case errors.Is(err, migrate.ErrShared):
		return withHint(err, "Use --by-prefix, which needs no cursor, or stop the client that iterates. Then run it again.")
	case errors.Is(err, migrate.ErrGap):
		return withHint(err, "Begin anew: remove the state file, and import into an empty node.")
	case errors.Is(err, migrate.ErrOtherSource):
		return withHint(err, "Name the source that the state file is of, or remove that file to begin anew.")
	case errors.Is(err, migrate.ErrStalled):
		return withHint(err, "A log with a torn entry in it does that. Restart the source with an empty log folder, and begin anew without the state file.")
	case errors.Is(err, migrate.ErrNoList):
		return withHint(err, "memcached lists keys since 1.4.31, unless lru_crawler is off: turn it on with 'lru_crawler enable' on a connection, or start it with -o lru_crawler.")
	case errors.Is(err, migrate.ErrFault):
		return withHint(err, "Mend that, then run the same command again.")
	case errors.Is(err, migrate.ErrRefused):
		return withHint(err, "See whether the node may be written to: its --mask, its users, its memory and disk ('futago status').")
	case errors.Is(err, migrate.ErrInterrupted):
		return withHint(err, again)
	case errors.Is(err, tyrant.CodeRecv), errors.Is(err, tyrant.CodeSend):
		return withHint(err, again+" If the node speaks TLS there, add --tls or --tls-ca FILE.")
	case errors.Is(err, tyrant.CodeMisc):
		return withHint(err, "See whether that is a futago node, and whether you may: its --users (--user, --password-file) and its --mask.")
	case errors.Is(err, tyrant.CodeRefused) && errors.As(err, new(sourceError)):
		return withHint(err, "Nobody answered there, where the records are to come from. See whether that server runs, and give its host and port.")
	case errors.Is(err, tyrant.CodeRefused):
		return withHint(err, "Nobody answered there. See whether it runs, and name the node with --addr or FUTAGO_ADDR.")
	}
	return err
}
