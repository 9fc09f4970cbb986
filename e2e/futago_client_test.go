//go:build e2e

package e2e

import (
	"os/exec"
	"testing"
)

// TestClientOnFutago runs the client against pairs of ours.
func TestClientOnFutago(t *testing.T) {
	var second *clientNode
	testClient(t, func(t *testing.T) *clientNode {
		if n := second; n != nil {
			second = nil
			n.start(t)
			t.Cleanup(n.kill)
			return n
		}
		p := newPair(t, "--log-level=error", defaultAck)
		var both [2]*clientNode
		for i, n := range p {
			both[i] = &clientNode{addr: n.client, command: func() *exec.Cmd { return exec.Command(futagoProgram, n.args()...) }}
		}
		second = both[1]
		both[0].start(t)
		t.Cleanup(both[0].kill)
		return both[0]
	})
}
