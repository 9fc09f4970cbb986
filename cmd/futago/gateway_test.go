package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
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

	started, logs := io.Pipe()
	var out bytes.Buffer
	cmd := newGatewayCommand()
	cmd.SetArgs([]string{"--config", file, "--admin-listen", "127.0.0.1:0", "--access-log", "-", "--allow-path", "/count_"})
	cmd.SetOut(&out)
	cmd.SetErr(logs)
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() {
		err := cmd.ExecuteContext(ctx)
		logs.Close()
		result <- err
	}()

	line := make([]byte, 4096)
	n, err := started.Read(line)
	if err != nil {
		t.Fatalf("%v: %v", err, <-result)
	}
	go io.Copy(io.Discard, started)
	match := regexp.MustCompile(`listen=(\S+) admin=(\S+) upstreams=2`).FindSubmatch(line[:n])
	if match == nil {
		t.Fatalf("first log line: got %q, want the addresses", line[:n])
	}
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for _, test := range []struct{ url, body string }{
		{"http://" + string(match[1]) + "/count_1", "live"},
		{"http://" + string(match[1]) + "/other", "404 not found\n"},
		{"http://" + string(match[2]) + "/readyz", "ready: 1 of 2 upstreams usable\n"},
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
	cancel()
	if err := <-result; err != nil {
		t.Errorf("command: %v", err)
	}
	if got := out.String(); strings.Count(got, "\n") != 2 || !strings.Contains(got, `"GET /count_1 HTTP/1.1" 200 4 `) {
		t.Errorf("access log: got %q, want two lines", got)
	}
}

func TestGatewayCommandRefuses(t *testing.T) {
	tests := []struct {
		args []string
		want []string
	}{
		{nil, []string{"0 upstreams: want 1 to 64"}},
		{[]string{"--upstream", "h:1,wieght=5"}, []string{`unknown option "wieght" (nearest known option: weight)`}},
		{[]string{"--upstream", "h:1", "--allow-path", "x", "--listen", "y"}, []string{`allow path "x"`, `listen: address "y"`}},
	}
	for _, test := range tests {
		cmd := newGatewayCommand()
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		cmd.SetArgs(append([]string{}, test.args...))
		err := cmd.ExecuteContext(t.Context())
		if _, ok := err.(usageError); !ok {
			t.Errorf("futago gateway %q: got %v, want an error of usage", test.args, err)
			continue
		}
		if n := len(strings.Split(err.Error(), "\n")); n != len(test.want) {
			t.Errorf("futago gateway %q: got %d problems, want %d: %v", test.args, n, len(test.want), err)
		}
		for _, part := range test.want {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("futago gateway %q: no %q in %v", test.args, part, err)
			}
		}
	}
}
