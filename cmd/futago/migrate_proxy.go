package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/futago/futago/internal/migrate"
)

const (
	// holdLease is how long a proxy holds its requests when it hears nothing more, holdRenew how often it does hear.
	holdLease = 10 * time.Second
	holdRenew = 3 * time.Second
	// switchTime is how long proxies are asked to switch when one of them has.
	switchTime = 30 * time.Second
)

// heldProxies are proxies that hold what their clients ask for.
type heldProxies struct {
	nodes     []*adminNode
	upstreams []string      // that they are to switch to
	patience  time.Duration // for holds of others
	stop      func()        // ends the renewal of holds

	mu     sync.Mutex
	tokens []string // of the holds, by proxy; "" for none
}

// errElsewhere says that a proxy does not send to the source.
var errElsewhere = errors.New("which is no client address of the source")

// check sees whether they are proxies, and send to one of these places. That one of them does not is errElsewhere.
func (h *heldProxies) check(ctx context.Context, known []place) error {
	list, problems := askEach(h.nodes, func(n *adminNode) (endStatus, error) { return n.describe(ctx, proxyKind) })
	if err := errors.Join(problems...); err != nil {
		return err
	}
	for i, s := range list {
		var upstreams []place
		var names []string
		for _, u := range s.Upstreams {
			upstreams, names = append(upstreams, place{u.Addr, h.nodes[i].addr}), append(names, u.Addr)
		}
		if !meet(ctx, known, upstreams) {
			problems[i] = fmt.Errorf("proxy %s sends to %s, %w", h.nodes[i].addr, strings.Join(names, " and "), errElsewhere)
		}
	}
	return errors.Join(problems...)
}

// hold lets all proxies hold, and go on to do so until switchOver or release.
func (h *heldProxies) hold(ctx context.Context) error {
	h.tokens = make([]string, len(h.nodes))
	if _, err := h.unheld(ctx); err != nil {
		return err
	}
	if _, err := askAll(h.nodes, func(i int, _ *adminNode) (none struct{}, err error) { return none, h.holdOne(ctx, i) }); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var renewing sync.WaitGroup
	renewing.Go(func() {
		tick := time.NewTicker(holdRenew)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				_ = h.renew(ctx) // a proxy that has let go does not switch
			}
		}
	})
	h.stop = func() { cancel(); renewing.Wait() }
	return nil
}

// renew prolongs the holds that there are.
func (h *heldProxies) renew(ctx context.Context) error {
	_, err := askAll(h.nodes, func(i int, _ *adminNode) (none struct{}, err error) {
		if h.token(i) != "" {
			err = h.holdOne(ctx, i)
		}
		return none, err
	})
	return err
}

func (h *heldProxies) token(i int) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.tokens[i]
}

func (h *heldProxies) setToken(i int, token string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tokens[i] = token
}

// holdOne prolongs the hold of a proxy, or begins one.
func (h *heldProxies) holdOne(ctx context.Context, i int) error {
	query := url.Values{"for": {holdLease.String()}}
	token := h.token(i)
	if token != "" {
		query.Set("token", token)
	}
	return h.nodes[i].ask(ctx, "a hold", http.MethodPost, "/hold?"+query.Encode(), nil, func(r io.Reader) error {
		var answer struct{ Token string }
		if err := json.NewDecoder(io.LimitReader(r, maxRefusal)).Decode(&answer); err != nil {
			return err
		}
		if answer.Token == "" {
			return errors.New("the answer has no token")
		}
		if token == "" {
			h.setToken(i, answer.Token)
		}
		return nil
	})
}

// hasEnded reports whether a proxy has refused because the hold is not in force.
func hasEnded(err error) bool {
	refusal, refused := errors.AsType[answerError](err)
	return refused && refusal.code == http.StatusConflict
}

