package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestPeerCerts checks what the files are good for: each node proves its host to the other, in both directions.
func TestPeerCerts(t *testing.T) {
	dir, now := filepath.Join(t.TempDir(), "certs"), time.Now()
	c := &peerCerts{dir: dir, hosts: []string{"10.0.0.1", "b.example,fd00::2"}, days: 30}
	if _, err := c.make(now); err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	text, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil || !roots.AppendCertsFromPEM(text) {
		t.Fatalf("no authority in ca.pem: %v", err)
	}
	verify := func(file, host string, usage x509.ExtKeyUsage, at time.Time) error {
		pair, err := tls.LoadX509KeyPair(filepath.Join(dir, file+".pem"), filepath.Join(dir, file+"-key.pem"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = pair.Leaf.Verify(x509.VerifyOptions{DNSName: host, Roots: roots, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{usage}})
		return err
	}
	for file, hosts := range map[string][]string{"10.0.0.1": {"10.0.0.1"}, "b.example": {"b.example", "fd00::2"}} {
		for _, host := range hosts {
			for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
				if err := verify(file, host, usage, now.AddDate(0, 0, 29)); err != nil {
					t.Errorf("%s for %s: %v", file, host, err)
				}
			}
		}
		if verify(file, "10.0.0.9", x509.ExtKeyUsageServerAuth, now) == nil {
			t.Errorf("%s is good for any host", file)
		}
		if verify(file, hosts[0], x509.ExtKeyUsageServerAuth, now.AddDate(0, 0, 31)) == nil {
			t.Errorf("%s is good for longer than it should be", file)
		}
	}
	for file, want := range map[string]os.FileMode{".": 0o700 | os.ModeDir, "ca-key.pem": 0o600, "b.example-key.pem": 0o600, "b.example.pem": 0o644} {
		if info, err := os.Stat(filepath.Join(dir, file)); err != nil || info.Mode() != want {
			t.Errorf("%s: mode %v, error %v, want %v", file, info.Mode(), err, want)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) != 6 {
		t.Errorf("files %q", left)
	}

	var out bytes.Buffer
	code := run([]string{"peer", "certs", "--dir", dir, "--host", "10.0.0.1", "--json"}, strings.NewReader(""), &out, io.Discard)
	var printed certFiles
	if err := json.Unmarshal(out.Bytes(), &printed); err != nil || code != exitOK || printed.Dir != dir ||
		strings.Join(printed.Files, " ") != filepath.Join(dir, "10.0.0.1.pem")+" "+filepath.Join(dir, "10.0.0.1-key.pem") {
		t.Errorf("as JSON: exit code %d, %v, %s", code, err, out.String())
	}

	// An old authority makes no certificates that outlive it.
	if _, err := c.make(now.AddDate(9, 11, 0)); err != nil {
		t.Error(err)
	}
	c.days = 365
	if _, err := c.make(now.AddDate(9, 11, 0)); err == nil || !strings.Contains(err.Error(), "before the certificates would") {
		t.Errorf("got %v", err)
	}
}
