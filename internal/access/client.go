package access

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"sync/atomic"
)

// ClientFiles are PEM files for connections to others. The zero value trusts the system's authorities and shows no certificate.
type ClientFiles struct {
	// CA are the authorities to trust instead of the system's.
	CA string
	// Cert and Key are the certificate to show and its key, both or none.
	Cert, Key string
}

// ClientTLS is TLS to others. It may be used by several goroutines at once.
type ClientTLS struct {
	files  ClientFiles
	loaded atomic.Pointer[tls.Config]
}

// OpenClientTLS reads the files. The error says which of them is wrong.
func OpenClientTLS(files ClientFiles) (*ClientTLS, error) {
	t := &ClientTLS{files: files}
	config, err := t.load()
	t.loaded.Store(config)
	return t, err
}

// Reads reports whether there are files to read again.
func (t *ClientTLS) Reads() bool { return t.files != ClientFiles{} }

// Prepare reads the files again and returns what puts their certificates in force, for the connections to come.
func (t *ClientTLS) Prepare() (take func(), err error) {
	config, err := t.load()
	return func() { t.loaded.Store(config) }, err
}

func (t *ClientTLS) load() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.files.CA != "" {
		text, err := os.ReadFile(t.files.CA)
		if err != nil {
			return nil, fmt.Errorf("read authorities: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("read authorities: %s holds no certificate in PEM form", t.files.CA)
		}
	}
	if t.files.Cert != "" {
		pair, err := tls.LoadX509KeyPair(t.files.Cert, t.files.Key)
		if err != nil {
			return nil, fmt.Errorf("read certificate %s and key %s: %w", t.files.Cert, t.files.Key, err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// Config returns a copy of what a connection to a server needs whose certificate must be for serverName.
func (t *ClientTLS) Config(serverName string) *tls.Config {
	config := t.loaded.Load().Clone()
	config.ServerName = serverName
	return config
}

// Client makes the handshake on a connection to address, host:port, for whose host the certificate must be. When it fails the
// connection is closed.
func (t *ClientTLS) Client(ctx context.Context, c net.Conn, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	secured := tls.Client(c, t.Config(host))
	if err := secured.HandshakeContext(ctx); err != nil {
		c.Close()
		return nil, fmt.Errorf("begin TLS: %w", err)
	}
	return secured, nil
}
