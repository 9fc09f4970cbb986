package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// peerCerts makes the certificates of a pair.
type peerCerts struct {
	dir   string
	hosts []string // each one node: its names and addresses, with commas between
	days  int
}

// hostName is what may be a host and, with a suffix, a file.
var hostName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.-]*$`)

func (c *peerCerts) check() error {
	var problems []error
	if len(c.hosts) == 0 {
		problems = append(problems, errors.New("--host is missing: give one for each node"))
	}
	for _, host := range c.hosts {
		for name := range strings.SplitSeq(host, ",") {
			if net.ParseIP(name) == nil && !hostName.MatchString(name) || name == "ca" {
				problems = append(problems, fmt.Errorf("--host %q: %q is no host name or IP address that can be used", host, name))
			}
		}
	}
	if c.days < 1 || c.days > 3650 {
		problems = append(problems, fmt.Errorf("--days %d: allowed is 1 to 3650", c.days))
	}
	return errors.Join(problems...)
}

// make writes the files and returns their paths, in order.
func (c *peerCerts) make(now time.Time) (made []string, _ error) {
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return nil, fmt.Errorf("make folder for certificates: %w", err)
	}
	ca, caKey, err := c.authority(now)
	if errors.Is(err, fs.ErrNotExist) {
		ca, caKey, err = c.write("ca", &x509.Certificate{
			Subject: pkix.Name{CommonName: "futago peer link"}, NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(10, 0, 0),
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		}, nil, nil)
		made = append(made, c.path("ca.pem"), c.path("ca-key.pem"))
	}
	if err != nil {
		return nil, err
	}
	for _, host := range c.hosts {
		names := strings.Split(host, ",")
		cert := &x509.Certificate{
			Subject: pkix.Name{CommonName: names[0]}, NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(0, 0, c.days),
			// A node shows its certificate to whom it follows as well.
			KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		}
		for _, name := range names {
			if ip := net.ParseIP(name); ip != nil {
				cert.IPAddresses = append(cert.IPAddresses, ip)
			} else {
				cert.DNSNames = append(cert.DNSNames, name)
			}
		}
		if _, _, err := c.write(names[0], cert, ca, caKey); err != nil {
			return made, err
		}
		made = append(made, c.path(names[0]+".pem"), c.path(names[0]+"-key.pem"))
	}
	return made, nil
}

func (c *peerCerts) path(name string) string { return filepath.Join(c.dir, name) }

// authority reads the authority of the folder; fs.ErrNotExist says that there is none, not even half of one.
func (c *peerCerts) authority(now time.Time) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	_, noCert := os.Stat(c.path("ca.pem"))
	_, noKey := os.Stat(c.path("ca-key.pem"))
	switch {
	case noCert != nil && noKey != nil:
		return nil, nil, fs.ErrNotExist
	case noCert != nil || noKey != nil:
		return nil, nil, fmt.Errorf("of ca.pem and ca-key.pem in %s one is missing: bring it back, or choose another --dir for a new authority", c.dir)
	}
	pair, err := tls.LoadX509KeyPair(c.path("ca.pem"), c.path("ca-key.pem"))
	if err != nil {
		return nil, nil, fmt.Errorf("read authority in %s: %w", c.dir, err)
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	switch {
	case !ok || !pair.Leaf.IsCA:
		return nil, nil, fmt.Errorf("ca.pem in %s was not made by this command: choose another --dir", c.dir)
	case now.AddDate(0, 0, c.days).After(pair.Leaf.NotAfter):
		return nil, nil, fmt.Errorf("authority in %s ends on %s, before the certificates would: give fewer --days, or choose another --dir for a new authority",
			c.dir, pair.Leaf.NotAfter.Format(time.DateOnly))
	}
	return pair.Leaf, key, nil
}

// write makes a key and a certificate for it, signed by ca or by itself, and writes both.
func (c *peerCerts) write(name string, cert, ca *x509.Certificate, caKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make key for %s: %w", name, err)
	}
	if ca == nil {
		ca, caKey = cert, key
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, ca, key.Public(), caKey)
	if err != nil {
		return nil, nil, fmt.Errorf("make certificate for %s: %w", name, err)
	}
	if cert, err = x509.ParseCertificate(der); err != nil {
		return nil, nil, fmt.Errorf("make certificate for %s: %w", name, err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, fmt.Errorf("make key for %s: %w", name, err)
	}
	err = errors.Join(
		replaceFile(c.path(name+"-key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600),
		replaceFile(c.path(name+".pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644))
	return cert, key, err
}

// replaceFile writes a file so that nobody reads half of it.
func replaceFile(path string, text []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer os.Remove(f.Name()) // nothing is left of it when all went well
	_, err = f.Write(text)
	err = errors.Join(err, f.Chmod(mode), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
