package front

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/futago/futago/internal/access"
	"github.com/futago/futago/internal/access/accesstest"
)

func TestAccessProblems(t *testing.T) {
	files := access.TLSFiles{Cert: "c", Key: "k"}
	mutual := access.TLSFiles{Cert: "c", Key: "k", ClientCA: "a"}
	for _, x := range []struct {
		name, listen, admin string
		public              bool
		c                   AccessConfig
		want                []string
	}{
		{"loopback", "127.0.0.1:1", "localhost:2", false, AccessConfig{}, nil},
		{"strangers", ":1", ":2", false, AccessConfig{}, []string{`listen ":1": strangers`, `admin-listen ":2": strangers`}},
		{"clients may be strangers", ":1", ":2", true, AccessConfig{}, []string{`admin-listen ":2": strangers`}},
		{"users", ":1", ":2", true, AccessConfig{AdminUsers: "u"}, nil},
		{"words", ":1", ":2", false, AccessConfig{AllowOpen: []string{"clients", "admin"}}, nil},
		{"off", "127.0.0.1:1", "none", false, AccessConfig{}, nil},
		{"certificates", ":1,tls=mutual", ":2,tls=mutual", false, AccessConfig{TLS: mutual}, nil},
		{"TLS", "127.0.0.1:1,tls", "127.0.0.1:2", false, AccessConfig{TLS: files}, nil},
		{"no files", "127.0.0.1:1,tls", "none", false, AccessConfig{}, []string{"tls-cert and tls-key are not set"}},
		{"files for nothing", "127.0.0.1:1", "none", false, AccessConfig{TLS: mutual}, []string{"tls-cert", "tls-client-ca"}},
		{"half of them", "127.0.0.1:1,tls", "none", false, AccessConfig{TLS: access.TLSFiles{Cert: "c"}}, []string{"one is missing"}},
		{"no authorities", "127.0.0.1:1", "127.0.0.1:2,tls=mutual", false, AccessConfig{TLS: files}, []string{"tls-client-ca"}},
		{"unknown option", "127.0.0.1:1,tsl", "127.0.0.1:2,tls=optional", false, AccessConfig{}, []string{`"tsl", nearest is "tls"`, `"tls=optional"`}},
		{"unknown word", "127.0.0.1:1", "none", false, AccessConfig{AllowOpen: []string{"x"}}, []string{`allow-open "x"`}},
	} {
		err := errors.Join(x.c.Problems(x.listen, x.admin, x.public)...)
		if (err == nil) != (len(x.want) == 0) || err != nil && strings.Count(err.Error(), "\n") != len(x.want)-1 {
			t.Errorf("%s: got %v, want %d problems", x.name, err, len(x.want))
			continue
		}
		for _, want := range x.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %v, want %q in it", x.name, err, want)
			}
		}
	}
}

// An address of no machine is warned of as one of this machine would be.
func TestAccessWarnsOfLoginsInClear(t *testing.T) {
	people := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(people, []byte("root:! rights=admin token=sha256:"+strings.Repeat("0", 64)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]int{people: 1, "": 0} {
		var log bytes.Buffer
		a, err := (&AccessConfig{AdminUsers: file}).Open(slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		for _, text := range []string{"192.0.2.1:1", "127.0.0.1:0"} {
			if l, err := a.ListenAdmin(text); err == nil {
				l.Close()
			}
		}
		if got := strings.Count(log.String(), "passwords cross the network in the clear"); got != want {
			t.Errorf("with users %q: got %d warnings, want %d: %s", file, got, want, &log)
		}
	}
}

// Certificates are read again for the connections to come; what cannot be read changes nothing.
func TestAccessReload(t *testing.T) {
	ca, dir := accesstest.New(t), t.TempDir()
	c := AccessConfig{TLS: ca.Issue(t, dir, 2)}
	a, err := c.Open(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	l, err := a.ListenAdmin("127.0.0.1:0,tls=mutual")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: a.Guard(http.NotFoundHandler()), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	defer func() { s.Close(); <-served }()
	pair, err := tls.LoadX509KeyPair(c.TLS.Cert, c.TLS.Key)
	if err != nil {
		t.Fatal(err)
	}
	dial := func() *tls.Conn {
		t.Helper()
		conn, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{RootCAs: ca.Pool, Certificates: []tls.Certificate{pair}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	serial := func(conn *tls.Conn) int64 { return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64() }
	old := dial()
	ca.Issue(t, dir, 3)
	again := func() error {
		plan, err := Plan(a, nil, struct{}{}, nil, nil, nil)
		if err == nil {
			plan.Take()
		}
		return err
	}
	if err := again(); err != nil {
		t.Error(err)
	}
	if got := serial(dial()); got != 3 {
		t.Errorf("after the reload: got certificate %d, want 3", got)
	}
	if err := os.WriteFile(filepath.Join(dir, "cert.pem"), []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := again(); err == nil || !strings.Contains(err.Error(), "cert.pem") {
		t.Errorf("a bad file: got %v, want its name", err)
	}
	if got := serial(dial()); got != 3 {
		t.Errorf("after a bad file: got certificate %d, want 3", got)
	}
	io.WriteString(old, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
	if answer, err := io.ReadAll(old); err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 404 ") {
		t.Errorf("a connection from before: got %q and %v, want that it goes on", answer, err)
	}
	stranger, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{RootCAs: ca.Pool})
	if err == nil {
		_, err = stranger.Read(make([]byte, 1)) // TLS 1.3 tells who shows no certificate only now
		stranger.Close()
	}
	if err == nil || errors.Is(err, io.EOF) {
		t.Errorf("without a certificate: got %v, want that it is refused", err)
	}
}
