//go:build e2e

package e2e

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// configFile returns the path of a file with the text.
func configFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "futago.toml")
	if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// expectRefusal starts a node that must end by itself with the code, and say all of the words in one message.
func expectRefusal(t *testing.T, n *node, code int, words ...string) {
	t.Helper()
	before := len(n.output.String())
	n.start(t)
	if got := n.proc.waitExit(t, 10*time.Second); got != code {
		t.Errorf("exit code %d, want %d", got, code)
	}
	said := n.output.String()[before:]
	_, message, found := strings.Cut(said, "\nfutago: ")
	if !found {
		t.Fatalf("no message that begins with futago: in %q", said)
	}
	for _, w := range words {
		if !strings.Contains(message, w) {
			t.Errorf("message %q does not say %q", message, w)
		}
	}
}

// A node that cannot start says why and what to do, and leaves the data alone.
func TestRefuseToStart(t *testing.T) {
	first := startSingle(t)
	first.setAll(t, []string{"key"}, "value")

	t.Run("folder in use", func(t *testing.T) {
		n := newNode(t, "second", 1)
		n.data = first.data
		expectRefusal(t, n, 1, first.data, "in use")
	})
	for _, port := range []string{"client", "peer", "admin"} {
		t.Run(port+" port in use", func(t *testing.T) {
			taken, err := net.Listen("tcp", net.JoinHostPort(newHost(), "0"))
			if err != nil {
				t.Fatal(err)
			}
			defer taken.Close()
			n := newPair(t)[0]
			addr := taken.Addr().String()
			switch port {
			case "client":
				n.client = addr
			case "peer":
				n.peer = addr
			case "admin":
				n.admin = addr
			}
			expectRefusal(t, n, 1, addr, "address already in use", "Another process listens there")
		})
	}
	t.Run("no permission", func(t *testing.T) {
		n := newNode(t, "refused", 1)
		n.data = "/proc/futago-data"
		expectRefusal(t, n, 1, n.data)
	})
	t.Run("peer without id", func(t *testing.T) {
		n := newPair(t)[0]
		n.id = 0
		expectRefusal(t, n, 2, "node 0")
	})

	first.kill9()
	t.Run("folder of another id", func(t *testing.T) {
		n := newNode(t, "second", 2)
		n.data = first.data
		expectRefusal(t, n, 1, first.data, "belongs to node 1")
	})
	first.start(t)
	first.waitReady(t)
	first.expectValues(t, map[string]string{"key": "value"})
}

// Two nodes with one id would overwrite each other's writes. The one that starts beside a running one ends and says why.
func TestRefuseOneIDForBoth(t *testing.T) {
	p := newPair(t)
	p[1].id = p[0].id
	p[0].start(t)
	p[0].waitReady(t)
	p[0].setAll(t, []string{"key"}, "of A")
	expectRefusal(t, p[1], 1, "both nodes have the id 1")
	p[0].expectValues(t, map[string]string{"key": "of A"})
	p[0].terminate(t)
}

// Two nodes that both have data of the past under one id, brought together by mistake, keep what they have.
func TestRefuseFolderOfAnotherPairMember(t *testing.T) {
	p := startPair(t)
	p[0].setAll(t, []string{"key"}, "value")
	p[0].kill9()
	p[1].kill9()
	p[0].data, p[1].data = p[1].data, p[0].data
	for i, n := range p {
		expectRefusal(t, n, 1, n.data, "belongs to node "+[]string{"2", "1"}[i])
	}
	p[0].data, p[1].data = p[1].data, p[0].data
	startAll(t, p)
	p[1].expectValues(t, map[string]string{"key": "value"})
}
