//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// node is one server. Its addresses and its folder stay the same over restarts.
type node struct {
	name   string
	id     int
	client string // where clients connect
	peer   string // where the other node follows this one
	admin  string
	data   string
	flags  []string // besides those of addresses, folder and id
	login  string   // user and password of its clients, a space between; empty for none
	follow string   // where this node follows the other; empty for a single node
	output *output
	proc   *process
}

// newNode returns a node that does not run yet.
func newNode(t *testing.T, name string, id int, flags ...string) *node {
	t.Helper()
	host := newHost()
	return &node{
		name: name, id: id, client: freeAddr(t, host), peer: freeAddr(t, host), admin: freeAddr(t, host),
		data: filepath.Join(t.TempDir(), "node-"+name), flags: flags, output: newOutput(t, "node "+name),
	}
}

// startSingle returns a ready node without a peer.
func startSingle(t *testing.T, flags ...string) *node {
	t.Helper()
	n := newNode(t, "A", 1, flags...)
	n.start(t)
	n.waitReady(t)
	return n
}

// defaultAck is for tests in which a node freezes. Other pairs wait longer for each other: a machine that takes a node its
// processor away for a while would make the other one acknowledge alone, and what is read there then is old.
const defaultAck = "--ack-timeout=300ms"

// newPair returns two nodes that know each other and do not run yet. A node that starts alone waits a second for the
// other one.
func newPair(t *testing.T, flags ...string) [2]*node {
	t.Helper()
	flags = append([]string{"--catchup-timeout=1s", "--ack-timeout=2s"}, flags...)
	p := [2]*node{newNode(t, "A", 1, flags...), newNode(t, "B", 2, flags...)}
	p[0].follow, p[1].follow = p[1].peer, p[0].peer
	return p
}

// startPair returns two nodes that are ready and follow each other. One that starts again waits for the other one as long as by default:
// on a busy machine it would serve the past otherwise.
func startPair(t *testing.T, flags ...string) [2]*node {
	t.Helper()
	p := newPair(t, append([]string{"--catchup-timeout=10s"}, flags...)...)
	startAll(t, p)
	return p
}

func startAll(t *testing.T, p [2]*node) {
	t.Helper()
	p[0].start(t)
	p[1].start(t)
	waitPair(t, p)
}

// waitPair waits until both nodes are ready and neither acknowledges writes without the other.
func waitPair(t *testing.T, p [2]*node) {
	t.Helper()
	for _, n := range p {
		n.waitReady(t)
	}
	for _, n := range p {
		eventually(t, "node "+n.name+" acknowledges with its peer", 20*time.Second, func() bool {
			s, err := n.status()
			return err == nil && !s.Acknowledgement.Solo
		})
	}
}

// args is the command line.
func (n *node) args() []string {
	args := []string{"serve", "--listen=" + n.client, "--admin-listen=" + n.admin, "--data=" + n.data, "--node=" + strconv.Itoa(n.id)}
	if n.follow != "" {
		args = append(args, "--peer-listen="+n.peer, "--peer="+n.follow)
	}
	return append(args, n.flags...)
}

// start runs the process and returns at once.
func (n *node) start(t *testing.T) {
	t.Helper()
	fmt.Fprintf(n.output, "--- start\n")
	n.proc = startProcess(t, "node "+n.name, n.output, futagoProgram, n.args()...)
}

func (n *node) waitReady(t *testing.T) {
	t.Helper()
	eventually(t, "node "+n.name+" is ready", 30*time.Second, func() bool {
		select {
		case <-n.proc.exited:
			t.Fatalf("node %s ended with code %d", n.name, n.proc.cmd.ProcessState.ExitCode())
		default:
		}
		return n.ready()
	})
}

// kill9 ends the process without giving it a chance, and returns when it is gone.
func (n *node) kill9() {
	fmt.Fprintf(n.output, "--- kill -9\n")
	n.proc.kill()
}

