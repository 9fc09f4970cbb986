package replication

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// authority is a CA of a test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  string
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	key := newKey(t)
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	// Good for the clock of a synctest bubble as well, which begins in 2000.
	c := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: "test CA " + serial.String()}, NotBefore: time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter: time.Now().AddDate(1, 0, 0), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return &authority{c, key, pemOf("CERTIFICATE", der)}
}

func pemOf(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// issue returns a certificate for 127.0.0.1 with its key; adapt may change it before it is signed.
func (a *authority) issue(t testing.TB, adapt func(*x509.Certificate)) (certPEM, keyPEM string) {
	t.Helper()
	key := newKey(t)
	c := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "node"}, NotBefore: a.cert.NotBefore, NotAfter: a.cert.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"node.test"}}
	if adapt != nil {
		adapt(c)
	}
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pemOf("CERTIFICATE", der), pemOf("PRIVATE KEY", keyDER)
}

// node returns the files of a node with a certificate by a, that trusts a.
func (a *authority) node(t testing.TB, adapt func(*x509.Certificate)) LinkConfig {
	t.Helper()
	certPEM, keyPEM := a.issue(t, adapt)
	return LinkConfig{TLSCert: writeFile(t, "cert.pem", certPEM), TLSKey: writeFile(t, "key.pem", keyPEM), TLSCA: writeFile(t, "ca.pem", a.pem)}
}

// writeFile returns the path of a new file with the text.
func writeFile(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// rewrite replaces a file as a careful tool does.
func rewrite(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// A certificate that is not accepted is explained on both sides: there what is wrong with it, here that it was refused.
func TestCertificateErrors(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	good := ca.node(t, nil)
	past := func(c *x509.Certificate) { c.NotAfter = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC) }
	future := func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) }
	elsewhere := func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 2)} }
	serverOnly := func(c *x509.Certificate) { c.ExtKeyUsage = c.ExtKeyUsage[:1] }
	clientOnly := func(c *x509.Certificate) { c.ExtKeyUsage = c.ExtKeyUsage[1:] }
	trusting := func(cfg LinkConfig, ca string) LinkConfig {
		cfg.TLSCA = writeFile(t, "ca.pem", ca)
		return cfg
	}
	wrongName := good
	wrongName.TLSName = "other.test"
	for name, c := range map[string]struct {
		source, follower       LinkConfig
		sourceSays, followSays []string
	}{
		"follower trusts another CA": {good, trusting(good, other.pem), []string{"the peer ended TLS", "status of the peer"}, []string{"unknown authority", "peer-tls-ca of this node"}},
		"source trusts another CA":   {trusting(good, other.pem), good, []string{"unknown authority", "peer-tls-ca of this node"}, []string{"unknown certificate authority", "peer-tls-ca of the peer"}},
		"follower's has expired":     {good, ca.node(t, past), []string{"expired", "renew it on the peer"}, []string{"expired certificate", "renew the certificate of this node, peer-tls-cert"}},
		"source's has expired":       {ca.node(t, past), good, []string{"the peer ended TLS"}, []string{"expired", "is after 2020", "renew it on the peer"}},
		"source's is not yet valid":  {ca.node(t, future), good, []string{"the peer ended TLS"}, []string{"not yet valid", "set the clocks right"}},
		"for another host":           {ca.node(t, elsewhere), good, []string{"the peer ended TLS"}, []string{"127.0.0.2, not 127.0.0.1", "peer-tls-name"}},
		"another name is wanted":     {good, wrongName, []string{"the peer ended TLS"}, []string{"not other.test", "peer-tls-name"}},
		"follower's is for servers":  {good, ca.node(t, serverOnly), []string{"incompatible key usage", "server and client"}, []string{"the peer ended TLS", "log and the status of the peer"}},
		"source's is for clients":    {ca.node(t, clientOnly), good, []string{"the peer ended TLS"}, []string{"incompatible key usage", "server and client"}},
	} {
		t.Run(name, func(t *testing.T) {
			mine, theirs := tcpPair(t) // a pipe cannot be written to while its other end writes
			j := join(t, openLink(t, c.source), openLink(t, c.follower), mine, theirs)
			wantRefusal(t, "source", j.sourceErr, c.sourceSays...)
			wantRefusal(t, "follower", j.followerErr, c.followSays...)
		})
	}
	named := good
	named.TLSName = "node.test"
	mine, theirs := tcpPair(t)
	if j := join(t, openLink(t, ca.node(t, elsewhere)), openLink(t, named), mine, theirs); j.sourceErr != nil || j.followerErr != nil {
		t.Errorf("with peer-tls-name: source %v, follower %v", j.sourceErr, j.followerErr)
	}
}

// Nobody is served who has no certificate, or an older TLS.
func TestSourceWantsCertificateAndTLS13(t *testing.T) {
	ca := newAuthority(t)
	link := openLink(t, ca.node(t, nil))
	own := link.files().own
	for name, c := range map[string]struct {
		client *tls.Config
		want   string
	}{
		"no certificate": {&tls.Config{InsecureSkipVerify: true}, "didn't provide a certificate"},
		"TLS 1.2":        {&tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12, Certificates: []tls.Certificate{own}}, "unsupported versions"},
	} {
		t.Run(name, func(t *testing.T) {
			mine, theirs := tcpPair(t)
			failed := make(chan error, 1)
			go func() {
				_, err := link.accept(theirs, 5*time.Second)
				theirs.Close()
				failed <- err
			}()
			client := tls.Client(mine, c.client)
			if client.Handshake() == nil {
				client.Write((&opening{}).append(nil))
				if n, err := client.Read(make([]byte, 1)); err == nil {
					t.Errorf("got %d bytes of an answer", n)
				}
			}
			mine.Close()
			if err := <-failed; err == nil || !contains(err, c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// Who has a certificate, but not the secret, cannot sit between two nodes and pass on what they prove to each other.
func TestRelayedProofIsRefused(t *testing.T) {
	ca := newAuthority(t)
	with := func() *Link {
		cfg := ca.node(t, nil)
		cfg.SecretFile = writeFile(t, "secret", "a shared secret of 16")
		return openLink(t, cfg)
	}
	middle := openLink(t, ca.node(t, nil)).files()
	followerEnd, fromFollower := tcpPair(t)
	toSource, sourceEnd := tcpPair(t)
	down, up := tls.Server(fromFollower, middle.server()), tls.Client(toSource, middle.client("127.0.0.1"))
	var relay sync.WaitGroup
	for _, way := range [][2]*tls.Conn{{down, up}, {up, down}} {
		relay.Go(func() {
			io.Copy(way[0], way[1])
			way[0].NetConn().Close()
		})
	}
	j := join(t, with(), with(), followerEnd, sourceEnd)
	followerEnd.Close()
	sourceEnd.Close()
	relay.Wait()
	wantRefusal(t, "source", j.sourceErr, "shared secrets differ")
	wantRefusal(t, "follower", j.followerErr, "shared secrets differ")
}
