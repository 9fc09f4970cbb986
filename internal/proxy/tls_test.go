package proxy

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/futago/futago/internal/access"
	"github.com/futago/futago/internal/access/accesstest"
)

// behindTLS puts TLS that wants certificates before an address, and returns its own.
func behindTLS(t *testing.T, files access.TLSFiles, at string) string {
	t.Helper()
	certificates, err := access.OpenTLS(files, nil)
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", certificates.Current(true))
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	t.Cleanup(func() { l.Close(); all.Wait() })
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("tcp", at)
			if err != nil {
				c.Close()
				continue
			}
			pass := func(from, to net.Conn) {
				io.Copy(to, from)
				from.Close()
				to.Close()
			}
			all.Go(func() { pass(c, to) })
			all.Go(func() { pass(to, c) })
		}
	})
	return l.Addr().String()
}

// TLS from the client to the proxy and from there to the node and its check, each with certificates of both sides; what is read
// again holds for the next connection, and those that are there go on.
func TestTLS(t *testing.T) {
	ca, dir := accesstest.New(t), t.TempDir()
	files := ca.Issue(t, dir, 2)
	n := newFakeNode(t)
	trust, err := access.OpenClientTLS(access.ClientFiles{CA: ca.File, Cert: files.Cert, Key: files.Key})
	if err != nil {
		t.Fatal(err)
	}
	at, check := behindTLS(t, files, n.addr), behindTLS(t, files, n.admin.Listener.Addr().String())
	p := runProxy(t, func(c *Config) {
		c.Listen += ",tls=mutual"
		c.Access.TLS, c.TLS, c.CheckTLS = files, trust, trust
		c.Upstreams = []Upstream{{Addr: at, Check: "https://" + check, Weight: 1}}
	})
	p.waitUp(1)
	pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		t.Fatal(err)
	}
	dial := func() (*testClient, int64) {
		t.Helper()
		nc, err := tls.Dial("tcp", p.Addr(), &tls.Config{RootCAs: ca.Pool, Certificates: []tls.Certificate{pair}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { nc.Close() })
		return &testClient{t, nc, bufio.NewReader(patient{nc})}, nc.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	c, serial := dial()
	c.send("set k 0 0 1\r\nx\r\nget k\r\n")
	c.want("STORED\r\nVALUE k 0 1\r\nx\r\nEND\r\n")
	ca.Issue(t, dir, 3)
	p.Reload()
	next, again := dial()
	if serial != 2 || again != 3 {
		t.Errorf("certificates before and after the reload: got %d and %d, want 2 and 3", serial, again)
	}
	next.send("get k\r\n")
	next.want("VALUE k 0 1\r\nx\r\nEND\r\n")
	c.send("get k\r\n")
	c.want("VALUE k 0 1\r\nx\r\nEND\r\n")
	stranger, err := tls.Dial("tcp", p.Addr(), &tls.Config{RootCAs: ca.Pool})
	if err == nil {
		defer stranger.Close()
		io.WriteString(stranger, "get k\r\n")
		if answer, _ := io.ReadAll(patient{stranger}); len(answer) != 0 {
			t.Errorf("without a certificate: got %q", answer)
		}
	}
	plain := p.dial()
	plain.send("get k\r\n")
	if answer, _ := io.ReadAll(plain.r); len(answer) > 0 && answer[0] != 0x15 { // an alert of TLS
		t.Errorf("without TLS: got %q", answer)
	}
}
