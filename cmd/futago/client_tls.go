package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
)

// tlsConfig says how TLS is spoken with a node.
type tlsConfig struct {
	On            bool
	CA, Cert, Key string // files
}

// add adds the settings, whose names begin with prefix.
func (c *tlsConfig) add(table *settings, prefix string) {
	table.add(prefix, boolValue(&c.On), "speak TLS with the node")
	table.add(prefix+"-ca", textValue(&c.CA), "trust the authorities in this PEM `FILE` instead of the system's; includes --"+prefix)
	table.add(prefix+"-client-cert", textValue(&c.Cert), "show the node the certificate in this PEM `FILE`; includes --"+prefix)
	table.add(prefix+"-client-key", textValue(&c.Key), "the key of that certificate, a PEM `FILE`")
}

// client reads the files. It returns nil when TLS is not asked for.
func (c *tlsConfig) client(prefix string) (*tls.Config, error) {
	if (c.Cert == "") != (c.Key == "") {
		return nil, fmt.Errorf("%s-client-cert %q, %s-client-key %q: allowed is both or none", prefix, c.Cert, prefix, c.Key)
	}
	if !c.On && c.CA == "" && c.Cert == "" {
		return nil, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CA != "" {
		text, err := os.ReadFile(c.CA)
		if err != nil {
			return nil, fmt.Errorf("read authorities: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("read authorities: %s holds no certificate in PEM form", c.CA)
		}
	}
	if c.Cert != "" {
		pair, err := tls.LoadX509KeyPair(c.Cert, c.Key)
		if err != nil {
			return nil, fmt.Errorf("read certificate %s and key %s: %w", c.Cert, c.Key, err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}
