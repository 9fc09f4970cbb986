package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
)

// adminKind is what a process with an admin port is.
type adminKind string

const (
	nodeKind         adminKind = "node"
	clusterFrontKind adminKind = "front of a cluster"
	proxyKind        adminKind = "proxy"
	gatewayKind      adminKind = "gateway"
)

// kindOf tells from a status document, of any version, what process it is of: "" for what is none of ours.
func kindOf(status []byte) adminKind {
	var d struct {
		Version                  string
		Node                     int
		Store, Choice, Upstreams any
	}
	if json.Unmarshal(status, &d) != nil || d.Version == "" {
		return ""
	}
	switch _, store := d.Store.(string); {
	case d.Node != 0:
		return nodeKind
	case store:
		return clusterFrontKind
	case d.Choice != nil:
		return proxyKind
	case d.Upstreams != nil:
		return gatewayKind
	}
	return ""
}

// hint says what to do when it was asked for what only nodes have.
func (k adminKind) hint() string {
	if k == clusterFrontKind {
		return "Only nodes have that. A front of a cluster answers futago status, list, watch and config reload; the cluster's own tools show the rest."
	}
	return fmt.Sprintf("Only nodes have that: name their --admin-listen addresses with --admin or FUTAGO_ADMIN. A %s answers futago status and config reload.", k)
}

// refusal is what the node said, with what it is where it is none and so does not have what was asked for.
func (n *adminNode) refusal(ctx context.Context, response *http.Response) error {
	e := refusalOf(response)
	if e.code != http.StatusNotFound && e.code != http.StatusMethodNotAllowed {
		return e
	}
	ctx, cancel := context.WithTimeout(ctx, n.timeout)
	defer cancel()
	request, err := n.question(ctx, http.MethodGet, "/status", nil)
	if err != nil {
		return e
	}
	answer, err := n.client.Do(request)
	if err != nil {
		return e
	}
	defer answer.Body.Close()
	body, err := readAtMost(answer.Body, maxStatus)
	kind := kindOf(body)
	if err != nil || answer.StatusCode != http.StatusOK || kind == "" || kind == nodeKind {
		return e
	}
	e.text = "that is the admin address of a " + string(kind)
	return withHint(e, kind.hint())
}
