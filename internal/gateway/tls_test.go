package gateway

import (
	"crypto/tls"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/futago/futago/internal/access"
	"github.com/futago/futago/internal/access/accesstest"
)

// secureBackend is a backend behind TLS that wants certificates; it returns the address of TLS.
func secureBackend(t *testing.T, ca *accesstest.Authority, files access.TLSFiles, b *backend) *backend {
	t.Helper()
	certificates, err := access.OpenTLS(files, nil)
	if err != nil {
		t.Fatal(err)
	}
	b.stop()
	l, err := tls.Listen("tcp", "127.0.0.1:0", certificates.Current(true))
	if err != nil {
		t.Fatal(err)
	}
	b.addr = l.Addr().String()
	b.serve(l)
	return b
}

func clientTLS(t *testing.T, files access.ClientFiles) *access.ClientTLS {
	t.Helper()
	c, err := access.OpenClientTLS(files)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TLS from the client to the gateway and from there to the servers and their checks, each with certificates of both sides; what
// is read again holds for the next connection.
func TestTLS(t *testing.T) {
	ca, dir := accesstest.New(t), t.TempDir()
	files := ca.Issue(t, dir, 2)
	a := secureBackend(t, ca, files, newBackend(t, echo))
	admin := secureBackend(t, ca, files, newBackend(t, answers(200, "", "ready: yes")))
	trust := clientTLS(t, access.ClientFiles{CA: ca.File, Cert: files.Cert, Key: files.Key})
	f := start(t, func(c *Config) {
		quickChecks(c)
		c.Listen += ",tls=mutual"
		c.Access.TLS, c.TLS, c.CheckTLS = files, trust, trust
		c.Upstreams[0].Check = "https://" + admin.addr
	}, a)
	f.waitReady()
	pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(transport *http.Transport) (got, int64) {
		t.Helper()
		defer transport.CloseIdleConnections()
		resp, err := (&http.Client{Transport: transport}).Get("https://" + f.Addr() + "/k?x=1")
		if err != nil {
			return got{err: err}, 0
		}
		defer resp.Body.Close()
		body := make([]byte, 100)
		n, _ := resp.Body.Read(body)
		return got{status: resp.StatusCode, body: string(body[:n])}, resp.TLS.PeerCertificates[0].SerialNumber.Int64()
	}
	known := &tls.Config{RootCAs: ca.Pool, Certificates: []tls.Certificate{pair}}
	for range 3 {
		if g, serial := ask(&http.Transport{TLSClientConfig: known}); g.status != 200 || g.body != "/k?x=1" || serial != 2 {
			t.Fatalf("got %+v with certificate %d, want the echo with 2", g, serial)
		}
	}
	if g, _ := ask(&http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.Pool}}); g.err == nil {
		t.Errorf("a client without a certificate: got %+v", g)
	}
	if n := f.plainConnections(); n != 0 {
		t.Errorf("%d connections are read without TLS", n)
	}
	ca.Issue(t, dir, 3)
	f.Reload()
	if g, serial := ask(&http.Transport{TLSClientConfig: known}); g.status != 200 || serial != 3 {
		t.Errorf("after the reload: got %+v with certificate %d, want 3", g, serial)
	}
	f.stop()
}

// A server whose certificate is of another authority is not spoken to.
func TestTLSUpstreamIsChecked(t *testing.T) {
	ca := accesstest.New(t)
	files := ca.Issue(t, t.TempDir(), 2)
	a := secureBackend(t, ca, files, newBackend(t, echo))
	trust := clientTLS(t, access.ClientFiles{CA: accesstest.New(t).File, Cert: files.Cert, Key: files.Key})
	f := start(t, func(c *Config) { c.TLS = trust }, a)
	if g := f.do("GET", "/k"); g.status != 502 {
		t.Errorf("got %+v, want 502", g)
	}
	if seen := a.requests(); len(seen) != 0 {
		t.Errorf("the server saw %q", seen)
	}
}

func TestAdminUsers(t *testing.T) {
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(path, []byte("monitor:"+string(hash)+" rights=read"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := start(t, func(c *Config) { c.Access.AdminUsers = path }, newBackend(t, echo))
	if g := f.do("GET", "/k"); g.status != 200 {
		t.Errorf("a client: got %+v, want 200", g)
	}
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/status": 401, "/metrics": 401} {
		if g := f.admin(path); g.status != want {
			t.Errorf("%s by nobody: got %+v, want %d", path, g, want)
		}
		req, err := http.NewRequest("GET", "http://"+f.AdminAddr()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth("monitor", "secret")
		g := f.send(req)
		if g.status != 200 {
			t.Errorf("%s by a user: got %+v, want 200", path, g)
		}
		if path == "/metrics" && !strings.Contains(g.body, "futago_users_failed_logins_total") {
			t.Error("the metrics of the users are missing")
		}
	}
}
