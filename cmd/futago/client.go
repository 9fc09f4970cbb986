package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/futago/futago"
	"github.com/futago/futago/internal/memcache"
	"github.com/spf13/cobra"
)

// maxClientValue is the largest value that the client tools send or accept, in bytes: the highest limit
// that a node can be given.
const maxClientValue = 1 << 30

// clientConfig says which nodes the client tools speak to.
type clientConfig struct {
	// Addr are the client addresses of the nodes, the first one first: the others are for when it fails.
	Addr []string
	// Timeout bounds connecting, and every wait for bytes.
	Timeout time.Duration
	login   loginConfig
	table   settings
}

// newClientConfig gives cmd the settings that all client tools have.
func newClientConfig(cmd *cobra.Command) *clientConfig {
	c := &clientConfig{}
	c.add(&c.table)
	c.table.withClientFile()
	c.table.bind(cmd)
	return c
}

// firstServer sends every key to the first node: nodes are equal, so that keys need not be spread.
type firstServer struct{}

func (firstServer) Select(string) int { return 0 }

// with loads the settings and calls do with a client for them. Errors of the client get what to do next.
func (c *clientConfig) with(cmd *cobra.Command, do func(ctx context.Context, client *futago.Client) error) error {
	if err := c.table.load(cmd); err != nil {
		return usageError{err}
	}
	if c.Timeout <= 0 {
		return usageError{fmt.Errorf("timeout %v: allowed is more than 0", c.Timeout)}
	}
	config := futago.Config{Selector: firstServer{}, AnyKey: true, MaxValue: maxClientValue}
	for _, addr := range c.Addr {
		config.Servers = append(config.Servers, futago.Server{Addr: clientAddr(addr), Timeout: c.Timeout})
	}
	if err := c.login.apply(&config); err != nil {
		return usageError{err}
	}
	client, err := futago.New(config)
	if err != nil {
		return usageError{err}
	}
	defer client.Close()
	return clientError(do(context.Background(), client))
}

// clientAddr turns an address as nodes are given it into one that can be connected to: :port is loopback
// then, and the Go client writes unix:/path as unix:///path.
func clientAddr(addr string) string {
	if path, ok := strings.CutPrefix(addr, "unix:"); ok && !strings.HasPrefix(path, "//") {
		return "unix://" + path
	}
	if strings.HasPrefix(addr, ":") {
		return "127.0.0.1" + addr
	}
	return addr
}

// clientError sorts an error of the client by exit code and says what to do next.
func clientError(err error) error {
	if _, sorted := errors.AsType[usageError](err); sorted || err == nil {
		return err
	}
	refused, answered := errors.AsType[*futago.ServerError](err)
	malformed, strange := errors.AsType[*memcache.SyntaxError](err)
	switch {
	case errors.Is(err, futago.ErrKeyInvalid):
		return usageError{withHint(err, "A key is 1 to 250 bytes, and one with spaces or control characters at most 186. Longer ones are reached by HTTP: curl http://NODE/a%20key, with -X PUT, or -X DELETE.")}
	case errors.Is(err, futago.ErrAuth):
		return withHint(err, "Give another user or password: --user, --password-file or FUTAGO_PASSWORD.")
	case strings.HasSuffix(err.Error(), "CLIENT_ERROR unauthenticated"), strings.HasSuffix(err.Error(), "CLIENT_ERROR bad authentication token format"):
		return withHint(err, "The node wants to know who asks: --user with --password-file or FUTAGO_PASSWORD.")
	case strings.HasSuffix(err.Error(), "CLIENT_ERROR permission denied"):
		return withHint(err, "The user has no right to that, or to that key: futago users list FILE shows rights and prefixes, on the node's machine.")
	case tlsHint(err) != "":
		return withHint(err, tlsHint(err))
	case strange && strings.HasPrefix(malformed.Line, "HTTP/"):
		return withHint(err, "That address speaks HTTP alone: an admin port, or a gateway? Give --addr the address after --listen of a node.")
	case errors.Is(err, futago.ErrUnknown) && answered && !errors.Is(err, futago.ErrNoServers):
		return withHint(err, "Read the key to see whether it happened.")
	case errors.Is(err, futago.ErrUnknown):
		return withHint(err, "The node was lost before it answered. Read the key to see whether it happened.")
	case strings.HasSuffix(err.Error(), "SERVER_ERROR object too large for cache"):
		return withHint(err, "The value is larger than the node's --max-value ('futago config show' there): give it a larger one, the same on all nodes.")
	case strings.HasSuffix(err.Error(), "SERVER_ERROR no upstream is up"):
		return withHint(err, "That is a proxy, and it reaches no node: /status on its --admin-listen says why.")
	case answered && errors.Is(err, futago.ErrNoServers) && strings.HasPrefix(refused.Line, "SERVER_ERROR"):
		return err // the node's own words say what is wrong
	case strange:
		return withHint(err, "What answers there does not speak memcached's protocol: name a node with --addr or FUTAGO_ADDR.")
	case errors.Is(err, futago.ErrNoServers):
		return withHint(err, "No node answered. Start one with futago serve, or name a running one with --addr or FUTAGO_ADDR.")
	case errors.Is(err, futago.ErrNotNumeric):
		return answerNo{err}
	}
	return err
}

// tlsHint says what to do when a certificate is refused, or one end seems to speak TLS and the other does not, "" where nothing
// looks like that.
func tlsHint(err error) string {
	_, untrusted := errors.AsType[*tls.CertificateVerificationError](err)
	_, noTLS := errors.AsType[tls.RecordHeaderError](err)
	malformed, _ := errors.AsType[*memcache.SyntaxError](err)
	closed := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
	switch {
	case untrusted:
		return "The node's certificate was not accepted: name the node with --addr as its certificate does, and give the authority that signed it with --tls-ca FILE."
	case noTLS, closed && strings.Contains(err.Error(), "begin TLS"):
		return "The node seems to speak no TLS there: leave out --tls, --tls-ca and --tls-client-cert, or name an address that it listens on with the option tls."
	case malformed != nil && strings.HasPrefix(malformed.Line, tlsAlert):
		return "The node speaks TLS there: add --tls, with --tls-ca FILE for an authority of your own."
	case closed && errors.Is(err, futago.ErrUnknown):
		return "The node was lost before it answered. Read the key to see whether it happened. If that address speaks TLS, add --tls or --tls-ca FILE."
	case closed:
		return "The node closed the connection without an answer. If that address speaks TLS, add --tls, with --tls-ca FILE for an authority of your own."
	}
	return ""
}

// tlsAlert is how a server of TLS answers what is none: the type of the record, and its version.
const tlsAlert = "\x15\x03"

// absent gives the answers that the client returns bare their verb, key and meaning.
func absent(verb, key string, err error) error {
	switch err {
	case futago.ErrCacheMiss:
		return answerNo{fmt.Errorf("%s %.64q: there is no such key", verb, key)}
	case futago.ErrNotStored:
		return answerNo{fmt.Errorf("%s %.64q: the key exists already", verb, key)}
	}
	return err
}
