package server

import (
	"bufio"
	"crypto/tls"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/futago/futago/internal/access"
	"github.com/futago/futago/internal/access/accesstest"
)

func openTLS(t testing.TB, files access.TLSFiles) *access.TLS {
	t.Helper()
	opened, err := access.OpenTLS(files, nil)
	if err != nil {
		t.Fatal(err)
	}
	return opened
}

// secured is a connection with TLS on it.
func secured(t testing.TB, s *Server, cfg *tls.Config) (*client, *tls.Conn) {
	t.Helper()
	plain := dial(t, s)
	c := tls.Client(plain.Conn, cfg)
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	return &client{Conn: c, t: t, r: bufio.NewReader(c)}, c
}

func TestTLS(t *testing.T) {
	ca := accesstest.New(t)
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		for _, mode := range []TLSMode{OnlyTLS, OptionalTLS} {
			s := startServer(t, openStore(t, nil), func(c *Config) {
				c.Listen[0].TLS, c.TLS = mode, openTLS(t, ca.Issue(t, t.TempDir(), 2))
				c.FirstByteTimeout = testTimeout
				carrier(c)
			})
			cfg := &tls.Config{RootCAs: ca.Pool, ServerName: "127.0.0.1"}
			c, _ := secured(t, s, cfg)
			big := strings.Repeat("x", 3<<20)
			c.send("set a 0 0 " + strconv.Itoa(len(big)) + "\r\n" + big + "\r\nget a\r\n")
			c.expect("STORED\r\nVALUE a 0 " + strconv.Itoa(len(big)) + "\r\n" + big + "\r\nEND\r\n")
			c.send("set b 0 0 1\r\ny\r\nquit\r\n")
			c.expect("STORED\r\n")
			c.expectEnd() // with TLS's own end, or the reader would see an error
			c, _ = secured(t, s, cfg)
			if status, _, body := c.roundTrip(get("/b", ""), ""); status != 200 || body != "y" {
				t.Errorf("HTTP: got %d %q", status, body)
			}
			if status, _, _ := c.roundTrip(put("/c", "", "z"), ""); status != 201 {
				t.Errorf("HTTP on the same connection: got %d", status)
			}
			plain := dial(t, s)
			plain.send("get b\r\n")
			if mode == OptionalTLS {
				plain.expect("VALUE b 0 1\r\ny\r\nEND\r\n")
				if status, _, _ := dial(t, s).roundTrip(get("/b", ""), ""); status != 200 {
					t.Errorf("plain HTTP: got %d", status)
				}
			} else {
				plain.expectEnd()
			}
			// TLS inside of TLS is no protocol.
			c, _ = secured(t, s, cfg)
			c.send("\x16\x03\x01\x00\x05hello")
			c.expectEnd()
			broken := dial(t, s)
			broken.send("\x16\x03\x01\x00\x05hello")
			if rest, _ := broken.r.ReadByte(); rest != 0x15 {
				t.Errorf("a broken handshake: got %#x, want an alert", rest)
			}
			old := tls.Client(dial(t, s).Conn, &tls.Config{RootCAs: ca.Pool, ServerName: "127.0.0.1", MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10})
			if err := old.Handshake(); err == nil {
				t.Error("TLS 1.1: got no error")
			}
			eventually(t, "both failures are counted", func() bool { return s.sum()[tlsErrors] == 2 })
			if n := s.sum(); n[tlsOpened] != 3 {
				t.Errorf("%d handshakes, want 3", n[tlsOpened])
			}
		}
	})
}

