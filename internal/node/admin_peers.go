package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

const (
	// peerPatience bounds a question to the admin port of a peer.
	peerPatience = 1500 * time.Millisecond
	// maxPeerAnswer bounds its answer, bytes.
	maxPeerAnswer = 4 << 20
)

// PeerAnswer is what another node said on its admin port, or why it did not.
type PeerAnswer struct {
	Node   int             `json:"node"`
	Admin  string          `json:"admin,omitempty"` // where it was asked; empty: this node does not know
	Error  string          `json:"error,omitempty"`
	Answer json.RawMessage `json:"answer,omitempty"`
}

// newPeerClient returns what asks other nodes: it has no proxy, for nodes are near, and goes nowhere else.
func (n *Node) newPeerClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{MaxIdleConnsPerHost: 2, IdleConnTimeout: 10 * time.Second,
			DialTLSContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				c, err := new(net.Dialer).DialContext(ctx, network, address)
				if err != nil {
					return nil, err
				}
				return n.adminTLS.Client(ctx, c, address)
			}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// askPeers asks the other members of the mesh at once. Only a node that follows this one has told where its admin port is.
// They are asked in the name of who sent r.
func (n *Node) askPeers(r *http.Request, path string) []PeerAnswer {
	list, at := []PeerAnswer{}, map[int]string{}
	if n.source != nil {
		for _, f := range n.source.Followers() {
			at[f.Node] = f.Admin
		}
	}
	for _, m := range n.store.Members() {
		if m.Node != n.cfg.Node && !m.Gone {
			list = append(list, PeerAnswer{Node: m.Node, Admin: at[m.Node]})
		}
	}
	var asked sync.WaitGroup
	for i := range list {
		p := &list[i]
		asked.Go(func() {
			var err error
			if p.Answer, err = n.askPeer(r, p.Admin, path); err != nil {
				p.Error = err.Error()
			}
		})
	}
	asked.Wait()
	return list
}

func (n *Node) askPeer(r *http.Request, admin, path string) (json.RawMessage, error) {
	if admin == "" {
		return nil, errors.New("its admin port is not known here, or cannot be reached")
	}
	ctx, cancel := context.WithTimeout(r.Context(), peerPatience)
	defer cancel()
	scheme := "http://"
	if n.adminTLS != nil { // nodes of a mesh are set alike
		scheme = "https://"
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+admin+path, nil)
	if err != nil {
		return nil, err
	}
	if given := r.Header.Values("Authorization"); len(given) > 0 {
		request.Header["Authorization"] = given
	}
	response, err := n.peerClient.Do(request)
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err // the reader knows where
	}
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxPeerAnswer+1))
	switch {
	case err != nil:
		return nil, err
	case response.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("HTTP status %s: %.200s", response.Status, strings.TrimSpace(string(body)))
	case len(body) > maxPeerAnswer || !json.Valid(body):
		return nil, errors.New("the answer is no document of a node")
	}
	return body, nil
}
