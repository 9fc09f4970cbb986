package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/futago/futago/internal/node"
	"github.com/spf13/cobra"
)

const (
	// maxStatus bounds a status document in bytes.
	maxStatus = 4 << 20
	// maxRefusal bounds what is read of an answer that says why not.
	maxRefusal = 4 << 10

	silentHint = "The node hangs, its machine is busy, or the network loses what is sent there. Look at that machine, or give more time with --timeout."
	adminHint  = "Is the node running? Name its --admin-listen address with --admin or FUTAGO_ADMIN."
)

// adminConfig says which nodes a command asks on their admin ports.
type adminConfig struct {
	// Admin are the admin addresses of the nodes.
	Admin []string
	// Timeout bounds the whole answer to one question.
	Timeout time.Duration
	login   loginConfig
	token   string // file
	table   settings
}

// newAdminConfig gives cmd the flags.
func newAdminConfig(cmd *cobra.Command, timeout time.Duration) *adminConfig {
	c := &adminConfig{Timeout: timeout}
	c.add(&c.table)
	c.table.withClientFile()
	c.table.bind(cmd)
	return c
}

// load reads flags and environment and returns the nodes, in the order of the addresses.
func (c *adminConfig) load(cmd *cobra.Command) ([]*adminNode, error) {
	if err := c.table.load(cmd); err != nil {
		return nil, usageError{err}
	}
	if c.Timeout <= 0 {
		return nil, usageError{fmt.Errorf("timeout %v: allowed is more than 0", c.Timeout)}
	}
	if c.table.source("admin") == "default" {
		if beside := c.table.besideClients(environment(os.Environ())); beside != nil {
			c.Admin = beside
		}
	}
	return c.nodes()
}

// nodes returns the nodes, in the order of the addresses.
func (c *adminConfig) nodes() ([]*adminNode, error) {
	secure, authorization, err := c.credentials()
	if err != nil {
		return nil, usageError{err}
	}
	var nodes []*adminNode
	for _, addr := range c.Admin {
		if strings.Contains(addr, "/") && !strings.HasPrefix(addr, "unix:") {
			return nil, usageError{fmt.Errorf("admin address %q: want host:port, :port or unix:/path, and no more", addr)}
		}
		host, transport := adminTransport(addr)
		n := &adminNode{addr: addr, url: "http://" + host, authorization: authorization, timeout: c.Timeout, client: http.Client{Transport: transport}}
		if secure != nil {
			n.url, transport.TLSClientConfig = "https://"+host, secure
		}
		nodes = append(nodes, n)
	}
	return nodes, nil
}

// credentials reads what nodes are shown.
func (c *adminConfig) credentials() (secure *tls.Config, authorization string, err error) {
	if secure, err = c.login.read(); err != nil {
		return nil, "", err
	}
	switch {
	case c.token != "" && c.login.User != "":
		return nil, "", errors.New("user and token-file: allowed is one of them")
	case c.token != "":
		token, err := readPassword(c.token)
		return secure, "Bearer " + token, err
	case c.login.User != "":
		authorization = "Basic " + base64.StdEncoding.EncodeToString([]byte(c.login.User+":"+c.login.Password))
	}
	return secure, authorization, nil
}

// loadOne is load of a command that asks a single node.
func (c *adminConfig) loadOne(cmd *cobra.Command) (*adminNode, error) {
	nodes, err := c.load(cmd)
	if err == nil && len(nodes) != 1 {
		err = usageError{fmt.Errorf("%d admin addresses: name with --admin the one of the node that does it", len(nodes))}
	}
	if err != nil {
		return nil, err
	}
	return nodes[0], nil
}

// adminTransport returns the host for URLs of the admin address and the way to it. Proxies of the
// environment do not count: nodes are near.
func adminTransport(addr string) (string, *http.Transport) {
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		return "node", &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}}
	}
	if addr = clientAddr(addr); !strings.Contains(addr, ":") {
		addr += ":" + adminPort // the usual one
	}
	return addr, &http.Transport{}
}

// adminNode is a node as its admin port shows it.
type adminNode struct {
	addr, url     string // the latter without a path
	authorization string // header; "" for none
	timeout       time.Duration
	client        http.Client
}

// within is the node asked with a shorter timeout, or its own where that is shorter.
func (n *adminNode) within(timeout time.Duration) *adminNode {
	short := *n
	short.timeout = min(n.timeout, timeout)
	return &short
}

// question is a request with what shows who asks.
func (n *adminNode) question(ctx context.Context, method, path string, body []byte) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, method, n.url+path, bytes.NewReader(body))
	if err == nil && n.authorization != "" {
		request.Header.Set("Authorization", n.authorization)
	}
	return request, err
}

// answerError is an answer that is not 200.
type answerError struct {
	code int
	text string
}

func (e answerError) Error() string { return e.text }

// ask sends a question and gives the body of the answer to read, all within the timeout. what names the question in errors:
// "ask ADDR for what". A question with a body, or with the method POST, may change something.
func (n *adminNode) ask(ctx context.Context, what, method, path string, body []byte, read func(r io.Reader) error) error {
	ctx, cancel := context.WithTimeout(ctx, n.timeout)
	defer cancel()
	request, err := n.question(ctx, method, path, body)
	if err != nil {
		return fmt.Errorf("ask %s for %s: %w", n.addr, what, err)
	}
	if method == http.MethodPost {
		request.Header.Set("Futago-Admin", "1")
	}
	response, err := n.client.Do(request)
	if err != nil {
		return n.silent(fmt.Errorf("ask %s for %s: %w", n.addr, what, errors.Unwrap(err))) // without the URL
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return withAdminHint(fmt.Errorf("ask %s for %s: %w", n.addr, what, n.refusal(ctx, response)))
	}
	if err := read(response.Body); err != nil {
		return n.silent(fmt.Errorf("read %s of %s: %w", strings.TrimPrefix(what, "its "), n.addr, err))
	}
	return nil
}

