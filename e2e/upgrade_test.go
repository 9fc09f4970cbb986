//go:build e2e

package e2e

import (
	"net/http"
	"testing"
	"time"
)

// Both nodes are restarted one after the other, as docs/operations.md says. No request of plain clients behind the proxy or
// the gateway fails, and no increment has an unknown effect.
func TestUpgradeWithoutAnError(t *testing.T) {
	p := startPair(t)
	p[0].setAll(t, names("count_key", 100), "1")
	proxy, gateway := startPairProxy(t, p), startGateway(t, p)
	l := startProxyLoad(t, proxy, 8)
	l.more(t, 500)
	for _, leaving := range p {
		// Refused while the other node is not known to be ready.
		eventually(t, "the node is drained", 20*time.Second, func() bool { return leaving.operate(t, "/drain") == http.StatusOK })
		eventually(t, "the node has no clients", 20*time.Second, func() bool { return leaving.connections(t) == 0 })
		gateway.requests(t, 200)
		leaving.terminate(t)
		l.more(t, 200)
		gateway.requests(t, 200)
		leaving.start(t)
		waitPair(t, p)
		proxy.waitUp(t, "both nodes are used again", func(up []bool) bool { return up[0] && up[1] })
		l.more(t, 200)
		gateway.requests(t, 200)
	}
	l.stop(t)
	if n := l.unknown.Load(); n > 0 {
		t.Errorf("%d increments have an unknown effect", n)
	}
}
