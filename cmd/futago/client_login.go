package main

import (
	"crypto/tls"
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
	tlsConfig
	prefix string // of the names of TLS settings
}

// add adds the settings; the names of those of TLS begin with prefix.
func (c *loginConfig) add(table *settings, prefix string) {
	c.prefix = prefix
	table.add("user", textValue(&c.User), "authenticate as this user `NAME`, where the node asks for it")
	table.add("password", textValue(&c.Password), "the user's password `TEXT`; others on this machine see flags, so rather set FUTAGO_PASSWORD").secret = true
	table.add("password-file", textValue(&c.PasswordFile), "the first line of this `FILE` is the user's password")
	c.tlsConfig.add(table, prefix)
}

// read reads the files: Password is then that of PasswordFile. The configuration of TLS is nil when that is not asked for.
func (c *loginConfig) read() (*tls.Config, error) {
	switch {
	case c.PasswordFile != "" && c.Password != "":
		return nil, errors.New("password and password-file: allowed is one of them")
	case c.PasswordFile != "":
		var err error
		if c.Password, err = readPassword(c.PasswordFile); err != nil {
			return nil, err
		}
	}
	return c.tlsConfig.client(c.prefix)
}

// apply reads the files and gives the client what they hold.
func (c *loginConfig) apply(to *futago.Config) (err error) {
	to.TLS, err = c.read()
	to.User, to.Password = c.User, c.Password
	return err
}

// readUser returns user and password from the first line of a file, NAME:PASSWORD, and nothing of no file.
func readUser(path string) (name, password string, err error) {
	if path == "" {
		return "", "", nil
	}
	line, err := readPassword(path)
	if err != nil {
		return "", "", err
	}
	name, password, found := strings.Cut(line, ":")
	if !found || name == "" {
		return "", "", fmt.Errorf("read user: the first line of %s is not NAME:PASSWORD", path)
	}
	return name, password, nil
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
