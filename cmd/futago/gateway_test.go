package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestGatewayCommand runs the command, from a configuration file and flags, in front of one dead and one live server.
func TestGatewayCommand(t *testing.T) {
	live := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "live") }))
	defer live.Close()
	dead, err := closedAddr()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "gateway.toml")
	text := `listen = "127.0.0.1:0"
upstream = ["` + dead + `,weight=5", "` + strings.TrimPrefix(live.URL, "http://") + `"]
check-interval = "0s"
retry-budget = "2s"
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}

	var out bytes.Buffer
	cmd := newGatewayCommand()
	cmd.SetArgs([]string{"--config", file, "--admin-listen", "127.0.0.1:0", "--access-log", "-", "--allow-path", "/count_"})
	cmd.SetOut(&out)
	found, stop := startFront(t, cmd, `listen=(\S+) admin=(\S+) upstreams=2`)
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for _, test := range []struct{ url, body string }{
		{"http://" + found[0] + "/count_1", "live"},
		{"http://" + found[0] + "/other", "404 not found\n"},
		{"http://" + found[1] + "/readyz", "ready: 1 of 2 upstreams usable\n"},
	} {
		resp, err := client.Get(test.url)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || string(body) != test.body {
			t.Errorf("GET %s: got %q, %v, want %q", test.url, body, err, test.body)
		}
	}
	stop()
	if got := out.String(); strings.Count(got, "\n") != 2 || !strings.Contains(got, `"GET /count_1 HTTP/1.1" 200 4 `) {
		t.Errorf("access log: got %q, want two lines", got)
	}
}
