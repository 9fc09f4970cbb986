package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/futago/futago"
)

// maxPasswordFile bounds a file with a password, in bytes.
const maxPasswordFile = 4 << 10

// loginConfig says how the client tools show who they are.
type loginConfig struct {
	User, Password, PasswordFile string
	TLS                          bool
	TLSCA, TLSCert, TLSKey       string
}

func (c *loginConfig) add(table *settings) {
	table.add("user", textValue(&c.User), "authenticate as this user `NAME`, where the node asks for it")
	table.add("password", textValue(&c.Password), "the user's password `TEXT`; others on this machine see flags, so rather set FUTAGO_PASSWORD").secret = true
	table.add("password-file", textValue(&c.PasswordFile), "the first line of this `FILE` is the user's password")
	table.add("tls", boolValue(&c.TLS), "speak TLS with the node")
	table.add("tls-ca", textValue(&c.TLSCA), "trust the authorities in this PEM `FILE` instead of the system's; includes --tls")
	table.add("tls-client-cert", textValue(&c.TLSCert), "show the node the certificate in this PEM `FILE`; includes --tls")
	table.add("tls-client-key", textValue(&c.TLSKey), "the key of that certificate, a PEM `FILE`")
}

// apply reads the files and gives the client what they hold.
func (c *loginConfig) apply(to *futago.Config) error {
	to.User, to.Password = c.User, c.Password
	switch {
	case c.PasswordFile != "" && c.Password != "":
		return errors.New("password and password-file: allowed is one of them")
	case c.PasswordFile != "":
		var err error
		if to.Password, err = readPassword(c.PasswordFile); err != nil {
			return err
		}
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		return fmt.Errorf("tls-client-cert %q, tls-client-key %q: allowed is both or none", c.TLSCert, c.TLSKey)
	}
	if !c.TLS && c.TLSCA == "" && c.TLSCert == "" {
		return nil
	}
	to.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	if c.TLSCA != "" {
		text, err := os.ReadFile(c.TLSCA)
		if err != nil {
			return fmt.Errorf("read authorities: %w", err)
		}
		to.TLS.RootCAs = x509.NewCertPool()
		if !to.TLS.RootCAs.AppendCertsFromPEM(text) {
			return fmt.Errorf("read authorities: %s holds no certificate in PEM form", c.TLSCA)
		}
	}
	if c.TLSCert != "" {
		pair, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey)
		if err != nil {
			return fmt.Errorf("read certificate %s and key %s: %w", c.TLSCert, c.TLSKey, err)
		}
		to.TLS.Certificates = []tls.Certificate{pair}
	}
	return nil
}

// readPassword returns the first line of a file.
func readPassword(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read password: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxPasswordFile))
	if err != nil {
		return "", fmt.Errorf("read password: %w", err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	if line = strings.TrimSuffix(line, "\r"); line == "" {
		return "", fmt.Errorf("read password: the first line of %s is empty", path)
	}
	return line, nil
}
