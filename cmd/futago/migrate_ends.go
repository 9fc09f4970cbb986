package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/futago/futago"
	"github.com/futago/futago/internal/feed"
	"github.com/futago/futago/internal/migrate"
	"github.com/futago/futago/internal/node"
	"github.com/spf13/cobra"
)

const (
	// settleTime is how long the nodes of a pair may take to have what the other one acknowledged.
	settleTime = 5 * time.Second
	// settlePause lies between two looks.
	settlePause = 20 * time.Millisecond
	// lackTime is how long fronts are asked after a failure.
	lackTime = 2 * time.Second
)

// moveEnds are the nodes, fronts and proxies that a move speaks to.
type moveEnds struct {
	from, to, proxy []string // admin addresses
	anyUpstreams    bool     // proxies may send to addresses that the source does not name
	timeout         time.Duration
	login           loginConfig
	adminTLS        tlsConfig
	table           settings

	sources, targets, proxies []*adminNode
}

// add gives cmd the flags.
func (e *moveEnds) add(cmd *cobra.Command) {
	e.timeout = 10 * time.Second
	e.table.add("timeout", durationValue(&e.timeout), "give up waiting for an answer after so long")
	e.login.add(&e.table, "tls")
	e.adminTLS.add(&e.table, "admin-tls")
	e.table.withClientFile()
	e.table.bind(cmd)
	flags := cmd.Flags()
	flags.StringSliceVar(&e.from, "from", nil, "admin `ADDR` of each node of the pair, or of fronts of the cluster, that is moved")
	flags.StringSliceVar(&e.to, "to", nil, "admin `ADDR` of each front, or node, that it is moved to")
	flags.StringSliceVar(&e.proxy, "proxy", nil, "admin `ADDR` of each proxy that clients use: cut them over in the end")
	flags.BoolVar(&e.anyUpstreams, "any-upstreams", false, "cut over also a proxy that sends to addresses which the source does not name as its own")
}

// load applies the settings.
func (e *moveEnds) load(cmd *cobra.Command) error {
	if err := e.table.load(cmd); err != nil {
		return usageError{err}
	}
	switch {
	case e.timeout <= 0:
		return usageError{fmt.Errorf("timeout %v: allowed is more than 0", e.timeout)}
	case len(e.from) == 0 || len(e.to) == 0:
		return usageError{errors.New("--from and --to: want at least one admin address each")}
	}
	for _, list := range []struct {
		addrs []string
		nodes *[]*adminNode
	}{{e.from, &e.sources}, {e.to, &e.targets}, {e.proxy, &e.proxies}} {
		config := &adminConfig{Admin: list.addrs, Timeout: e.timeout, login: loginConfig{
			User: e.login.User, Password: e.login.Password, PasswordFile: e.login.PasswordFile, tlsConfig: e.adminTLS, prefix: "admin-tls",
		}}
		if len(list.addrs) == 0 {
			continue
		}
		var err error
		if *list.nodes, err = config.nodes(); err != nil {
			return err
		}
	}
	for _, from := range e.from {
		for _, to := range e.to {
			if from == to {
				return usageError{fmt.Errorf("--from and --to: both name %s", from)}
			}
		}
	}
	return nil
}

// find asks all of them what they are, and says how to speak to them. Of several nodes one that does not answer is left out.
func (e *moveEnds) find(ctx context.Context, c *migrate.MoveConfig, notice func(string)) (err error) {
	var login futago.Config
	if err := e.login.apply(&login); err != nil {
		return usageError{err}
	}
	from, err := e.side(ctx, e.sources, &login, notice)
	if err != nil {
		return err
	}
	to, err := e.side(ctx, e.targets, &login, notice)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(from.IDs, func(id string) bool { return slices.Contains(to.IDs, id) }) {
		return usageError{fmt.Errorf("--from and --to: %s and %s are of the same %s", from.Name, to.Name, from.kind)}
	}
	if err := from.wholePair(notice); err != nil {
		return err
	}
	for _, side := range []foundSide{from, to} {
		for addr, s := range side.nodes {
			switch lacks := s.lacks(); {
			case lacks != "" && c.DryRun:
				return withHint(fmt.Errorf("cluster of %s: %s", addr, lacks), clusterHint)
			case lacks != "":
				notice(fmt.Sprintf("cluster of %s: %s", addr, lacks))
			}
		}
	}
	c.From, c.To = from.Side, to.Side
	if from.kind == pairKind {
		c.From.Settled = e.settled
	}
	if len(e.proxies) > 0 {
		held := &heldProxies{nodes: e.proxies, upstreams: to.clients, patience: holdLease + holdRenew}
		switch err := held.check(ctx, append(from.places(), to.places()...)); { // to the target they send after a cut-over
		case errors.Is(err, errElsewhere) && (c.DryRun || e.anyUpstreams):
			notice(err.Error())
		case errors.Is(err, errElsewhere):
			return withHint(err, "Name the proxies that clients of the source use. If these are other addresses of the same nodes or fronts, say so: --any-upstreams.")
		case err != nil:
			return err
		}
		c.Proxies = &migrate.Proxies{Hold: held.hold, Switch: held.switchOver, Release: held.release, Switched: held.switched}
	}
	return nil
}

