package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/futago/futago/internal/node"
)

// endStatus is what nodes, fronts and proxies say of themselves.
type endStatus struct {
	kind adminKind

	State, Reason string
	Listen        any // addresses; of a proxy one

	// Of a node.
	Node      int
	Log       string   `json:"log_identity"`
	PeerLogs  []string `json:"peer_log_identities"`
	Members   []node.Member
	Followers []struct { // peers that are connected
		Node  int
		Admin string
	}

	// Of a front.
	Nodes  []string // ids of the cluster's nodes
	Slots  int      // that have a master
	Prefix string

	proxyState // of a proxy
}

// lacks says what a cluster lacks, so that requests fail; "": nothing.
func (s *endStatus) lacks() string {
	if s.kind == clusterFrontKind && s.Slots < allSlots {
		return s.Reason
	}
	return ""
}

// allSlots is how many slots a cluster has.
const allSlots = 16384

// ids are those by which a store is known again; none: at present it does not know itself.
func (s *endStatus) ids() (list []string) {
	for _, id := range s.Nodes {
		list = append(list, s.Prefix+id)
	}
	if s.Log != "" {
		list = append(s.PeerLogs, s.Log)
	}
	return list
}

// listens are the client addresses of a node or front.
func (s *endStatus) listens() (list []string) {
	all, _ := s.Listen.([]any)
	for _, l := range all {
		text, _ := l.(string)
		list = append(list, text)
	}
	return list
}

// describe asks what answers at an admin address. A usageError says that it is something else than what is wanted.
func (n *adminNode) describe(ctx context.Context, wanted ...adminKind) (s endStatus, err error) {
	var names []string
	for _, kind := range wanted {
		names = append(names, string(kind))
	}
	want := "want the --admin-listen address of a " + strings.Join(names, " or ")
	body, err := n.body(ctx, "its status", "/status", maxStatus)
	refusal, refused := errors.AsType[answerError](err)
	switch {
	case refused && refusal.code == http.StatusNotFound, err == nil && (kindOf(body) == "" || json.Unmarshal(body, &s) != nil):
		return s, usageError{fmt.Errorf("%s is not an admin address of futago, but perhaps a client port: %s", n.addr, want)}
	case err != nil:
		return s, withHint(err, "Is it running, and is that the right port? W"+want[1:]+".")
	}
	if s.kind = kindOf(body); !slices.Contains(wanted, s.kind) {
		return s, usageError{fmt.Errorf("%s is the admin address of a %s: %s", n.addr, s.kind, want)}
	}
	return s, nil
}
