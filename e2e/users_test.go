//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// addUser runs `futago users add`.
func addUser(t *testing.T, file, name, password string, args ...string) {
	t.Helper()
	cmd := exec.Command(futagoProgram, append([]string{"users", "add", file, name}, args...)...)
	cmd.Stdin = strings.NewReader(password + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("add user %s: %v: %s", name, err, out)
	}
}

// tool runs a client tool against the node, with more in its environment, and returns what it printed and its exit code.
func (n *node) tool(t *testing.T, environment []string, args ...string) (out string, code int) {
	t.Helper()
	cmd := exec.Command(futagoProgram, args...)
	cmd.Env = append(append(os.Environ(), "FUTAGO_ADDR="+n.client), environment...)
	b, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatalf("run %q: %v", args, err)
	}
	return string(b), cmd.ProcessState.ExitCode()
}

// curl returns the status and the body.
func curl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command(findProgram(t, "curl"), append([]string{"-sS", "--max-time", "20", "-w", "%{http_code}"}, args...)...).CombinedOutput()
	if err != nil {
		return fmt.Sprintf("%v: %s", err, out)
	}
	return string(out)
}

// A node with users, as an operator sets it up: the tools, curl, raw connections, rights, and changes while it runs.
func TestUsers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "users")
	addUser(t, file, "alice", "wonder land")
	addUser(t, file, "shop", "sesame", "--prefix", "shop:")
	addUser(t, file, "root", "toor", "--rights", "read,write,admin")
	n := startSingle(t, "--users="+file)

	if out, code := n.tool(t, nil, "set", "shop:a", "1"); code != 1 || !strings.Contains(out, "--user") {
		t.Errorf("futago set without a user: code %d, %q", code, out)
	}
	alice := []string{"FUTAGO_USER=alice", "FUTAGO_PASSWORD=wonder land"}
	if out, code := n.tool(t, alice, "set", "shop:a", "1"); code != 0 {
		t.Errorf("futago set: code %d, %q", code, out)
	}
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("sesame\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, code := n.tool(t, nil, "get", "shop:a", "--user", "shop", "--password-file", password); code != 0 || out != "1" {
		t.Errorf("futago get: code %d, %q", code, out)
	}
	if out, code := n.tool(t, []string{"FUTAGO_USER=alice", "FUTAGO_PASSWORD=bad"}, "get", "shop:a"); code != 1 || !strings.Contains(out, "authentication failure") {
		t.Errorf("futago get with a wrong password: code %d, %q", code, out)
	}

	url := "http://" + n.client
	for _, x := range []struct {
		want string
		args []string
	}{
		{"user and password, or a token, are required\n401", []string{url + "/shop:a"}},
		{"1200", []string{"-u", "shop:sesame", url + "/shop:a"}},
		{"user name or password is wrong\n401", []string{"-u", "shop:bad", url + "/shop:a"}},
		{"permission denied\n403", []string{"-u", "shop:sesame", url + "/other"}},
		{"Created\n201", []string{"-u", "shop:sesame", "-X", "PUT", "-d", "2", url + "/shop:b"}},
		{"permission denied\n403", []string{"-u", "shop:sesame", "-X", "PUT", "-d", "get shop:a\r\n", url + "/other"}},
	} {
		if got := curl(t, x.args...); got != x.want {
			t.Errorf("curl %q: got %q, want %q", x.args, got, x.want)
		}
	}

	shop, root := n.dial(t), n.dial(t)
	shop.expect(t, "version\r\n", "CLIENT_ERROR unauthenticated")
	shop.expect(t, setCommand("x", "shop sesame"), "STORED")
	shop.expect(t, "get shop:a other\r\n", "CLIENT_ERROR permission denied")
	shop.expect(t, "flush_all\r\n", "CLIENT_ERROR permission denied")
	shop.set(t, "shop:c", "3")
	root.expect(t, setCommand("x", "root toor"), "STORED")
	root.expect(t, "stats reset\r\n", "RESET")

	// A file with a mistake changes nothing, and says where it is.
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append(good, "carol rights=read\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	n.proc.signal(t, syscall.SIGHUP)
	eventually(t, "the mistake is logged", 10*time.Second, func() bool {
		return strings.Contains(n.output.String(), "everything stays what it was") && strings.Contains(n.output.String(), "users:4: ")
	})
	shop.set(t, "shop:c", "4")
	if err := os.WriteFile(file, good, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(futagoProgram, "users", "remove", file, "shop").CombinedOutput(); err != nil {
		t.Fatalf("remove user: %v: %s", err, out)
	}
	addUser(t, file, "root", "toor", "--rights", "read", "--replace")
	n.proc.signal(t, syscall.SIGHUP)
	eventually(t, "the file is read", 10*time.Second, func() bool { return strings.Contains(n.output.String(), "users were read again") })
	shop.expect(t, "get shop:a\r\n", "CLIENT_ERROR unauthenticated")
	root.expect(t, "version\r\n", "CLIENT_ERROR unauthenticated") // the password is hashed anew, so it might be another
	root.expect(t, setCommand("x", "root toor"), "STORED")
	root.expect(t, "stats reset\r\n", "CLIENT_ERROR permission denied")
	if got := curl(t, "-u", "shop:sesame", url+"/shop:a"); !strings.HasSuffix(got, "401") {
		t.Errorf("curl of a removed user: got %q, want 401", got)
	}
	n.terminate(t)
}

// A start with a file of users that is wrong ends with the line.
func TestWrongUsersFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(file, []byte("# nobody\nalice:plain\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	n := newNode(t, "A", 1, "--users="+file)
	n.start(t)
	if code := n.proc.waitExit(t, 10*time.Second); code != 1 || !strings.Contains(n.output.String(), "users:2: user \"alice\": the hash is not bcrypt's") {
		t.Errorf("code %d, output %q", code, n.output)
	}
}

// Who tries passwords takes nothing from clients that are known, and others can still log in.
func TestWrongPasswordFlood(t *testing.T) {
	file := filepath.Join(t.TempDir(), "users")
	addUser(t, file, "alice", "wonderland")
	addUser(t, file, "late", "comer")
	n := startSingle(t, "--users="+file)
	n.login = "alice wonderland"
	probe := startProbe(t, n)

	var tried atomic.Int64
	var flood sync.WaitGroup
	end := make(chan struct{})
	for i := range 16 {
		flood.Go(func() {
			for k := 0; ; k++ {
				c, err := dial(n.client)
				if err != nil {
					t.Errorf("connect: %v", err)
					return
				}
				got := make(chan struct{})
				go func() {
					defer close(got)
					for {
						line, err := c.line()
						if err != nil {
							return
						}
						if line == "STORED" {
							t.Error("a wrong password was accepted")
						}
						tried.Add(1)
					}
				}()
				// Some pipeline, some give up and come again, some ask by HTTP.
				for j := range 50 {
					text := setCommand("x", fmt.Sprintf("alice wrong-%d-%d-%d", i, k, j))
					if i%4 == 3 {
						text = "GET /k HTTP/1.1\r\nHost: h\r\nAuthorization: Basic " + base64Pair(fmt.Sprintf("nobody:%d-%d-%d", i, k, j)) + "\r\n\r\n"
					}
					if _, err := io.WriteString(c, text); err != nil {
						break
					}
				}
				select {
				case <-end:
				case <-time.After(time.Duration(i%4) * 300 * time.Millisecond):
				}
				c.Close()
				<-got
				select {
				case <-end:
					return
				default:
				}
			}
		})
	}
	eventually(t, "passwords are refused", 20*time.Second, func() bool { return tried.Load() > 20 })

	// From another host a user that is not known yet gets in.
	dialer := net.Dialer{Timeout: replyLimit, LocalAddr: &net.TCPAddr{IP: net.ParseIP(newHost())}}
	raw, err := dialer.Dial("tcp", n.client)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	began := time.Now()
	late := &conn{raw, newReader(raw)}
	late.expect(t, setCommand("x", "late comer"), "STORED")
	t.Logf("another host logged in after %v, beside %d refusals", time.Since(began), tried.Load())
	probe.stop(t, 250*time.Millisecond)
	close(end)
	flood.Wait()
	n.terminate(t)
}

// A gateway authenticates for clients that do not, in front of a pair with users.
func TestGatewayToUsers(t *testing.T) {
	dir := t.TempDir()
	file, own := filepath.Join(dir, "users"), filepath.Join(dir, "gateway")
	addUser(t, file, "web", "page", "--rights", "read", "--prefix", "count_")
	addUser(t, file, "alice", "wonderland")
	if err := os.WriteFile(own, []byte("web:page\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := newPair(t, "--users="+file)
	for _, n := range p {
		n.login = "alice wonderland"
	}
	startAll(t, p)
	p[0].dial(t).set(t, "count_a", "7")
	p[0].dial(t).set(t, "private", "8")
	waitEqual(t, p, []string{"count_a", "private"}, 5*time.Second)
	host := newHost()
	addr := freeAddr(t, host)
	f := startFront(t, "gateway", addr, futagoProgram, "gateway", "--listen="+addr, "--admin-listen="+freeAddr(t, host),
		"--upstream="+p[0].client, "--upstream="+p[1].client+",check="+p[1].admin, "--upstream-user-file="+own)
	for path, want := range map[string]int{"/count_a": 200, "/private": 403} {
		if code, body, err := httpGet(t.Context(), "http://"+f.addr+path); err != nil || code != want {
			t.Errorf("GET %s: got %d %q and %v, want %d", path, code, body, err, want)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+f.addr+"/private", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("alice", "wonderland")
	resp, err := adminClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 200 {
		t.Errorf("GET /private with its own user: got %d, want 200", resp.StatusCode)
	}
}

// A proxy authenticates over TLS for its clients, with both protocols, and says so when it cannot.
func TestProxyToUsers(t *testing.T) {
	dir, host := t.TempDir(), newHost()
	if out, err := exec.Command(futagoProgram, "peer", "certs", "--dir", dir, "--host", host).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	file, own, other := filepath.Join(dir, "users"), filepath.Join(dir, "own"), filepath.Join(dir, "other")
	addUser(t, file, "web", "page", "--prefix", "web-")
	for path, line := range map[string]string{own: "web:page\n", other: "web:wrong\n"} {
		if err := os.WriteFile(path, []byte(line), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	secure := freeAddr(t, host)
	n := newNode(t, "A", 1, "--users="+file, "--listen="+secure+",tls", "--tls-cert="+filepath.Join(dir, host+".pem"), "--tls-key="+filepath.Join(dir, host+"-key.pem"))
	n.start(t)
	n.waitReady(t)
	upstream, authority := "--upstream="+secure+",check="+n.admin, "--upstream-tls-ca="+filepath.Join(dir, "ca.pem")
	f := startProxy(t, upstream, authority, "--upstream-user-file="+own)
	c, err := dial(f.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.set(t, "web-a", "7")
	c.expect(t, "set a 0 0 1\r\nx\r\n", "CLIENT_ERROR permission denied")
	php := `$m = new Memcached; $m->setOption(Memcached::OPT_BINARY_PROTOCOL, true); [$host, $port] = explode(":", $argv[1]); $m->addServer($host, (int)$port);
		echo json_encode([$m->get("web-a"), $m->set("web-b", "8"), $m->set("b", "8")]);`
	if out, err := exec.Command(findProgram(t, "php"), "-r", php, f.addr).CombinedOutput(); string(out) != `["7",true,false]` {
		t.Errorf("php: %v, %s", err, out)
	}
	for flags, reason := range map[[2]string]string{
		{authority, "--upstream-user-file=" + other}:      "authentication failure",
		{authority, "--upstream-user-file="}:              "the node asks for a user",
		{"--upstream-tls", "--upstream-user-file=" + own}: "authority",
	} {
		host := newHost()
		addr, admin := freeAddr(t, host), freeAddr(t, host)
		f := startProxyAt(t, addr, admin, "proxy", upstream, "--listen="+addr, "--admin-listen="+admin, flags[0], flags[1])
		eventually(t, "the proxy says "+reason, 10*time.Second, func() bool {
			u := f.status(t).Upstreams[0]
			return u.State == "down" && strings.Contains(u.Reason, reason)
		})
		if code, _, err := httpGet(t.Context(), "http://"+admin+"/readyz"); err != nil || code != 503 {
			t.Errorf("%q: readiness is %d, %v", flags, code, err)
		}
	}
}

// A proxy with users of its own in front of a pair with users: the tools, PHP by SASL, rights, prefixes, and changes while it runs.
func TestProxyWithUsers(t *testing.T) {
	dir := t.TempDir()
	nodes, file, own := filepath.Join(dir, "nodes"), filepath.Join(dir, "users"), filepath.Join(dir, "own")
	addUser(t, nodes, "proxy", "of the pair", "--rights", "read,write,admin")
	addUser(t, file, "shop", "sesame", "--prefix", "shop:")
	addUser(t, file, "reader", "glasses", "--rights", "read")
	addUser(t, file, "root", "toor", "--rights", "read,write,admin")
	if err := os.WriteFile(own, []byte("proxy:of the pair\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := newPair(t, "--users="+nodes)
	for _, n := range p {
		n.login = "proxy of the pair"
	}
	startAll(t, p)
	f := startPairProxy(t, p, "--users="+file, "--upstream-user-file="+own)
	c := func() *conn {
		t.Helper()
		c, err := dial(f.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	shop, reader, root := c(), c(), c()
	shop.expect(t, "get shop:a\r\n", "CLIENT_ERROR unauthenticated")
	shop.expect(t, setCommand("x", "proxy of the pair"), "CLIENT_ERROR authentication failure") // a user of the nodes alone
	shop.expect(t, setCommand("x", "shop sesame"), "STORED")
	reader.expect(t, setCommand("x", "reader glasses"), "STORED")
	root.expect(t, setCommand("x", "root toor"), "STORED")
	shop.set(t, "shop:a", "1")
	root.set(t, "other", "2")
	for _, text := range []string{"get shop:a other\r\n", setCommand("other", "3"), "ms b3RoZXI= 1 b\r\n3\r\n", "md other\r\n", "flush_all\r\n"} {
		shop.expect(t, text, "CLIENT_ERROR permission denied")
	}
	reader.expect(t, setCommand("shop:a", "3"), "CLIENT_ERROR permission denied")
	reader.expect(t, "mg other\r\n", "HD")

	tool := func(user, password string, args ...string) (string, int) {
		t.Helper()
		cmd := exec.Command(futagoProgram, args...)
		cmd.Env = append(os.Environ(), "FUTAGO_ADDR="+f.addr, "FUTAGO_USER="+user, "FUTAGO_PASSWORD="+password)
		out, _ := cmd.CombinedOutput()
		return string(out), cmd.ProcessState.ExitCode()
	}
	if out, code := tool("shop", "sesame", "get", "shop:a"); code != 0 || out != "1" {
		t.Errorf("futago get: code %d, %q", code, out)
	}
	if out, code := tool("shop", "bad", "get", "shop:a"); code != 1 || !strings.Contains(out, "authentication failure") {
		t.Errorf("futago get with a wrong password: code %d, %q", code, out)
	}
	php := `$m = new Memcached; $m->setOption(Memcached::OPT_BINARY_PROTOCOL, true); $m->setSaslAuthData("shop", $argv[2]); [$host, $port] = explode(":", $argv[1]);
		$m->addServer($host, (int)$port); echo json_encode([$m->get("shop:a"), $m->set("shop:b", "8"), $m->set("other", "8"), $m->get("other")]);`
	if out, err := exec.Command(findProgram(t, "php"), "-r", php, "--", f.addr, "sesame").CombinedOutput(); string(out) != `["1",true,false,false]` {
		t.Errorf("php: %v, %s", err, out)
	}
	if out, err := exec.Command(findProgram(t, "php"), "-r", php, "--", f.addr, "bad").CombinedOutput(); string(out) != `[false,false,false,false]` {
		t.Errorf("php with a wrong password: %v, %s", err, out)
	}
	root.expect(t, "get other\r\n", "VALUE other 0 1")

	if out, err := exec.Command(futagoProgram, "users", "remove", file, "shop").CombinedOutput(); err != nil {
		t.Fatalf("remove user: %v: %s", err, out)
	}
	f.proc.signal(t, syscall.SIGHUP)
	eventually(t, "who was removed is out", 10*time.Second, func() bool {
		line, err := shop.do("get shop:none\r\n")
		return err == nil && line == "CLIENT_ERROR unauthenticated"
	})
	reader.expect(t, "get none\r\n", "END")

	// An address that strangers reach needs users, or the word.
	out, err := exec.Command(futagoProgram, "proxy", "--listen=:0", "--admin-listen=none", "--upstream="+p[0].client).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "strangers may reach it") || !strings.Contains(string(out), "set users") {
		t.Errorf("an open address: got %v, %s", err, out)
	}
}

// The user of a proxy changes on the node and in the proxy's file, without a restart, and its clients notice nothing. A file with a
// mistake changes nothing.
func TestProxyChangesItsUser(t *testing.T) {
	dir := t.TempDir()
	file, own, config := filepath.Join(dir, "users"), filepath.Join(dir, "own"), filepath.Join(dir, "proxy.toml")
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	addUser(t, file, "old", "sesame")
	n := startSingle(t, "--users="+file)
	write(own, "old:sesame\n")
	write(config, "upstream-user-file = '"+own+"'\nlog-level = 'info'\n")
	f := startProxy(t, "--upstream="+n.client+",check="+n.admin, "--config="+config)
	c, err := dial(f.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.set(t, "n", "0")
	counted := 0
	count := func() {
		t.Helper()
		counted++
		c.expect(t, "incr n 1\r\n", fmt.Sprint(counted))
	}
	count()
	reload := func() (out string, code int) { return n.tool(t, nil, "config", "reload", "--admin", f.admin) }

	write(config, "upstream-user-file = '"+own+"'\nlog-level = 'loud'\n")
	if out, code := reload(); code != 1 || !strings.Contains(out, "log-level") || !strings.Contains(out, "Nothing has changed there.") {
		t.Errorf("a mistake: code %d, %s", code, out)
	}
	addUser(t, file, "new", "second word")
	n.proc.signal(t, syscall.SIGHUP)
	eventually(t, "the node has the new user", 10*time.Second, func() bool { return strings.Contains(n.output.String(), "users=2") })
	write(own, "new:second word\n")
	write(config, "upstream-user-file = '"+own+"'\nlog-level = 'debug'\npool = 4\n")
	out, code := reload()
	for _, part := range []string{"proxy (" + f.admin + ")", "info -> debug", "needs a restart", "2 -> 4", "read again: upstream user"} {
		if code != 0 || !strings.Contains(out, part) {
			t.Errorf("code %d, no %q in %s", code, part, out)
		}
	}
	count()
	if out, err := exec.Command(futagoProgram, "users", "remove", file, "old").CombinedOutput(); err != nil {
		t.Fatalf("remove user: %v: %s", err, out)
	}
	n.proc.signal(t, syscall.SIGHUP)
	eventually(t, "the node has forgotten the old user", 10*time.Second, func() bool {
		count()
		return strings.Count(n.output.String(), "users were read again") >= 2
	})
	for range 3 {
		count()
	}
	// The same by signal, and told in the status.
	write(config, "upstream-user-file = '"+own+"'\nlog-level = 'warn'\n")
	f.proc.signal(t, syscall.SIGHUP)
	eventually(t, "the status tells of the reload", 10*time.Second, func() bool {
		_, body, err := httpGet(t.Context(), "http://"+f.admin+"/status")
		return err == nil && strings.Contains(body, `"last_reload"`) && strings.Contains(body, `"warn"`)
	})
	count()
}