const clusterHint = "Bring the masters back, or give their slots to others (redis-cli --cluster check, fix). Then run it again."

// lacks says what a cluster of either side lacks now; "": nothing, as far as they answer.
func (e *moveEnds) lacks(ctx context.Context) string {
	list, _ := askEach(append(slices.Clone(e.sources), e.targets...), func(n *adminNode) (endStatus, error) {
		return n.within(lackTime).describe(ctx, clusterFrontKind)
	})
	for _, s := range list {
		if lacks := s.lacks(); lacks != "" {
			return lacks
		}
	}
	return ""
}

// The kinds of sides.
const (
	pairKind    = "pair"
	clusterKind = "cluster"
)

// foundSide is a side, as its nodes describe it.
type foundSide struct {
	migrate.Side
	kind    string
	clients []string             // client addresses
	nodes   map[string]endStatus // that answer, by admin address
	silent  bool                 // another one does not
}

// places are all client addresses, for a proxy may use any of them.
func (f *foundSide) places() (list []place) {
	for admin, s := range f.nodes {
		for _, l := range s.listens() {
			list = append(list, place{l, admin})
		}
	}
	return list
}

// wholePair refuses a pair of which a node is connected and not named: clients may write there, and nobody would ask whether all of it has
// come. One that is not connected is told of.
func (f *foundSide) wholePair(notice func(string)) error {
	if f.kind != pairKind || f.silent { // at the cut-over it is looked at again
		return nil
	}
	known := map[int]bool{}
	for _, s := range f.nodes {
		known[s.Node] = true
	}
	for addr, s := range f.nodes {
		for _, peer := range s.Followers {
			if !known[peer.Node] {
				return usageError{fmt.Errorf("--from %s: it is a pair with node %d (%s), to which clients may write: name its --admin-listen address too", f.Name, peer.Node, cmp.Or(peer.Admin, "its admin address is not known"))}
			}
		}
		for _, m := range s.Members {
			if !m.Gone && !known[m.Node] {
				known[m.Node] = true
				notice(fmt.Sprintf("node %d is not named with --from, and %s is not connected to it: what only that node has is left out", m.Node, addr))
			}
		}
	}
	return nil
}

// side asks the nodes of a side what they are.
func (e *moveEnds) side(ctx context.Context, nodes []*adminNode, login *futago.Config, notice func(string)) (found foundSide, err error) {
	list, problems := askEach(nodes, func(n *adminNode) (endStatus, error) {
		s, err := n.describe(ctx, nodeKind, clusterFrontKind)
		if err == nil && s.kind == clusterFrontKind && len(s.Nodes) == 0 {
			err = fmt.Errorf("ask %s for its cluster: %s", n.addr, s.Reason)
		}
		return s, err
	})
	for _, problem := range problems {
		if _, wrong := errors.AsType[usageError](problem); wrong {
			return found, problem
		}
	}
	found.nodes = map[string]endStatus{}
	var names []string
	for i, n := range nodes {
		names = append(names, n.addr)
		if problems[i] != nil {
			found.silent = true
			continue
		}
		s := list[i]
		found.nodes[n.addr] = s
		is := pairKind
		if s.kind == clusterFrontKind {
			is = clusterKind
		}
		if found.kind != "" && found.kind != is {
			return found, usageError{fmt.Errorf("%s is of a %s, and the others of that side are of a %s", n.addr, is, found.kind)}
		}
		if ids := s.ids(); len(ids) > 0 && len(found.IDs) > 0 && !slices.ContainsFunc(ids, func(id string) bool { return slices.Contains(found.IDs, id) }) {
			return found, usageError{fmt.Errorf("%s and %s are not of one %s: move them one after the other", strings.Join(names[:i], ","), n.addr, is)}
		}
		client, err := clientOf(s.listens(), n.addr)
		if err != nil {
			return found, err
		}
		found.kind, found.clients, found.IDs = is, append(found.clients, client), append(found.IDs, s.ids()...)
		found.Ends = append(found.Ends, e.end(n, client, login))
	}
	switch problem := errors.Join(problems...); {
	case len(found.Ends) == 0:
		return found, problem
	case problem != nil:
		notice(fmt.Sprintf("left out: %v", problem))
	}
	slices.Sort(found.IDs)
	found.Name, found.IDs = strings.Join(names, ","), slices.Compact(found.IDs)
	return found, nil
}

