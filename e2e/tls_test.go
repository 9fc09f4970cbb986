//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/futago/futago"
)

func base64Pair(pair string) string { return base64.StdEncoding.EncodeToString([]byte(pair)) }

func newReader(r io.Reader) *bufio.Reader { return bufio.NewReaderSize(r, 64<<10) }

// pythonTLS talks memcached over TLS with what Python brings along, in two pieces that cut a request.
const pythonTLS = `
import socket, ssl, sys
host, port, ca = sys.argv[1], int(sys.argv[2]), sys.argv[3]
context = ssl.create_default_context(cafile=ca)
with socket.create_connection((host, port), 20) as raw:
    with context.wrap_socket(raw, server_hostname="node.test") as s:
        s.sendall(b"set py 0 0 100000\r\n" + b"x" * 50000)
        s.sendall(b"x" * 50000 + b"\r\nget py\r\nquit\r\n")
        got = b""
        while True:
            b = s.recv(65536)
            if not b: break
            got += b
want = b"STORED\r\nVALUE py 0 100000\r\n" + b"x" * 100000 + b"\r\nEND\r\n"
sys.exit(0 if got == want else "got %d bytes: %r" % (len(got), got[:80]))
`

// TLS on the client port with clients of others, and a certificate that is renewed while the node runs.
func TestClientTLS(t *testing.T) {
	ca, dir, host := newAuthority(t), t.TempDir(), newHost()
	ca.issue(t, dir, "node.test")
	secure, mutual := freeAddr(t, host), freeAddr(t, host)
	n := startSingle(t, "--listen="+secure+",tls", "--listen="+mutual+",tls=mutual", "--tls-client-ca="+ca.file,
		"--tls-cert="+filepath.Join(dir, "cert.pem"), "--tls-key="+filepath.Join(dir, "key.pem"))
	_, port, _ := strings.Cut(secure, ":")
	url := "https://node.test:" + port
	with := []string{"--cacert", ca.file, "--resolve", "node.test:" + port + ":" + host}

	if out, err := exec.Command(findProgram(t, "python3"), "-c", pythonTLS, host, port, ca.file).CombinedOutput(); err != nil {
		t.Errorf("python: %v: %s", err, out)
	}
	if got := curl(t, append(with, "-X", "PUT", "-d", "web", url+"/k")...); got != "Created\n201" {
		t.Errorf("curl -X PUT: got %q", got)
	}
	if got := curl(t, append(with, url+"/k", url+"/k")...); got != "web200web200" {
		t.Errorf("curl: got %q", got)
	}
	if got := curl(t, "--resolve", "node.test:"+port+":"+host, url+"/k"); !strings.Contains(got, "certificate") {
		t.Errorf("curl without the authority: got %q, want that it refuses", got)
	}
	if got := curl(t, "http://"+secure+"/k"); strings.HasSuffix(got, "200") {
		t.Errorf("curl without TLS: got %q, want nothing", got)
	}
	n.dial(t).expect(t, "get k\r\n", "VALUE k 0 3") // without TLS at the other address

	openssl := func(addr string, args ...string) string {
		t.Helper()
		cmd := exec.Command(findProgram(t, "openssl"), append([]string{"s_client", "-connect", addr, "-servername", "node.test", "-CAfile", ca.file, "-verify_return_error", "-quiet"}, args...)...)
		cmd.Stdin = strings.NewReader("get k\r\nquit\r\n")
		out, _ := cmd.CombinedOutput()
		return string(out)
	}
	for _, version := range []string{"-tls1_2", "-tls1_3"} {
		if got := openssl(secure, version); !strings.Contains(got, "VALUE k 0 3\r\nweb\r\nEND\r\n") {
			t.Errorf("openssl %s: got %q", version, got)
		}
	}
	if got := openssl(mutual, "-tls1_2"); strings.Contains(got, "VALUE") {
		t.Errorf("openssl without a certificate: got %q", got)
	}
	own := []string{"-cert", filepath.Join(dir, "cert.pem"), "-key", filepath.Join(dir, "key.pem")}
	if got := openssl(mutual, own...); !strings.Contains(got, "VALUE k 0 3") {
		t.Errorf("openssl with a certificate: got %q", got)
	}

	pool := x509.NewCertPool()
	text, err := os.ReadFile(ca.file)
	if err != nil || !pool.AppendCertsFromPEM(text) {
		t.Fatalf("read authority: %v", err)
	}
	client, err := futago.New(futago.Config{Servers: []futago.Server{{Addr: secure}}, TLS: &tls.Config{RootCAs: pool, ServerName: "node.test"}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if item, err := client.Get(context.Background(), "k"); err != nil || string(item.Value) != "web" {
		t.Errorf("Go client: got %v and %v", item, err)
	}

	serial := func() string {
		t.Helper()
		c, err := tls.Dial("tcp", secure, &tls.Config{RootCAs: pool, ServerName: "node.test"})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	before := serial()
	ca.issue(t, dir, "node.test")
	n.proc.signal(t, syscall.SIGHUP)
	eventually(t, "the new certificate is shown", 10*time.Second, func() bool { return serial() != before })
	if _, err := client.Increment(context.Background(), "absent", 1); err != futago.ErrCacheMiss {
		t.Errorf("a connection from before: got %v", err)
	}
	now := serial()
	if err := os.WriteFile(filepath.Join(dir, "key.pem"), []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	n.proc.signal(t, syscall.SIGHUP)
	eventually(t, "the mistake is logged", 10*time.Second, func() bool { return strings.Contains(n.output.String(), "everything stays what it was") })
	if got := serial(); got != now {
		t.Errorf("after a bad key: certificate %s, want %s", got, now)
	}
	n.terminate(t)
}

// Users and TLS on one port with plain clients, by the first byte, with the tools.
func TestOptionalTLSWithUsers(t *testing.T) {
	dir := t.TempDir()
	host := newHost()
	addr := freeAddr(t, host)
	// The command's certificates do for clients too.
	if out, err := exec.Command(futagoProgram, "peer", "certs", "--dir", dir, "--host", host).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	file := filepath.Join(dir, "users")
	addUser(t, file, "alice", "wonderland")
	n := newNode(t, "A", 1, "--users="+file, "--listen="+addr+",tls=optional", "--tls-cert="+filepath.Join(dir, host+".pem"), "--tls-key="+filepath.Join(dir, host+"-key.pem"))
	n.start(t)
	n.waitReady(t)
	alice := []string{"FUTAGO_USER=alice", "FUTAGO_PASSWORD=wonderland", "FUTAGO_ADDR=" + addr}
	if out, code := n.tool(t, append(alice, "FUTAGO_TLS_CA="+filepath.Join(dir, "ca.pem")), "set", "k", "v"); code != 0 {
		t.Errorf("futago set over TLS: code %d, %q", code, out)
	}
	if out, code := n.tool(t, alice, "get", "k"); code != 0 || out != "v" {
		t.Errorf("futago get without TLS: code %d, %q", code, out)
	}
	if out, code := n.tool(t, append(alice, "FUTAGO_TLS=true"), "get", "k"); code != 1 || !strings.Contains(out, "authority") {
		t.Errorf("futago get without the authority: code %d, %q", code, out)
	}
}
