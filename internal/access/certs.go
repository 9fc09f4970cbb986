package access

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync/atomic"
	"time"
)

// TLSFiles are PEM files for listeners that want TLS.
type TLSFiles struct {
	// Cert is the certificate with its chain, Key its key.
	Cert, Key string
	// ClientCA are the authorities that may have signed the certificates of clients; "" where no listener wants one.
	ClientCA string
}

// TLS holds the certificates in force. It may be used by several goroutines at once.
type TLS struct {
	files  TLSFiles
	logger *slog.Logger
	loaded atomic.Pointer[certificates]
}

// certificates are what the files held when they were read.
type certificates struct {
	server, mutual *tls.Config // mutual is nil without authorities
	at             time.Time
	notAfter       time.Time
}

// OpenTLS reads the files. The error says which of them is wrong.
func OpenTLS(files TLSFiles, logger *slog.Logger) (*TLS, error) {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	t := &TLS{files: files, logger: logger}
	c, err := t.load()
	t.loaded.Store(c)
	return t, err
}

// Reload reads the files again, for the connections to come. On an error the certificates stay what they were.
func (t *TLS) Reload() error {
	take, err := t.Prepare()
	if err != nil {
		return err
	}
	take()
	return nil
}

// Prepare reads the files and returns what puts the certificates in them in force.
func (t *TLS) Prepare() (take func(), err error) {
	c, err := t.load()
	return func() {
		t.loaded.Store(c)
		t.logger.Info("certificates were read again", "file", t.files.Cert, "until", c.notAfter)
	}, err
}

func (t *TLS) load() (*certificates, error) {
	pair, err := tls.LoadX509KeyPair(t.files.Cert, t.files.Key)
	if err != nil {
		return nil, fmt.Errorf("read certificate %s and key %s: %w: want two PEM files, the certificate with its chain and the key that belongs to it",
			t.files.Cert, t.files.Key, err)
	}
	c := &certificates{at: time.Now(), notAfter: pair.Leaf.NotAfter}
	c.server = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	if t.files.ClientCA != "" {
		text, err := os.ReadFile(t.files.ClientCA)
		if err != nil {
			return nil, fmt.Errorf("read authorities of clients: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("read authorities of clients: %s holds no certificate in PEM form", t.files.ClientCA)
		}
		c.mutual = c.server.Clone()
		c.mutual.ClientCAs, c.mutual.ClientAuth = pool, tls.RequireAndVerifyClientCert
	}
	if now := time.Now(); now.After(c.notAfter) || now.Before(pair.Leaf.NotBefore) {
		t.logger.Warn("the certificate is not valid now: clients will refuse it", "file", t.files.Cert, "from", pair.Leaf.NotBefore, "until", c.notAfter)
	}
	return c, nil
}

// Config returns what a new connection needs; mutual: with a certificate of the client.
func (t *TLS) Config(mutual bool) *tls.Config {
	c := t.loaded.Load()
	if mutual {
		return c.mutual
	}
	return c.server
}

// Read returns when the files were read, and how long their certificate holds.
func (t *TLS) Read() (at, notAfter time.Time) {
	c := t.loaded.Load()
	return c.at, c.notAfter
}

// HasClientCA reports whether certificates of clients can be judged.
func (t *TLS) HasClientCA() bool { return t.files.ClientCA != "" }

// Listener puts TLS on what l accepts, with the certificates in force at each handshake, which is made by the first read.
func (t *TLS) Listener(l net.Listener, mutual bool) net.Listener {
	return tls.NewListener(l, t.Current(mutual))
}

// Current is a configuration that takes the certificates in force at each handshake.
func (t *TLS) Current(mutual bool) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return t.Config(mutual), nil
	}}
}