// askEach asks all nodes at once. Answers and errors stand in their order.
func askEach[T any](nodes []*adminNode, f func(n *adminNode) (T, error)) (answers []T, problems []error) {
	problems = make([]error, len(nodes))
	answers, _ = askAll(nodes, func(i int, n *adminNode) (answer T, err error) {
		answer, problems[i] = f(n)
		return answer, nil
	})
	return answers, problems
}

// clientOf is the address of the client port, as it can be reached where the admin address is.
func clientOf(listen []string, admin string) (string, error) {
	for _, l := range listen {
		host, port, err := net.SplitHostPort(l)
		if err != nil || strings.Contains(l, "/") {
			continue
		}
		if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
			if host, _, err = net.SplitHostPort(clientAddr(admin)); err != nil {
				continue
			}
		}
		return net.JoinHostPort(host, port), nil
	}
	return "", withHint(fmt.Errorf("%s has no client port that can be reached from here: it listens at %q", admin, listen), "Give it a --listen address of TCP.")
}

// end says how to speak to a node or front.
func (e *moveEnds) end(n *adminNode, client string, login *futago.Config) migrate.End {
	dialer := &nodeDialer{nodeConfig: &nodeConfig{Timeout: importTimeout}, login: login, notes: io.Discard, order: []string{client}}
	return migrate.End{
		Name: n.addr,
		Dial: dialer.dial,
		Changes: func(ctx context.Context, query url.Values, stream bool) (io.ReadCloser, error) {
			return n.changes(ctx, query, stream)
		},
	}
}

// changes asks for the change feed.
func (n *adminNode) changes(ctx context.Context, query url.Values, stream bool) (io.ReadCloser, error) {
	explain := func(err error) error { return fmt.Errorf("ask %s for changes: %w", n.addr, err) }
	request, err := n.question(ctx, http.MethodGet, "/changes?"+query.Encode(), nil)
	if err != nil {
		return nil, explain(err)
	}
	if stream {
		request.Header.Set("Accept", "text/event-stream")
	}
	response, err := n.client.Do(request)
	if err != nil {
		return nil, explain(errors.Unwrap(err)) // without the URL
	}
	switch response.StatusCode {
	case http.StatusOK:
		return response.Body, nil
	case http.StatusGone:
		err = fmt.Errorf("%w: %w", feed.ErrGone, refusalOf(response))
	case http.StatusNotFound:
		err = errors.New("it tells no changes: it is older than this command")
	default:
		err = refusalOf(response)
	}
	response.Body.Close()
	return nil, withAdminHint(explain(err))
}

// settled returns nil when each node of the pair has what the others have.
func (e *moveEnds) settled(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	for {
		err := e.lags(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(settlePause):
		}
	}
}

// lags says which node of the pair lacks something that another one has.
func (e *moveEnds) lags(ctx context.Context) error {
	list, problems := askEach(e.sources, func(n *adminNode) (node.Status, error) { return n.status(ctx) })
	for i, err := range problems {
		if err != nil {
			return fmt.Errorf("node %s may have writes that no other has (start it, or leave it out of --from to do without them): %w", e.sources[i].addr, err)
		}
	}
	for _, s := range list {
		for _, f := range s.Followers {
			if !slices.ContainsFunc(list, func(s node.Status) bool { return s.Node == f.Node }) {
				return fmt.Errorf("node %d has come to node %d and may have writes that no other has: name it with --from too", f.Node, s.Node)
			}
		}
		for _, other := range list {
			if s.Node == other.Node {
				continue
			}
			held := false
			for _, f := range s.Followers {
				held = held || f.Node == other.Node && f.State == "stream" && f.Lag == 0
			}
			if !held {
				return fmt.Errorf("node %d does not have all that node %d has", other.Node, s.Node)
			}
		}
	}
	return nil
}