func TestMutualTLS(t *testing.T) {
	ca, other := accesstest.New(t), accesstest.New(t)
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		files := ca.Issue(t, t.TempDir(), 2)
		s := startServer(t, openStore(t, nil), func(c *Config) {
			c.Listen[0].TLS, c.TLS = MutualTLS, openTLS(t, files)
			carrier(c)
		})
		load := func(files access.TLSFiles) []tls.Certificate {
			pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
			if err != nil {
				t.Fatal(err)
			}
			return []tls.Certificate{pair}
		}
		c, _ := secured(t, s, &tls.Config{RootCAs: ca.Pool, ServerName: "127.0.0.1", Certificates: load(files)})
		c.send("version\r\n")
		c.expect("VERSION 0.1.0\r\n")
		for name, certs := range map[string][]tls.Certificate{"none": nil, "of a stranger": load(other.Issue(t, t.TempDir(), 3))} {
			// With TLS 1.2 the refusal is part of the handshake.
			cfg := &tls.Config{RootCAs: ca.Pool, ServerName: "127.0.0.1", MaxVersion: tls.VersionTLS12}
			cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				if len(certs) == 0 {
					return new(tls.Certificate), nil
				}
				return &certs[0], nil
			}
			if err := tls.Client(dial(t, s).Conn, cfg).Handshake(); err == nil {
				t.Errorf("certificate %s: got no error", name)
			}
		}
	})
}

// New connections see new certificates, by the command too; what cannot be read changes nothing.
func TestReloadTLS(t *testing.T) {
	ca, dir := accesstest.New(t), t.TempDir()
	files := openTLS(t, ca.Issue(t, dir, 2))
	s := startServer(t, openStore(t, nil), func(c *Config) { c.Listen[0].TLS, c.TLS = OptionalTLS, files })
	cfg := &tls.Config{RootCAs: ca.Pool, ServerName: "127.0.0.1"}
	serial := func() int64 {
		t.Helper()
		_, c := secured(t, s, cfg)
		return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	first, _ := secured(t, s, cfg)
	ca.Issue(t, dir, 3)
	if n := serial(); n != 2 {
		t.Errorf("before the reload: got certificate %d, want 2", n)
	}
	c := dial(t, s)
	c.send("refresh_certs\r\nversion\r\n")
	c.expect("OK\r\nVERSION 0.1.0\r\n")
	if n := serial(); n != 3 {
		t.Errorf("after the command: got certificate %d, want 3", n)
	}
	if err := os.WriteFile(filepath.Join(dir, "cert.pem"), []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	c.send("refresh_certs\r\nversion\r\n")
	c.expect("SERVER_ERROR the certificates cannot be read: see the log\r\nVERSION 0.1.0\r\n")
	if n := serial(); n != 3 {
		t.Errorf("after a bad file: got certificate %d, want 3", n)
	}
	first.send("version\r\n")
	first.expect("VERSION 0.1.0\r\n")
}

func TestOpenTLSErrors(t *testing.T) {
	ca := accesstest.New(t)
	good := ca.Issue(t, t.TempDir(), 2)
	junk := filepath.Join(t.TempDir(), "junk.pem")
	if err := os.WriteFile(junk, []byte("junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*access.TLSFiles){
		"missing.pem":                func(f *access.TLSFiles) { f.Cert = "missing.pem" },
		"junk.pem":                   func(f *access.TLSFiles) { f.Key = junk },
		"no certificate in PEM form": func(f *access.TLSFiles) { f.ClientCA = junk },
		"not match":                  func(f *access.TLSFiles) { f.Key = ca.Issue(t, t.TempDir(), 3).Key },
	} {
		files := good
		change(&files)
		if _, err := access.OpenTLS(files, nil); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v, want %q in it", err, name)
		}
	}
}

// A client that does not get on with its handshake is cut off, and so is one that says nothing behind it.
func TestHandshakeTimeout(t *testing.T) {
	ca := accesstest.New(t)
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		s := startServer(t, openStore(t, nil), func(c *Config) {
			c.Listen[0].TLS, c.TLS, c.FirstByteTimeout = OnlyTLS, openTLS(t, ca.Issue(t, t.TempDir(), 2)), 2*time.Second
			carrier(c)
		})
		half := dial(t, s)
		half.send("\x16\x03\x01\x02\x00\x01")
		silent, _ := secured(t, s, &tls.Config{RootCAs: ca.Pool, ServerName: "127.0.0.1"})
		half.expectEnd()
		silent.expectEnd()
	})
}
