//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// front is an HTTP server in front of a pair.
type front struct {
	addr string
	proc *process
}

// startFront runs the program and waits until it takes connections.
func startFront(t *testing.T, name, addr, program string, args ...string) *front {
	t.Helper()
	f := &front{addr: addr, proc: startProcess(t, name, newOutput(t, name), program, args...)}
	eventually(t, name+" takes connections", 10*time.Second, func() bool {
		select {
		case <-f.proc.exited:
			t.Fatalf("%s ended with code %d", name, f.proc.cmd.ProcessState.ExitCode())
		default:
		}
		return accepts(addr)
	})
	return f
}

func startGateway(t *testing.T, p [2]*node) *front {
	t.Helper()
	host := newHost()
	addr := freeAddr(t, host)
	return startFront(t, "gateway", addr, futagoProgram, "gateway", "--listen="+addr, "--admin-listen="+freeAddr(t, host),
		"--upstream="+p[0].client+",check="+p[0].admin+",weight=5", "--upstream="+p[1].client+",check="+p[1].admin)
}

// articleConfig is nginx as the article on the original pair sets it up: what is not a GET becomes one, the methods
// that write are named one by one, and bodies go on to the upstream.
const articleConfig = `
worker_processes 2;
events { worker_connections 1024; }
http {
  access_log off;
  upstream backend {
    server NODE_A weight=5 max_fails=3 fail_timeout=30s;
    server NODE_B weight=1 max_fails=3 fail_timeout=30s;
  }
  server {
    listen LISTEN;
    location ~* /count(.*) {
      if ($request_method = PUT)    { return 403; }
      if ($request_method = DELETE) { return 403; }
      if ($request_method = POST)   { return 403; }
      proxy_method GET;
      proxy_pass http://backend;
    }
  }
}
`

// startArticleNginx runs nginx with the article's configuration.
func startArticleNginx(t *testing.T, p [2]*node) *front {
	t.Helper()
	addr := freeAddr(t, newHost())
	return startNginx(t, addr, strings.NewReplacer("LISTEN", addr, "NODE_A", p[0].client, "NODE_B", p[1].client).Replace(articleConfig))
}

// startShippedNginx runs nginx with deploy/nginx.conf, its addresses, paths and limits replaced, and without TLS.
func startShippedNginx(t *testing.T, p [2]*node) *front {
	t.Helper()
	text, err := os.ReadFile("../deploy/nginx.conf")
	if err != nil {
		t.Fatal(err)
	}
	addr, conf, logs := freeAddr(t, newHost()), string(text), t.TempDir()
	for _, r := range [][2]string{
		{"10.0.0.1:11211", p[0].client}, {"10.0.0.2:11211", p[1].client}, {"10.0.0.1:11280", p[0].admin}, {"10.0.0.2:11280", p[1].admin},
		{"listen 80 reuseport;", "listen " + addr + ";"}, {"listen 443 ssl http2;", ""}, {"rate=200r/s", "rate=100000r/s"},
		{"/var/log/nginx/", logs + "/"}, {"pid /run/nginx.pid;", ""},
	} {
		if !strings.Contains(conf, r[0]) {
			t.Fatalf("deploy/nginx.conf has no %q", r[0])
		}
		conf = strings.ReplaceAll(conf, r[0], r[1])
	}
	return startNginx(t, addr, regexp.MustCompile(`(?m)^\s*ssl_.*$`).ReplaceAllString(conf, ""))
}

// startNginx runs the real nginx. Its files are in a folder of the test; as root it stays root, so that its workers
// may use them.
func startNginx(t *testing.T, addr, conf string) *front {
	t.Helper()
	dir := t.TempDir()
	head := fmt.Sprintf("daemon off;\npid %s/pid;\n", dir)
	if os.Getuid() == 0 {
		head += "user root;\n"
	}
	temp := fmt.Sprintf("client_body_temp_path %s/body; proxy_temp_path %s/proxy; fastcgi_temp_path %s/f; uwsgi_temp_path %s/u; scgi_temp_path %s/s;", dir, dir, dir, dir, dir)
	if !strings.Contains(conf, "http {") {
		t.Fatal("the configuration has no http block")
	}
	conf = head + strings.Replace(conf, "http {", "http {\n"+temp, 1)
	path := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(path, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	return startFront(t, "nginx", addr, findProgram(t, "nginx"), "-e", filepath.Join(dir, "error.log"), "-p", dir, "-c", path)
}

// newFrontClient returns a client that sends requests as many short-lived users do.
func newFrontClient(t *testing.T) *http.Client {
	c := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 4}}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// get returns the body of a page, or an error for every other status than 200.
