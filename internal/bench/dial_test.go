package bench

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// testCertificate is for 127.0.0.1, and the pool that trusts it.
func testCertificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// startTLS is start with TLS.
func (s *fakeServer) startTLS(t *testing.T, certificate tls.Certificate) (address string) {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate}})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		s.serve(l)
		close(done)
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return l.Addr().String()
}

func TestRunTLS(t *testing.T) {
	certificate, pool := testCertificate(t)
	tests := []struct {
		name     string
		protocol string
		alter    func(*Config)
	}{
		{"memcache", Memcache, func(*Config) {}},
		{"pipeline, two threads", Memcache, func(c *Config) { c.Pipeline, c.Threads = 16, 2 }},
		{"paced", Memcache, func(c *Config) { c.Rate, c.Pipeline = 5000, 4 }},
		{"large values", Memcache, func(c *Config) { c.ValueSize, c.Keys = 1<<20, 6 }},
		{"http", HTTP, func(*Config) {}},
		{"version 1.2", Memcache, func(c *Config) { c.TLS.MaxVersion = tls.VersionTLS12 }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := &fakeServer{protocol: tt.protocol}
			c := shortConfig(tt.protocol, server.startTLS(t, certificate))
			c.TLS = &tls.Config{RootCAs: pool}
			tt.alter(&c)
			r, err := Run(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			if keys, _ := server.seen(); keys != c.Keys || r.Requests == 0 || r.Errors != 0 || r.Misses != 0 {
				t.Errorf("got %d keys, %d requests, %d errors (%s), %d misses; want %d keys and some requests",
					keys, r.Requests, r.Errors, r.FirstError, r.Misses, c.Keys)
			}
			if c.TLS.ServerName != "" {
				t.Errorf("the caller's config has now the name %q", c.TLS.ServerName)
			}
		})
	}
}

func TestRunTLSErrors(t *testing.T) {
	certificate, pool := testCertificate(t)
	run := func(server *fakeServer, config *tls.Config, duration time.Duration) error {
		c := shortConfig(Memcache, server.startTLS(t, certificate))
		c.TLS, c.Fill, c.Duration = config, false, duration
		_, err := Run(t.Context(), c)
		return err
	}
	err := run(&fakeServer{protocol: Memcache}, &tls.Config{}, time.Hour)
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); !ok || !strings.Contains(err.Error(), "begin TLS") {
		t.Errorf("unknown authority: got error %v, want one of the certificate", err)
	}
	if err := run(&fakeServer{protocol: Memcache}, &tls.Config{InsecureSkipVerify: true}, time.Millisecond); err != nil {
		t.Errorf("unknown authority, not verified: %v", err)
	}
	closing := &fakeServer{protocol: Memcache, before: func(n int) string { return map[bool]string{true: "close"}[n == 20] }}
	if err := run(closing, &tls.Config{RootCAs: pool}, time.Hour); !errors.Is(err, ErrServerClosed) {
		t.Errorf("server closes: got error %v, want %v", err, ErrServerClosed)
	}
}

// TestTLSReadOfNothing reads from a socket that has nothing to read, which ends every turn, between requests. crypto/tls itself
// allocates an object for each read.
func TestTLSReadOfNothing(t *testing.T) {
	certificate, pool := testCertificate(t)
	server := &fakeServer{protocol: Memcache}
	c := shortConfig(Memcache, server.startTLS(t, certificate))
	c.TLS = &tls.Config{RootCAs: pool}
	conn, err := dial(t.Context(), &c, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.close()
	p, err := newPoller()
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	if err := p.watch(unix.EPOLL_CTL_ADD, conn.fd, 0, false); err != nil {
		t.Fatal(err)
	}
	// What the server sends after the handshake, if it does, is over with the first reply.
	buf := make([]byte, readSize)
	request := []byte("get k\r\n")
	exchange := func() {
		if err := conn.send(request, p, 0); err != nil {
			t.Fatal(err)
		}
		for got := 0; got < len("END\r\n"); {
			n, err := conn.read(buf)
			if err != nil && err != errAgain {
				t.Fatal(err)
			}
			if got += n; err == errAgain {
				if _, err := p.wait(pollInterval); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	exchange()
	if n := testing.AllocsPerRun(1000, func() {
		if _, err := conn.read(buf); err != errAgain {
			t.Fatalf("read of nothing: %v", err)
		}
	}); n > 1 {
		t.Errorf("a read of nothing allocates %v times, want at most 1", n)
	}
	exchange()
}

func TestDialManyAtAFullQueue(t *testing.T) {
	path := t.TempDir() + "/s"
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrUnix{Name: path}), unix.Listen(fd, 1)); err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "listener")
	l, err := net.FileListener(f)
	f.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()

	c := shortConfig(Memcache, "unix:"+path)
	d := &dialer{config: &c, depth: 1}
	var waiting []*conn
	for {
		conn, err := d.try(t.Context())
		if err != nil {
			if !queueFull(err) {
				t.Fatalf("connect to a full queue: got error %v, want one that says to try again", err)
			}
			break
		}
		waiting = append(waiting, conn)
		if len(waiting) > 100 {
			t.Fatal("the queue does not become full")
		}
	}
	for _, conn := range waiting {
		conn.close()
	}
	const n = 200
	accepted := make(chan int)
	go func() {
		count := 0
		for {
			nc, err := l.Accept()
			if err != nil {
				accepted <- count
				return
			}
			count++
			defer nc.Close()
		}
	}()
	// dialAll does not try the first one again, so the queue must have been taken before.
	first, err := d.dialPatiently(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	first.close()
	conns, err := d.dialAll(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	for _, conn := range conns {
		conn.close()
	}
	l.Close()
	if got := <-accepted; got < n {
		t.Errorf("the server has accepted %d connections, want at least %d", got, n)
	}
}

// TestDialFromAnotherAddress is what is done when the ports of 127.0.0.1 are used up.
func TestDialFromAnotherAddress(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := shortConfig(Memcache, l.Addr().String())
	d := &dialer{config: &c, depth: 1}
	d.source.Store(3)
	conns, err := d.dialAll(t.Context(), 5)
	if err != nil {
		t.Fatal(err)
	}
	for _, conn := range conns {
		defer conn.close()
		nc, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if host, _, _ := net.SplitHostPort(nc.RemoteAddr().String()); host != "127.0.0.4" {
			t.Errorf("connection from %s, want 127.0.0.4", host)
		}
		nc.Close()
	}
}

func TestIsLoopback4(t *testing.T) {
	for address, want := range map[string]bool{
		"127.0.0.1:1": true, "127.9.9.9:1": true, "localhost:1": true,
		"[::1]:1": false, "192.0.2.1:1": false, "example.org:1": false, "127.0.0.1": false,
	} {
		if got := isLoopback4(address); got != want {
			t.Errorf("%s: got %t", address, got)
		}
	}
}

func TestAllowFiles(t *testing.T) {
	if err := allowFiles(1); err != nil {
		t.Error(err)
	}
	// More than the kernel has for any process.
	if err := allowFiles(1 << 40); err == nil || !strings.Contains(err.Error(), "ulimit -n 1099511627") {
		t.Errorf("got error %v, want one that says what to do", err)
	}
}
