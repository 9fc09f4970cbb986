//go:build e2e

package e2e

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// authority signs the certificates of a test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string // its certificate
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA of a test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	writePEM(t, file, "CERTIFICATE", der)
	return &authority{c, key, file}
}

func writePEM(t *testing.T, file, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(file+".new", pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
}

// issue writes a certificate for name and its key into dir.
func (a *authority) issue(t *testing.T, dir, name string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), NotBefore: a.cert.NotBefore, NotAfter: a.cert.NotAfter, DNSNames: []string{name},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, filepath.Join(dir, "cert.pem"), "CERTIFICATE", der)
	writePEM(t, filepath.Join(dir, "key.pem"), "PRIVATE KEY", keyDER)
}

// protect gives a node that does not run yet a certificate by a, and lets it trust a.
func (a *authority) protect(t *testing.T, n *node) (dir string) {
	t.Helper()
	dir = t.TempDir()
	a.issue(t, dir, "node.test")
	n.flags = append(n.flags, "--peer-tls-cert="+filepath.Join(dir, "cert.pem"), "--peer-tls-key="+filepath.Join(dir, "key.pem"),
		"--peer-tls-ca="+a.file, "--peer-tls-name=node.test")
	return dir
}

// shareSecret gives a node that does not run yet a secret.
func shareSecret(t *testing.T, n *node, secret string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	n.flags = append(n.flags, "--peer-secret-file="+file)
}

// A pair with everything that protects a link: nothing readable is on the wire, a killed node catches up through it, and
// certificates are renewed while the nodes run.
func TestProtectedLink(t *testing.T) {
	const marker = "not for the eyes of others "
	p := newPair(t, "--peer-compress=zstd")
	ca := newAuthority(t)
	var dirs [2]string
	for i, n := range p {
		dirs[i] = ca.protect(t, n)
		shareSecret(t, n, "a secret of the two nodes")
	}
	var passed int
	var readable bool
	links := linkPair(t, p)
	links[0].tap = func(b []byte) {
		passed += len(b)
		readable = readable || bytes.Contains(b, []byte(marker))
	}
	startAll(t, p)
	keys := names("key", 2000)
	value := strings.Repeat(marker, 20)
	p[0].setAll(t, keys[:1000], value)
	p[1].setAll(t, keys[1000:], value)
	waitEqual(t, p, keys, 5*time.Second)
	for _, n := range p {
		s := n.mustStatus(t)
		const want = "TLS 1.3, shared secret, zstd"
		if len(s.Followers) != 1 || s.Followers[0].Link != want || s.Peer.Link != want {
			t.Fatalf("node %s: followers %+v, follows by %q, want %q", n.name, s.Followers, s.Peer.Link, want)
		}
		if f := s.Followers[0]; f.SentBytes < int64(1000*len(value)) || f.WireBytes > f.SentBytes/4 {
			t.Errorf("node %s: %d bytes sent took %d on the wire, want less than a quarter", n.name, f.SentBytes, f.WireBytes)
		}
	}

	p[1].kill9()
	p[0].setAll(t, keys, value+"newer")
	p[1].start(t)
	waitPair(t, p)
	want := map[string]string{}
	for _, key := range keys {
		want[key] = value + "newer"
	}
	p[1].expectValues(t, want)

	for i, dir := range dirs {
		ca.issue(t, dir, "node.test")
		links[i].cut()
		links[i].heal()
	}
	waitPair(t, p)
	p[0].setAll(t, keys[:10], "renewed")
	waitEqual(t, p, keys, 5*time.Second)
	for _, n := range p {
		eventually(t, "node "+n.name+" has read its new certificate", 10*time.Second, func() bool {
			return n.mustStatus(t).hadEvent("files of the peer link were read anew")
		})
	}
	links[0].mu.Lock()
	defer links[0].mu.Unlock()
	if passed == 0 || readable {
		t.Errorf("%d bytes passed, readable %v", passed, readable)
	}
}

// Nodes that do not belong together exchange nothing, and each says why and what to do: in its status, in the table of
// the command, and in its log.
func TestStrangersAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(t *testing.T, p [2]*node)
		status  string // in the status of both
		log     string // of both as sources
	}{
		"secret": {func(t *testing.T, p [2]*node) {
			shareSecret(t, p[0], "a secret of the two nodes")
			shareSecret(t, p[1], "another secret of a node")
		}, "the shared secrets differ: put the same one into the peer-secret-file of both nodes", "the shared secrets differ"},
		"CA": {func(t *testing.T, p [2]*node) {
			newAuthority(t).protect(t, p[0])
			newAuthority(t).protect(t, p[1])
		}, "put the CA that signed it into the file peer-tls-ca of this node", "the peer ended TLS"},
		"TLS of one": {func(t *testing.T, p [2]*node) { newAuthority(t).protect(t, p[0]) }, "set peer-tls-cert, peer-tls-key and peer-tls-ca on both nodes", "TLS"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t)
			c.prepare(t, p)
			for _, n := range p {
				n.start(t)
			}
			for i, n := range p {
				n.waitReady(t)
				n.setAll(t, []string{fmt.Sprintf("of-%d", i)}, "value")
				s := n.mustStatus(t)
				if s.Peer.State != "refused" || !strings.Contains(s.Peer.Reason, c.status) || !s.Acknowledgement.Solo {
					t.Errorf("node %s: link %+v, solo %v", n.name, s.Peer, s.Acknowledgement.Solo)
				}
				out, err := exec.Command(futagoProgram, "status", "--admin", n.admin).CombinedOutput()
				if err != nil || !strings.Contains(string(out), c.status) {
					t.Errorf("futago status of node %s: error %v, no %q in\n%s", n.name, err, c.status, out)
				}
			}
			for i, n := range p {
				eventually(t, "node "+n.name+" logs the refusal", 5*time.Second, func() bool {
					for line := range strings.Lines(n.output.String()) {
						if strings.Contains(line, "peer connection was refused") && strings.Contains(line, c.log) {
							return true
						}
					}
					return false
				})
				n.expectValues(t, map[string]string{fmt.Sprintf("of-%d", i): "value", fmt.Sprintf("of-%d", 1-i): ""})
				if s := n.mustStatus(t); s.Store.Items != 1 || len(s.Followers) != 0 {
					t.Errorf("node %s has %d items, followers %+v", n.name, s.Store.Items, s.Followers)
				}
			}
		})
	}
}

// The files that `futago peer certs` makes are what a node needs.
func TestCertificatesOfTheCommand(t *testing.T) {
	p := newPair(t)
	dir := t.TempDir()
	args := []string{"peer", "certs", "--dir", dir}
	var hosts [2]string
	for i, n := range p {
		hosts[i], _, _ = strings.Cut(n.peer, ":")
		args = append(args, "--host", hosts[i])
	}
	if out, err := exec.Command(futagoProgram, args...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for i, n := range p {
		file := filepath.Join(dir, hosts[i])
		n.flags = append(n.flags, "--peer-tls-cert="+file+".pem", "--peer-tls-key="+file+"-key.pem", "--peer-tls-ca="+filepath.Join(dir, "ca.pem"))
	}
	startAll(t, p)
	keys := names("key", 10)
	p[0].setAll(t, keys, "value")
	waitEqual(t, p, keys, 5*time.Second)
	if s := p[1].mustStatus(t); s.Peer.Link != "TLS 1.3" {
		t.Errorf("the link is %q", s.Peer.Link)
	}
}