func (f *front) get(ctx context.Context, c *http.Client, path string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, "GET", "http://"+f.addr+path, nil)
	if err != nil {
		return "", err
	}
	resp, err := c.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d: %.100q", resp.StatusCode, body)
	}
	return string(body), err
}

// fronts are all ways in which users reach a pair over HTTP.
var fronts = map[string]func(*testing.T, [2]*node) *front{
	"gateway":       startGateway,
	"nginx article": startArticleNginx,
	"nginx shipped": startShippedNginx,
	"haproxy shipped": func(t *testing.T, p [2]*node) *front {
		f, _ := startShippedHAProxy(t, p)
		return f
	},
}

// requests reads counters through the front and demands that each request succeeds; it returns the longest time.
func (f *front) requests(t *testing.T, n int) time.Duration {
	t.Helper()
	c := newFrontClient(t)
	failed, example, longest := 0, "", time.Duration(0)
	for i := range n {
		begin := time.Now()
		got, err := f.get(t.Context(), c, fmt.Sprintf("/count_key-%d", i%100))
		longest = max(longest, time.Since(begin))
		if err != nil || got != "1" {
			failed++
			example = fmt.Sprintf("request %d: %q, error %v", i, got, err)
		}
	}
	if failed > 0 {
		t.Errorf("%d of %d requests failed, such as %s", failed, n, example)
	}
	return longest
}

// A node is killed, then comes back, while users read through the front. None of 2,000 requests fails.
func TestFrontOverKilledNode(t *testing.T) {
	for name, start := range fronts {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // it waits for starts most of the time
			p := startPair(t)
			p[0].setAll(t, names("count_key", 100), "1")
			f := start(t, p)
			f.requests(t, 500)
			p[0].kill9() // most requests go there
			f.requests(t, 1000)
			p[0].start(t)
			waitPair(t, p)
			f.requests(t, 500)
		})
	}
}

// A frozen node costs no request, and none more than the time that the front waits for an answer. The article's nginx
// waits a minute, and is left out.
func TestFrontOverFrozenNode(t *testing.T) {
	for _, name := range []string{"gateway", "nginx shipped", "haproxy shipped"} {
		t.Run(name, func(t *testing.T) {
			strain, p := startStrain(t), startPair(t, defaultAck)
			p[0].setAll(t, names("count_key", 100), "1")
			f := fronts[name](t, p)
			f.requests(t, 100)
			p[0].freeze(t)
			if longest := f.requests(t, 500); longest > 1500*time.Millisecond+strain() {
				t.Errorf("a request took %v, want less than 1.5 s", longest)
			}
			p[0].thaw(t)
			waitPair(t, p)
		})
	}
}

// After both nodes were away the gateway serves within a second of the first that is ready again. The article's nginx
// took 28 seconds.
func TestGatewayAfterBothWereAway(t *testing.T) {
	strain, p := startStrain(t), startPair(t, "--catchup-timeout=1s")
	p[0].setAll(t, names("count_key", 100), "1")
	f := startGateway(t, p)
	f.requests(t, 100)
	p[0].kill9()
	p[1].kill9()
	c := newFrontClient(t)
	served := func() bool {
		_, err := f.get(t.Context(), c, "/count_key-1")
		return err == nil
	}
	for away := time.Now(); time.Since(away) < 2*time.Second; <-time.After(50 * time.Millisecond) {
		if served() {
			t.Fatal("a request was answered though both nodes are dead")
		}
	}
	p[0].start(t)
	eventually(t, "the first node is ready", 10*time.Second, p[0].ready)
	ready := time.Now()
	eventually(t, "the gateway serves", 10*time.Second, served)
	took := time.Since(ready)
	t.Logf("served %v after the first node was ready", took)
	if took > time.Second+strain() {
		t.Errorf("the gateway served %v after the first node was ready, want less than 1 s", took)
	}
	f.requests(t, 100)
	p[1].start(t)
	waitPair(t, p)
	f.requests(t, 100)
}
