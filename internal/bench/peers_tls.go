package bench

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// certificate is what servers with TLS show, for one run.
type certificate struct {
	cert, key []byte      // PEM
	client    *tls.Config // trusts it alone
}

// make is the preparation of a match.
func (c *certificate) make(context.Context) (processes, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		IPAddresses:  []net.IP{net.ParseIP(localhost)},
		NotAfter:     time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	c.cert = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	c.key = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(c.cert)
	c.client = &tls.Config{RootCAs: trusted, ServerName: localhost}
	return nil, nil
}

// write leaves the files in a folder. Without them the server ends and says why.
func (c *certificate) write(dir string) (cert, key string) {
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	_ = os.WriteFile(cert, c.cert, 0o600)
	_ = os.WriteFile(key, c.key, 0o600)
	return cert, key
}

// peers are the servers that Debian has with TLS, and futago.
func (c *certificate) peers(futago string) []*peer {
	return []*peer{
		memcachedPeer(1).withFiles(func(_ int, dir string) []string {
			cert, key := c.write(dir)
			return []string{"-Z", "-o", "ssl_chain_cert=" + cert + ",ssl_key=" + key}
		}),
		redisPeer().withFiles(func(port int, dir string) []string {
			cert, key := c.write(dir)
			return []string{"--port", "0", "--tls-port", strconv.Itoa(port), "--tls-cert-file", cert, "--tls-key-file", key,
				"--tls-ca-cert-file", cert, "--tls-auth-clients", "no"}
		}),
		futagoPeer(futago, ",tls").withFiles(func(_ int, dir string) []string {
			cert, key := c.write(dir)
			return []string{"--tls-cert", cert, "--tls-key", key}
		}),
	}
}