// silent says in the words of operators that the timeout has ended a question.
func (n *adminNode) silent(err error) error {
	if !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	what, _, _ := strings.Cut(err.Error(), ": ")
	return withHint(fmt.Errorf("%s: %w", what, silentError{n.timeout}), silentHint)
}

// silentError says that a node did not answer within a time.
type silentError struct{ timeout time.Duration }

func (e silentError) Error() string { return "no answer within " + formatDuration(e.timeout) }

func (e silentError) Unwrap() error { return context.DeadlineExceeded }

// refusalOf is what the node said, or the status where it did not speak for itself.
func refusalOf(response *http.Response) answerError {
	e := answerError{code: response.StatusCode, text: "HTTP status " + response.Status}
	text, err := io.ReadAll(io.LimitReader(response.Body, maxRefusal))
	line, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	if err == nil && line != "" && e.code != http.StatusNotFound && strings.HasPrefix(response.Header.Get("Content-Type"), "text/plain") {
		e.text = plain(line)
	}
	return e
}

// withAdminHint adds what to do next when the node wants to know who asks.
func withAdminHint(err error) error {
	if refusal, ok := errors.AsType[answerError](err); ok && refusal.code == http.StatusUnauthorized {
		return withHint(err, "The node wants to know who asks: --user with --password-file or FUTAGO_PASSWORD, or --token-file.")
	}
	return err
}

// body asks for a document of at most limit bytes.
func (n *adminNode) body(ctx context.Context, what, path string, limit int64) (body []byte, err error) {
	err = n.ask(ctx, what, http.MethodGet, path, nil, func(r io.Reader) error {
		body, err = readAtMost(r, limit)
		return err
	})
	return body, err
}

// readAtMost reads r to its end; more than limit bytes are an error.
func readAtMost(r io.Reader, limit int64) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(body)) > limit {
		err = fmt.Errorf("more than %s", formatSize(limit))
	}
	return body, err
}

// get asks for a JSON document of at most limit bytes.
func (n *adminNode) get(ctx context.Context, what, path string, limit int64, v any) error {
	body, err := n.body(ctx, what, path, limit)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, v); err != nil {
		return fmt.Errorf("read %s of %s: parse JSON: %w", strings.TrimPrefix(what, "its "), n.addr, err)
	}
	return nil
}

// do asks for something to be done and returns what the node says of it.
func (n *adminNode) do(ctx context.Context, what, path string) (text string, err error) {
	err = n.ask(ctx, what, http.MethodPost, path, nil, func(r io.Reader) error {
		b, err := io.ReadAll(io.LimitReader(r, maxRefusal))
		text = strings.TrimSpace(string(b))
		return err
	})
	return text, err
}

// status asks for the status document.
func (n *adminNode) status(ctx context.Context) (node.Status, error) {
	var s node.Status
	body, err := n.body(ctx, "its status", "/status", maxStatus)
	if err != nil {
		return s, err
	}
	if kind := kindOf(body); kind != "" && kind != nodeKind {
		return s, withHint(fmt.Errorf("read status of %s: that is the admin address of a %s", n.addr, kind), kind.hint())
	}
	if err := json.Unmarshal(body, &s); err != nil {
		return s, fmt.Errorf("read status of %s: parse JSON: %w", n.addr, err)
	}
	if s.Node == 0 {
		err = fmt.Errorf("read status of %s: this is no futago node", n.addr)
	}
	return s, err
}

// askAll asks all nodes at once. Answers stand in the order of the nodes, the zero value where there is none; the error
// joins why.
func askAll[T any](nodes []*adminNode, f func(i int, n *adminNode) (T, error)) ([]T, error) {
	answers, problems := make([]T, len(nodes)), make([]error, len(nodes))
	var asked sync.WaitGroup
	for i, n := range nodes {
		asked.Go(func() { answers[i], problems[i] = f(i, n) })
	}
	asked.Wait()
	return answers, errors.Join(problems...)
}

// statuses asks all nodes for their status documents and demands every one.
func statuses(ctx context.Context, nodes []*adminNode) ([]node.Status, error) {
	list, err := askAll(nodes, func(_ int, n *adminNode) (node.Status, error) { return n.status(ctx) })
	return list, withHint(err, adminHint)
}

// printer is what a command shows of a node, for people; as JSON it is the value itself.
type printer interface{ print(w io.Writer) error }

// printEach shows what view makes of the status of each node, in their order, and returns why nodes did not answer. what
// names it all.
func printEach(cmd *cobra.Command, config *adminConfig, asJSON bool, what string, view func(s *node.Status, addr string) printer) error {
	nodes, err := config.load(cmd)
	if err != nil {
		return err
	}
	list, problem := statuses(cmd.Context(), nodes)
	for i, s := range list {
		if s.Node == 0 {
			continue // it did not answer
		}
		v := view(&s, nodes[i].addr)
		if asJSON {
			err = writeJSONLine(cmd.OutOrStdout(), v)
		} else {
			err = v.print(cmd.OutOrStdout())
		}
		if err != nil {
			return fmt.Errorf("print %s: %w", what, err)
		}
	}
	return problem
}
