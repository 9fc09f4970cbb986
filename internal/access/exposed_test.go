package access

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

func TestExposed(t *testing.T) {
	for address, want := range map[string]bool{
		":80": true, "0.0.0.0:80": true, "[::]:80": true, "[::ffff:0.0.0.0]:80": true, "8.8.8.8:80": true, "[2001:db8::1]:80": true, "cache.example:80": true, "172.32.0.1:1": true,
		":80,tls": true, ":80,protocols=memcache": true,
		"127.0.0.1:80": false, "127.9.9.9:80": false, "[::1]:80": false, "localhost:80": false, "LOCALHOST:80": false, "a.localhost:80": false, "unix:/run/x": false, "unix:/a,tls": false,
		"10.0.0.1:80": false, "172.16.0.1:1": false, "192.168.1.1:1": false, "[fd00::1]:80": false, "169.254.1.1:1": false, "[fe80::1%eth0]:80": false, "100.64.0.1:1": false,
		"[::ffff:10.0.0.1]:80": false, "nonsense": false,
	} {
		if got := Exposed(address); got != want {
			t.Errorf("Exposed(%q): got %v, want %v", address, got, want)
		}
	}
}

func TestWarnInClear(t *testing.T) {
	var out bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&out, nil))
	WarnInClear(logger, "127.0.0.1:1", "[::1]:1", "localhost:1", "unix:/run/x", "nonsense")
	WarnInClear(logger)
	if out.Len() > 0 {
		t.Errorf("addresses of this machine: %s", &out)
	}
	WarnInClear(logger, "127.0.0.1:1", "10.0.0.1:2", ":3,protocols=http", "cache.example:4", "[fe80::1]:5,tls=optional")
	if got := out.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "level=WARN") || !strings.Contains(got, "tls-cert") ||
		!strings.Contains(got, `addresses="10.0.0.1:2 :3,protocols=http cache.example:4 [fe80::1]:5,tls=optional"`) {
		t.Errorf("addresses of the network: %s", got)
	}
}

func TestUnguarded(t *testing.T) {
	err := Unguarded("listen", ":80", "users", OpenClients, []string{OpenAdmin})
	if err == nil {
		t.Fatal("an open address: got no error")
	}
	for _, word := range []string{`listen ":80"`, "set users", `--allow-open clients`} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%v does not say %s", err, word)
		}
	}
	if err := Unguarded("listen", ":80", "users", OpenClients, []string{OpenClients}); err != nil {
		t.Errorf("one that is meant: got %v", err)
	}
	if err := Unguarded("listen", "10.0.0.1:80", "users", OpenClients, nil); err != nil {
		t.Errorf("a private one: got %v", err)
	}
	if err := Unguarded("listen", ":80", "users", OpenClients, []string{OpenAll}); err != nil {
		t.Errorf("all that is meant: got %v", err)
	}
	if errs := OpenProblems([]string{"clients", "client"}); len(errs) != 1 || !strings.Contains(errs[0].Error(), `"client"`) {
		t.Errorf("OpenProblems: got %v, want one of client", errs)
	}
}