// freeze stops the process as an overloaded machine does; its connections stay.
func (n *node) freeze(t *testing.T) {
	t.Helper()
	fmt.Fprintf(n.output, "--- freeze\n")
	n.proc.signal(t, syscall.SIGSTOP)
	eventually(t, "node "+n.name+" stands still", 5*time.Second, func() bool { return n.proc.stopped(t) })
}

func (n *node) thaw(t *testing.T) {
	t.Helper()
	fmt.Fprintf(n.output, "--- thaw\n")
	n.proc.signal(t, syscall.SIGCONT)
}

// terminate asks the node to stop and expects it to do so in order.
func (n *node) terminate(t *testing.T) {
	t.Helper()
	n.proc.signal(t, syscall.SIGTERM)
	if code := n.proc.waitExit(t, 20*time.Second); code != 0 {
		t.Errorf("node %s: exit code %d after SIGTERM, want 0", n.name, code)
	}
}

// wipe removes all that the node has on disk.
func (n *node) wipe(t *testing.T) {
	t.Helper()
	fmt.Fprintf(n.output, "--- wipe\n")
	if err := os.RemoveAll(n.data); err != nil {
		t.Fatal(err)
	}
}

// adminClient asks nodes; it keeps no connections, so that one to a dead node is not used again.
var adminClient = &http.Client{Timeout: replyLimit, Transport: &http.Transport{DisableKeepAlives: true}}

// httpGet returns status code and body.
func httpGet(ctx context.Context, url string) (int, string, error) {
	req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		return 0, "", err
	}
	resp, err := adminClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

func (n *node) ready() bool {
	code, _, err := httpGet(context.Background(), "http://"+n.admin+"/readyz")
	return err == nil && code == http.StatusOK
}

// nodeStatus is the part of the status document that tests look at.
type nodeStatus struct {
	State           string
	Reason          string
	Acknowledgement struct {
		Solo        bool
		SoloReason  string `json:"solo_reason"`
		Refusal     string
		Unconfirmed int64
	}
	Store struct {
		Items       int64
		LastSeq     uint64 `json:"last_seq"`
		LogBytes    int64  `json:"log_bytes"`
		MemoryBytes int64  `json:"memory_bytes"`
		Refusal     string
	}
	Peer struct {
		State   string
		Reason  string
		Link    string
		Applied uint64 `json:"applied_seq"`
	}
	Followers []struct {
		Durable   uint64 `json:"durable_seq"`
		SentBytes int64  `json:"sent_bytes"`
		WireBytes int64  `json:"wire_bytes"`
		Link      string
	}
	Server struct {
		Connections *int `json:"curr_connections"`
	}
	Events []struct{ Text string }
}

func (n *node) status() (nodeStatus, error) {
	var s nodeStatus
	address := url.URL{Scheme: "http", Host: n.admin, Path: "/status"}
	if user, password, ok := strings.Cut(n.login, " "); ok {
		address.User = url.UserPassword(user, password)
	}
	_, body, err := httpGet(context.Background(), address.String())
	if err == nil {
		err = json.Unmarshal([]byte(body), &s)
	}
	return s, err
}

// mustStatus is status of a node that runs.
func (n *node) mustStatus(t *testing.T) nodeStatus {
	t.Helper()
	s, err := n.status()
	if err != nil {
		t.Fatalf("status of node %s: %v", n.name, err)
	}
	return s
}

// connections is how many clients the node has.
func (n *node) connections(t *testing.T) int {
	t.Helper()
	s := n.mustStatus(t)
	if s.Server.Connections == nil {
		t.Fatalf("the status of node %s does not tell its connections", n.name)
	}
	return *s.Server.Connections
}

// hadEvent reports whether one of the node's recent events contains text.
func (s nodeStatus) hadEvent(text string) bool {
	return slices.ContainsFunc(s.Events, func(e struct{ Text string }) bool { return strings.Contains(e.Text, text) })
}

// residentBytes is the memory that the node's process holds.
func (n *node) residentBytes(t *testing.T) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", n.proc.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var kib int64
		if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &kib); err == nil {
			return kib << 10
		}
	}
	t.Fatalf("no VmRSS of node %s", n.name)
	return 0
}
