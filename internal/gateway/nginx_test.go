//go:build e2e

package gateway

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// startNginx runs the real nginx with deploy/nginx.conf, its addresses, paths and limits replaced, and without TLS.
func startNginx(t *testing.T, a, b, adminA, adminB *backend) *fixture {
	t.Helper()
	text, err := os.ReadFile("../../deploy/nginx.conf")
	if err != nil {
		t.Fatal(err)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := free.Addr().String()
	free.Close()
	conf := string(text)
	replace := func(old, new string) {
		if !strings.Contains(conf, old) {
			t.Fatalf("deploy/nginx.conf has no %q", old)
		}
		conf = strings.ReplaceAll(conf, old, new)
	}
	dir := t.TempDir()
	replace("10.0.0.1:11211", a.addr)
	replace("10.0.0.2:11211", b.addr)
	replace("10.0.0.1:11280", adminA.addr)
	replace("10.0.0.2:11280", adminB.addr)
	replace("listen 80 reuseport;", "listen "+addr+";")
	replace("listen 443 ssl http2;", "")
	replace("rate=200r/s", "rate=100000r/s")
	replace("/var/log/nginx/", dir+"/")
	replace("pid /run/nginx.pid;", "pid "+dir+"/pid; daemon off;")
	conf = regexp.MustCompile(`(?m)^\s*ssl_.*$`).ReplaceAllString(conf, "")
	path := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(path, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	binary, err := exec.LookPath("nginx")
	if err != nil {
		binary = "/usr/sbin/nginx" // where Debian puts it, outside the PATH of users
	}
	var output bytes.Buffer
	cmd := exec.Command(binary, "-p", dir, "-c", path)
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	f := &fixture{t: t, client: &http.Client{Timeout: patience}, address: addr}
	t.Cleanup(func() {
		f.client.CloseIdleConnections()
		cmd.Process.Signal(syscall.SIGTERM)
		<-ended
	})
	eventually(t, "nginx accepts", func() bool {
		select {
		case <-ended:
			t.Fatalf("nginx ended: %s", &output)
		default:
		}
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return f
}

func TestNginxConfiguration(t *testing.T) {
	a, b := newBackend(t, answers(200, "", "from a")), newBackend(t, answers(200, "", "from b"))
	adminA, adminB := newBackend(t, answers(200, "", "ready")), newBackend(t, answers(503, "", "not ready"))
	f := startNginx(t, a, b, adminA, adminB)

	for _, test := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/count_1", 200}, {"HEAD", "/count_1", 200}, {"GET", "/%63ount_1", 200},
		{"PUT", "/count_1", 403}, {"DELETE", "/count_1", 403}, {"PATCH", "/count_1", 403}, {"OPTIONS", "/count_1", 403},
		{"GET", "/account", 404}, {"GET", "/COUNT_1", 404}, {"GET", "/count_a%2Fb", 404},
		{"GET", "/healthz", 200}, {"GET", "/readyz", 200},
	} {
		if got := f.do(test.method, test.path); got.status != test.status {
			t.Errorf("%s %s: got %+v, want %d", test.method, test.path, got, test.status)
		}
	}

	// No byte of a body goes on.
	const write = "PUT /count_smug HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nevil"
	for _, method := range []string{"GET", "HEAD", "PATCH"} {
		f.rawExchange(fmt.Sprintf("%s /count_1 HTTP/1.1\r\nHost: h\r\nConnection: close\r\nX-TT-PDMODE: 1\r\nContent-Length: %d\r\n\r\n%s",
			method, len(write), write))
	}
	for _, request := range append(a.requests(), b.requests()...) {
		if strings.Contains(request, "smug") || strings.Contains(request, "X-TT") ||
			!strings.HasPrefix(request, "GET ") && !strings.HasPrefix(request, "HEAD ") {
			t.Errorf("upstream saw %q", request)
		}
	}

	adminA.set(answers(503, "", "not ready"))
	if got := f.do("GET", "/readyz"); got.status == 200 {
		t.Errorf("/readyz with no node ready: got %+v", got)
	}
}

// Each of the two carries the service alone, however the other one fails. Garbage in place of a status line is not
// among the ways: nginx 1.22 takes it for HTTP/0.9 and passes it on.
func TestNginxFailover(t *testing.T) {
	for name, spoil := range map[string]func(*backend){
		"refused": (*backend).stop,
		"closed":  func(b *backend) { b.set(closes) },
		"hangs":   func(b *backend) { b.set(b.hangs) },
		"503":     func(b *backend) { b.set(answers(503, "", "")) },
	} {
		t.Run(name, func(t *testing.T) {
			a, b := newBackend(t, answers(200, "", "from a")), newBackend(t, answers(200, "", "from b"))
			f := startNginx(t, a, b, a, b)
			spoil(a)
			for range 2 {
				if got := f.do("GET", "/count_1"); got.status != 200 || got.body != "from b" {
					t.Errorf("got %+v, want 200 from b", got)
				}
			}
		})
	}
}
