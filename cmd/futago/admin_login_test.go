package main

import (
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/futago/futago/internal/access"
	"github.com/futago/futago/internal/access/accesstest"
	"github.com/futago/futago/internal/node"
)

// The tools show the admin port who asks, over TLS too, and say what to do where it wants to know.
func TestAdminCredentials(t *testing.T) {
	var seen []string
	asks := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.Header.Get("Authorization"))
		if seen[len(seen)-1] == "" {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		json.NewEncoder(w).Encode(node.Status{Node: 1, State: node.Ready})
	})
	plain := httptest.NewServer(asks)
	defer plain.Close()
	ca := accesstest.New(t)
	certificates, err := access.OpenTLS(ca.Issue(t, t.TempDir(), 2), nil)
	if err != nil {
		t.Fatal(err)
	}
	secure := httptest.NewUnstartedServer(asks)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.Listener = certificates.Listener(secure.Listener, false)
	secure.Start()
	defer secure.Close()
	file := func(name, text string) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	token := file("token", "futago_x")
	admin, address := "--admin="+plain.Listener.Addr().String(), "--admin="+secure.Listener.Addr().String()
	for _, x := range []struct {
		args []string
		code int
		want string // the header; or with another code than 0 what the error says
	}{
		{[]string{admin}, 1, "--token-file"},
		{[]string{admin, "--user=root", "--password-file=" + file("password", "toor")}, 0, "Basic cm9vdDp0b29y"},
		{[]string{admin, "--token-file=" + token}, 0, "Bearer futago_x"},
		{[]string{address, "--token-file=" + token, "--admin-tls-ca=" + ca.File}, 0, "Bearer futago_x"},
		{[]string{address, "--token-file=" + token, "--admin-tls"}, 1, "certificate"},
		{[]string{admin, "--token-file=" + token, "--user=root"}, 2, "user and token-file: allowed is one of them"},
	} {
		seen = nil
		code, _, errOut := runFutago(nil, append([]string{"status"}, x.args...)...)
		if code != x.code || code == 0 && (len(seen) != 1 || seen[0] != x.want) || code != 0 && !strings.Contains(errOut, x.want) {
			t.Errorf("%q: exit code %d, header %q, %q; want %d and %q", x.args, code, seen, errOut, x.code, x.want)
		}
	}
}
