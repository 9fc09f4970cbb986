package node

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/futago/futago/internal/access/accesstest"
	"github.com/futago/futago/internal/users"
)

// usersFile writes users whose password is "secret"; each line is a name and its options.
func usersFile(t *testing.T, lines ...string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, line := range lines {
		name, options, _ := strings.Cut(line, " ")
		fmt.Fprintf(&text, "%s:%s %s\n", name, hash, options)
	}
	path := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// as is a request of a user, of nobody without a name, or of who has the token.
func as(name, token string) func(*http.Request) {
	return func(r *http.Request) {
		asOperator(r)
		if name != "" {
			r.SetBasicAuth(name, "secret")
		}
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
	}
}

// A start says once at which addresses passwords can be read on the way.
func TestWarnsOfLoginsInClear(t *testing.T) {
	ca, dir := accesstest.New(t), t.TempDir()
	files := ca.Issue(t, dir, 1)
	for _, x := range []struct {
		name, admin, want string
		listen            []string
		users             bool
	}{
		{"in the clear", "10.0.0.1:3", `addresses="10.0.0.1:1 10.0.0.1:2,tls=optional 10.0.0.1:3"`, []string{"10.0.0.1:1", "127.0.0.1:1", "10.0.0.1:2,tls=optional"}, true},
		{"the admin port alone", "10.0.0.1:3", "addresses=10.0.0.1:3", []string{"10.0.0.1:1,tls"}, true},
		{"TLS", "10.0.0.1:3,tls", "", []string{"10.0.0.1:1,tls", "10.0.0.1:4,tls=mutual", "unix:/none"}, true},
		{"no admin port", "none", "", []string{"10.0.0.1:1,tls"}, true},
		{"nobody logs in", "10.0.0.1:3", "", []string{"10.0.0.1:1", "10.0.0.1:2,tls"}, false},
	} {
		t.Run(x.name, func(t *testing.T) {
			var out bytes.Buffer
			c := testConfig(t, 1)
			c.Listen, c.AdminListen, c.Logger = x.listen, x.admin, slog.New(slog.NewTextHandler(&out, nil))
			c.TLSCert, c.TLSKey, c.TLSClientCA = files.Cert, files.Key, ""
			if strings.Contains(strings.Join(x.listen, " "), "mutual") {
				c.TLSClientCA = files.ClientCA
			}
			if x.users {
				c.Users = usersFile(t, "root rights=admin")
			}
			n, err := New(c)
			if err != nil {
				t.Fatal(err)
			}
			if err := n.openAccess(); err != nil {
				t.Fatal(err)
			}
			defer n.audit.Close()
			const line = "passwords cross the network in the clear"
			want := 1
			if x.want == "" {
				want = 0
			}
			if got := out.String(); strings.Count(got, line) != want || !strings.Contains(got, x.want) {
				t.Errorf("got %q, want %d warning of %s", got, want, x.want)
			}
		})
	}
}

func TestAdminLogin(t *testing.T) {
	token, hash := users.NewToken()
	c := testConfig(t, 1)
	c.Users = usersFile(t, "root rights=admin", "monitor rights=read", "part rights=read prefix=a:", "app rights=write", "api rights=read token="+hash)
	c.AuditLog, c.Profile.On = filepath.Join(t.TempDir(), "audit"), true
	r := start(t, c)
	r.waitReady(t)
	for _, x := range []struct {
		method, path string
		// The status for nobody, root, monitor, part, app, and api by its token.
		want [6]int
	}{
		{"GET", "/healthz", [6]int{200, 200, 200, 200, 200, 200}},
		{"GET", "/readyz", [6]int{200, 200, 200, 200, 200, 200}},
		{"GET", "/", [6]int{401, 200, 200, 200, 403, 200}},
		{"GET", "/status", [6]int{401, 200, 200, 200, 403, 200}},
		{"GET", "/metrics", [6]int{401, 200, 200, 200, 403, 200}},
		{"GET", "/settings", [6]int{401, 200, 200, 200, 403, 200}},
		{"GET", "/conflicts", [6]int{401, 200, 200, 403, 403, 200}},
		{"GET", "/key?key=b:k", [6]int{401, 403, 200, 403, 403, 200}},
		{"GET", "/changes?wait=0s", [6]int{401, 403, 200, 200, 403, 200}},
		{"GET", "/debug/pprof/cmdline", [6]int{401, 200, 403, 403, 403, 403}},
		{"POST", "/records", [6]int{401, 400, 400, 403, 403, 400}},
		{"POST", "/sync", [6]int{401, 200, 403, 403, 403, 403}},
		{"POST", "/healthz", [6]int{401, 405, 403, 403, 403, 403}},
		{"GET", "/nothing", [6]int{401, 404, 404, 404, 403, 404}},
	} {
		for i, change := range []func(*http.Request){as("", ""), as("root", ""), as("monitor", ""), as("part", ""), as("app", ""), as("", token)} {
			resp, body := send(t, r, x.method, x.path, change)
			if resp.StatusCode != x.want[i] {
				t.Errorf("%s %s by user %d: got %d %.100q, want %d", x.method, x.path, i, resp.StatusCode, body, x.want[i])
			}
			if asks := strings.HasPrefix(resp.Header.Get("Www-Authenticate"), "Basic "); asks != (resp.StatusCode == 401) {
				t.Errorf("%s %s by user %d: challenge with status %d: %v", x.method, x.path, i, resp.StatusCode, asks)
			}
		}
	}
	wrong := func(r *http.Request) { asOperator(r); r.SetBasicAuth("root", "wrong") }
	if resp, _ := send(t, r, "POST", "/sync", wrong); resp.StatusCode != 401 {
		t.Errorf("wrong password: got %d, want 401", resp.StatusCode)
	}
	checkAudit(t, r, c.AuditLog)
}

// checkAudit looks at what TestAdminLogin left.
func checkAudit(t *testing.T, r *running, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for line := range strings.Lines(string(text)) {
		var d struct {
			Audit                                                  bool
			Msg, User, Remote, Action, Path, Outcome, Result, Time string
		}
		if err := json.Unmarshal([]byte(line), &d); err != nil || !d.Audit || d.Remote == "" || d.Outcome == "" || d.Time == "" {
			t.Fatalf("audit log: got %q and %v", line, err)
		}
		count[strings.TrimRight(fmt.Sprint(d.Msg, " ", d.User, " ", d.Action, d.Path), " ")]++
	}
	for want, n := range map[string]int{
		"login root": 1, "login monitor": 1, "login api": 1, "login failed root": 1,
		"an operator's action root sync": 1, "request refused monitor /sync": 1, "request refused api /sync": 1, "request refused app /status": 1,
	} {
		if count[want] != n {
			t.Errorf("audit log has %d lines %q, want %d; it has %v", count[want], want, n, count)
		}
	}
	all := ""
	for _, e := range r.events.recent() {
		all += e.Text + "\n"
	}
	if !strings.Contains(all, "an operator's action node=1 audit=true action=sync query= user=root remote=127.0.0.1:") {
		t.Errorf("the action is not in the events:\n%s", all)
	}
	if strings.Contains(string(text)+all, "secret") {
		t.Error("a password is in the log")
	}
	// A file that was moved away is made again.
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	r.Reload()
	if resp, body := send(t, r, "POST", "/sync", as("root", "")); resp.StatusCode != 200 {
		t.Fatalf("sync: got %d %q", resp.StatusCode, body)
	}
	if text, err := os.ReadFile(path); err != nil || strings.Count(string(text), "\n") != 1 || !strings.Contains(string(text), `"action":"sync"`) {
		t.Errorf("audit log after it was moved away: got %q and %v, want the action", text, err)
	}
}

func TestMetricsOpen(t *testing.T) {
	c := testConfig(t, 1)
	c.Users, c.MetricsOpen = usersFile(t, "root rights=admin"), true
	r := start(t, c)
	r.waitReady(t)
	if resp, body := send(t, r, "GET", "/metrics", nil); resp.StatusCode != 200 || !strings.Contains(body, "\nfutago_users_failed_logins_total 0\n") {
		t.Errorf("metrics: got %d %.200q", resp.StatusCode, body)
	}
	if resp, _ := send(t, r, "POST", "/metrics", asOperator); resp.StatusCode != 401 {
		t.Errorf("POST: got %d, want 401", resp.StatusCode)
	}
}

// Guessing ends at the admin port as it does for clients.
func TestAdminGuessing(t *testing.T) {
	c := testConfig(t, 1)
	c.Users = usersFile(t, "root rights=admin")
	r := start(t, c)
	r.waitReady(t)
	for i := range 10 {
		resp, _ := send(t, r, "GET", "/status", func(q *http.Request) { q.SetBasicAuth("root", fmt.Sprint("wrong", i)) })
		if resp.StatusCode != 401 {
			t.Fatalf("guess %d: got %d, want 401", i, resp.StatusCode)
		}
	}
	if resp, body := send(t, r, "GET", "/status", as("root", "")); resp.StatusCode != 429 || resp.Header.Get("Retry-After") != "60" {
		t.Errorf("after that: got %d %q, want 429", resp.StatusCode, body)
	}
}

// The admin address has TLS, new connections get a new certificate after a reload, and nodes ask each other by TLS.
func TestAdminTLS(t *testing.T) {
	ca, dir := accesstest.New(t), t.TempDir()
	files := ca.Issue(t, dir, 2)
	ca1, cb := pairConfigs(t)
	for _, c := range []*Config{&ca1, &cb} {
		c.AdminListen += ",tls=mutual"
		c.TLSCert, c.TLSKey, c.TLSClientCA, c.AdminTLSCA = files.Cert, files.Key, files.ClientCA, ca.File
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
	}
	a, b := start(t, ca1), start(t, cb)
	a.waitReady(t)
	b.waitReady(t)
	pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		t.Fatal(err)
	}
	get := func(config *tls.Config, path string) (serial int64, document map[string]json.RawMessage, err error) {
		client := http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
		resp, err := client.Get("https://" + a.admin.addr() + path)
		if err != nil {
			return 0, nil, err
		}
		defer resp.Body.Close()
		err = json.NewDecoder(resp.Body).Decode(&document)
		return resp.TLS.PeerCertificates[0].SerialNumber.Int64(), document, err
	}
	known := &tls.Config{RootCAs: ca.Pool, Certificates: []tls.Certificate{pair}}
	if serial, _, err := get(known, "/status"); err != nil || serial != 2 {
		t.Errorf("got certificate %d and %v, want 2", serial, err)
	}
	if _, _, err := get(&tls.Config{RootCAs: ca.Pool}, "/status"); err == nil {
		t.Error("without a certificate: got an answer")
	}
	eventually(t, "the other node is asked by TLS", func() bool {
		_, document, err := get(known, "/peers")
		return err == nil && strings.Contains(string(document["peers"]), `"state":"ready"`)
	})
	ca.Issue(t, dir, 3)
	a.Reload()
	if serial, _, err := get(known, "/status"); err != nil || serial != 3 {
		t.Errorf("after the reload: got certificate %d and %v, want 3", serial, err)
	}
}

