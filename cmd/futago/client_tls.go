package main

import (
	"crypto/tls"
	"fmt"

	"github.com/futago/futago/internal/access"
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
	t, err := c.open(prefix)
	if err != nil || !c.asked() {
		return nil, err
	}
	return t.Config(""), nil
}

// asked reports whether TLS is to be spoken.
func (c *tlsConfig) asked() bool { return c.On || c.CA != "" || c.Cert != "" }

// open reads the files, also when TLS is not asked for.
func (c *tlsConfig) open(prefix string) (*access.ClientTLS, error) {
	if (c.Cert == "") != (c.Key == "") {
		return nil, fmt.Errorf("%s-client-cert %q, %s-client-key %q: allowed is both or none", prefix, c.Cert, prefix, c.Key)
	}
	return access.OpenClientTLS(access.ClientFiles{CA: c.CA, Cert: c.Cert, Key: c.Key})
}
