//go:build e2e

package e2e

import (
	"io"
	"testing"
	"time"
)

// The command shutdown stops a node that allows it in order, and no other.
func TestShutdownCommand(t *testing.T) {
	n := startSingle(t)
	c := n.dial(t)
	c.expect(t, "shutdown\r\n", "SERVER_ERROR: shutdown not enabled")
	c.expect(t, setCommand("key", "1"), "STORED")
	n.terminate(t)

	n.flags = append(n.flags, "--allow=shutdown")
	n.start(t)
	n.waitReady(t)
	c = n.dial(t)
	c.expect(t, "shutdown now\r\n", "CLIENT_ERROR invalid shutdown mode")
	if _, err := io.WriteString(c, setCommand("late", "2")+"shutdown graceful\r\n"); err != nil {
		t.Fatal(err)
	}
	if got, err := c.line(); err != nil || got != "STORED" {
		t.Errorf("a write before the command: got %q and error %v, want STORED", got, err)
	}
	if got, err := c.line(); err != io.EOF {
		t.Errorf("behind the command: got %q and error %v, want the end", got, err)
	}
	if code := n.proc.waitExit(t, 10*time.Second); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	n.start(t)
	n.waitReady(t)
	n.expectValues(t, map[string]string{"key": "1", "late": "2"})
}