func TestOpenAddresses(t *testing.T) {
	for _, x := range []struct {
		name   string
		change func(*Config)
		want   string // what the error begins with; "" for none
	}{
		{"the default", func(*Config) {}, ""},
		{"all interfaces", func(c *Config) { c.Listen = []string{"127.0.0.1:1", ":11211"} }, `listen ":11211": strangers`},
		{"said in words", func(c *Config) { c.Listen, c.AllowOpen = []string{":11211"}, []string{"clients"} }, ""},
		{"another word", func(c *Config) { c.Listen, c.AllowOpen = []string{":11211"}, []string{"admin"} }, `listen ":11211": strangers`},
		{"an unknown word", func(c *Config) { c.AllowOpen = []string{"yes"} }, `allow-open "yes": allowed is clients, admin, peers, all`},
		{"users", func(c *Config) { c.Listen, c.AdminListen, c.Users = []string{":11211"}, ":11280", "users" }, ""},
		{"a private network", func(c *Config) {
			c.Listen, c.AdminListen, c.PeerListen = []string{"10.0.0.1:1"}, "[fd00::1]:2", "192.168.0.1:3"
		}, ""},
		{"a public address", func(c *Config) { c.AdminListen = "203.0.113.1:11280" }, `admin-listen "203.0.113.1:11280": strangers`},
		{"certificates of clients", func(c *Config) {
			c.Listen, c.TLSCert, c.TLSKey, c.TLSClientCA = []string{":1,tls=mutual"}, "c", "k", "a"
		}, ""},
		{"TLS alone", func(c *Config) { c.Listen, c.TLSCert, c.TLSKey = []string{":1,tls"}, "c", "k" }, `listen ":1,tls": strangers`},
		{"peers", func(c *Config) { c.PeerListen = ":11212" }, `peer-listen ":11212": strangers`},
		{"peers with a secret", func(c *Config) { c.PeerListen, c.PeerSecretFile = ":11212", "secret" }, ""},
		{"peers with certificates", func(c *Config) { c.PeerListen, c.PeerTLSCert, c.PeerTLSKey, c.PeerTLSCA = ":11212", "c", "k", "a" }, ""},
		{"peers, users do not help", func(c *Config) { c.PeerListen, c.Users = ":11212", "users" }, `peer-listen ":11212": strangers`},
	} {
		c := DefaultConfig()
		x.change(&c)
		err := c.Validate()
		if x.want == "" && err != nil || x.want != "" && (err == nil || !strings.HasPrefix(err.Error(), x.want) || strings.Contains(err.Error(), "\n")) {
			t.Errorf("%s: got %v, want %q", x.name, err, x.want)
		}
	}
}