// switchOver gives all proxies the new upstreams, and prolongs the holds of the others meanwhile. Once one has taken them the others are asked
// for longer, and held anew where a hold has ended: their clients are not to go on at the source.
func (h *heldProxies) switchOver(ctx context.Context) error {
	defer h.stop()
	if err := h.renew(ctx); err != nil { // none may have let go before the first one switches
		return letGo(err)
	}
	body := []byte(strings.Join(h.upstreams, "\n") + "\n")
	left, switched := h.all(), 0
	for until := time.Now().Add(switchTime); ; {
		var problems []error
		var failed []int
		for _, i := range left {
			err := h.switchOne(ctx, i, body)
			if err != nil && switched == 0 {
				return letGo(err)
			}
			if hasEnded(err) {
				h.setToken(i, "")
				if err = h.holdOne(ctx, i); err == nil {
					err = h.switchOne(ctx, i, body)
				}
			}
			if err != nil {
				failed, problems = append(failed, i), append(problems, err)
				continue
			}
			h.setToken(i, "")
			switched++
		}
		if left = failed; len(left) == 0 {
			return nil
		}
		if time.Now().After(until) || ctx.Err() != nil {
			return fmt.Errorf("%w: %w", migrate.ErrPartly, errors.Join(problems...))
		}
		select {
		case <-ctx.Done():
		case <-time.After(settlePause):
		}
	}
}

// letGo is migrate.ErrLetGo if it is that.
func letGo(err error) error {
	if hasEnded(err) {
		err = fmt.Errorf("%w: %w", migrate.ErrLetGo, err)
	}
	return err
}

func (h *heldProxies) all() (list []int) {
	for i := range h.nodes {
		list = append(list, i)
	}
	return list
}

// switchOne gives a proxy the new upstreams. Where no answer says what came of it, its status does.
func (h *heldProxies) switchOne(ctx context.Context, i int, upstreams []byte) error {
	token := h.token(i)
	err := h.nodes[i].ask(ctx, "a switch", http.MethodPost, "/switch?token="+url.QueryEscape(token), bytes.Clone(upstreams), func(r io.Reader) error {
		_, err := io.Copy(io.Discard, io.LimitReader(r, maxRefusal))
		return err
	})
	if err != nil {
		if s, problem := h.status(ctx, h.nodes[i]); problem == nil && h.sendsToTarget(s) {
			return nil
		}
	}
	return err
}

// proxyState is what a proxy says of itself.
type proxyState struct {
	Upstreams []struct{ Addr string }
	Switched  bool
	Held      *struct {
		By    string
		Until time.Time
	}
}

// errHeld says that a proxy is held, and not by this command.
var errHeld = errors.New("another move, or somebody who switches it by hand, holds it")

func (h *heldProxies) status(ctx context.Context, n *adminNode) (s proxyState, err error) {
	err = n.get(ctx, "its status", "/status", maxStatus, &s)
	if err == nil && len(s.Upstreams) == 0 {
		err = fmt.Errorf("%s is no proxy: its status names no upstreams", n.addr)
	}
	return s, err
}

func (h *heldProxies) sendsToTarget(s proxyState) bool {
	for _, u := range s.Upstreams {
		if slices.Contains(h.upstreams, u.Addr) {
			return true
		}
	}
	return false
}

// unheld waits for the end of holds that others began, and may have died over, and says what the proxies are then. One that somebody
// prolongs is not waited for.
func (h *heldProxies) unheld(ctx context.Context) (list []proxyState, err error) {
	until := time.Now().Add(h.patience)
	for _, n := range h.nodes {
		s, err := h.status(ctx, n)
		for err == nil && s.Held != nil && time.Now().Before(until) {
			select {
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			case <-time.After(settlePause):
			}
			s, err = h.status(ctx, n)
		}
		if err == nil && s.Held != nil {
			err = fmt.Errorf("proxy %s: %w: %s, until %s if nobody prolongs it", n.addr, errHeld, s.Held.By, stampTime(s.Held.Until))
		}
		if err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, nil
}

// switched reports whether a proxy sends to the target.
func (h *heldProxies) switched(ctx context.Context) (bool, error) {
	list, err := h.unheld(ctx)
	return slices.ContainsFunc(list, h.sendsToTarget), err
}

// release lets the proxies go on as before.
func (h *heldProxies) release(ctx context.Context) {
	if h.stop != nil {
		h.stop()
	}
	_, _ = askAll(h.nodes, func(i int, n *adminNode) (string, error) { // a hold ends by itself otherwise
		token := h.token(i)
		if token == "" {
			return "", nil
		}
		return n.do(ctx, "a release", "/release?token="+url.QueryEscape(token))
	})
}
