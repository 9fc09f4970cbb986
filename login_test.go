package futago

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestLogin(t *testing.T) {
	f := newFake()
	f.login = "foo secret word"
	addr, _ := f.tcp(t)
	servers := []Server{{Addr: addr, Timeout: time.Minute, RetryInterval: time.Hour}}
	testOperations(t, open(t, Config{Servers: servers, User: "foo", Password: "secret word"}))
	if f.has("auth") {
		t.Error("the password was stored as a record")
	}
	wrong := open(t, Config{Servers: servers, User: "foo", Password: "bad"})
	_, err := wrong.Get(t.Context(), "k")
	want(t, "get with a wrong password", err, ErrAuth)
	want(t, "get with a wrong password", err, ErrNoServers)
	_, err = open(t, Config{Servers: servers}).Get(t.Context(), "k")
	if err == nil || !strings.Contains(err.Error(), "CLIENT_ERROR unauthenticated") {
		t.Errorf("get without a user: got %v, want what the server answered", err)
	}
}

// A server without users never gets to see the password.
func TestLoginWhereNobodyAsks(t *testing.T) {
	f := newFake()
	addr, _ := f.tcp(t)
	c := open(t, Config{Servers: []Server{{Addr: addr, Timeout: time.Minute}}, User: "foo", Password: "secret"})
	want(t, "set", c.Set(t.Context(), &Item{Key: "k", Value: []byte("v")}), nil)
	if got := f.executed(); len(got) != 1 || got[0] != "set k" {
		t.Errorf("the server executed %q, want the set alone", got)
	}
}

// A server that no longer knows a connection has executed nothing: the client authenticates anew.
func TestLoginAgain(t *testing.T) {
	f := newFake()
	f.login = "foo secret"
	addr, _ := f.tcp(t)
	failures := make(chan error, 10)
	c := open(t, Config{Servers: []Server{{Addr: addr, Timeout: time.Minute}}, User: "foo", Password: "secret", OnFailure: func(_ string, err error) { failures <- err }})
	want(t, "set", c.Set(t.Context(), &Item{Key: "n", Value: []byte("1")}), nil)
	f.mu.Lock()
	f.login = "bar secret"
	f.mu.Unlock()
	c.cfg.User = "bar" // as if the client had been told too
	if n, err := c.Increment(t.Context(), "n", 1); n != 2 || err != nil {
		t.Errorf("increment on a connection that is not known any more: got %d and %v", n, err)
	}
	if len(failures) > 0 {
		t.Errorf("the server counted as failed: %v", <-failures)
	}
}

func TestTLS(t *testing.T) {
	// The certificate of httptest is for 127.0.0.1 and example.com.
	web := httptest.NewUnstartedServer(nil)
	web.StartTLS()
	defer web.Close()
	pool := x509.NewCertPool()
	pool.AddCert(web.Certificate())
	listen := func(f *fake) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(f.accept(tls.NewListener(l, &tls.Config{Certificates: web.TLS.Certificates})))
		return l.Addr().String()
	}
	f := newFake()
	f.login = "foo secret"
	addr := listen(f)
	servers := []Server{{Addr: addr, Timeout: time.Minute}}
	c := open(t, Config{Servers: servers, User: "foo", Password: "secret", TLS: &tls.Config{RootCAs: pool}})
	testOperations(t, c)
	f.mu.Lock()
	opened := len(f.conns)
	f.mu.Unlock()
	if opened > 1 {
		t.Errorf("%d connections are open after one request at a time, want that one is used again", opened)
	}
	for name, cfg := range map[string]*tls.Config{
		"an unknown authority": {}, "another name": {RootCAs: pool, ServerName: "other.example"},
	} {
		_, err := open(t, Config{Servers: servers, TLS: cfg}).Get(t.Context(), "k")
		want(t, name, err, ErrNoServers)
		if err == nil || !strings.Contains(err.Error(), "begin TLS") {
			t.Errorf("%s: got %v, want that TLS did not begin", name, err)
		}
	}
	named := open(t, Config{Servers: servers, User: "foo", Password: "secret", TLS: &tls.Config{RootCAs: pool, ServerName: "example.com"}})
	_, err := named.Get(t.Context(), "missing")
	want(t, "get by another name of the certificate", err, ErrCacheMiss)
}

func TestLoginConfig(t *testing.T) {
	for text, cfg := range map[string]Config{
		"holds a space":       {User: "a b", Password: "x"},
		"a password is given": {Password: "x"},
	} {
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("got %v, want %q", err, text)
		}
	}
}
