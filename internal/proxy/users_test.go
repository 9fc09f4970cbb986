package proxy

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/futago/futago/internal/memcache"
)

// writeUsers writes a file of users whose passwords are "secret". Each line is a name and its options.
func writeUsers(t testing.TB, path string, lines ...string) {
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
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
}

// withUsers makes a proxy ask for users, and returns their file.
func withUsers(t testing.TB, lines ...string) (change func(*Config), path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "users")
	writeUsers(t, path, lines...)
	return func(c *Config) { c.Access.Users, c.MaxValue = path, 1<<10 }, path
}

// authSet is an authentication.
func authSet(data string) string { return fmt.Sprintf("set auth 0 0 %d\r\n%s\r\n", len(data), data) }

const (
	replyLocked = memcache.ReplyUnauthenticated
	replyWrong  = memcache.ReplyAuthFailure
	replyDenied = "CLIENT_ERROR permission denied\r\n"
)

// However the bytes arrive, nothing reaches a node before the client has authenticated, and answers keep their order.
func TestTextLogin(t *testing.T) {
	input := "version\r\nget a\r\nadd a 0 0 10\r\nfoo secret\r\n" + authSet("foo") + authSet("foo wrong") + authSet("nobody secret") +
		authSet("foo secret") + authSet("foo secret") + "get auth\r\nquit\r\nversion\r\n"
	want := replyLocked + replyLocked + replyLocked + memcache.ReplyBadAuthToken + replyWrong + replyWrong +
		"STORED\r\nSTORED\r\nVALUE auth 0 10\r\nfoo secret\r\nEND\r\n"
	for _, size := range []int{len(input), 1, 7} {
		n := newFakeNode(t)
		change, _ := withUsers(t, "foo")
		p := startProxy(t, change, n)
		c := p.dial()
		for rest := input; rest != ""; {
			some := min(size, len(rest))
			c.send(rest[:some])
			rest = rest[some:]
		}
		c.want(want)
		c.wantClosed()
		if got := strings.Join(n.requests(), "|"); got != "set auth 0 0 10|get auth" {
			t.Errorf("in pieces of %d the node saw %q", size, got)
		}
		if metrics := p.metrics(); !strings.Contains(metrics, "futago_users_failed_logins_total 2\n") {
			t.Errorf("two wrong logins are not in the metrics:\n%s", metrics)
		}
	}
}

// Each command is judged by rights and prefixes, and what is denied reaches no node.
func TestTextRights(t *testing.T) {
	large := "set b:k 0 0 2000\r\n" + strings.Repeat("x", 2000) + "\r\n"
	requests := []struct{ request, reply string }{
		{"set a:k 0 0 1\r\nx\r\n", "STORED\r\n"}, {"get a:k\r\n", "VALUE a:k 0 1\r\nx\r\nEND\r\n"}, {"get a:k a:none b:k\r\n", "VALUE a:k 0 1\r\nx\r\nEND\r\n"},
		{"gat 0 a:k\r\n", "VALUE a:k 0 1\r\nx\r\nEND\r\n"}, {"touch a:k 0\r\n", "TOUCHED\r\n"}, {"set a:n 0 0 1\r\n1\r\n", "STORED\r\n"}, {"incr a:n 1\r\n", "2\r\n"},
		{"set b:k 0 0 3\r\nget\r\n", "STORED\r\n"}, {"set b:k 0 0 1 noreply\r\nx\r\ndelete b:k\r\n", "DELETED\r\n"}, {"delete a:none\r\n", "NOT_FOUND\r\n"},
		{large, "SERVER_ERROR object too large for cache\r\n"},
		{"version\r\n", "VERSION 1.6.18 futago-9.9.9\r\n"}, {"stats items\r\n", "END\r\n"}, {"stats conns\r\n", "END\r\n"},
		{"stats reset\r\n", "ERROR\r\n"}, {"verbosity 1\r\n", "OK\r\n"}, {"lru_crawler metadump all\r\n", "ERROR\r\n"}, {"flush_all\r\n", "OK\r\n"},
		{"bogus\r\n", "ERROR\r\n"},
		{"ms a:m 1\r\n1\r\n", "HD\r\n"}, {"mg a:m v\r\n", "VA 1\r\n1\r\n"}, {"mg a:m T0 v\r\n", "VA 1\r\n1\r\n"}, {"mg a:m N10 v\r\n", "VA 1\r\n1\r\n"},
		{"mg b:k v\r\n", "EN\r\n"}, {"ms YjpoaQ== 1 b\r\nx\r\n", "HD\r\n"}, {"mn\r\n", "MN\r\n"},
	}
	for _, tt := range []struct {
		user   string
		denied []int // numbers of the requests above
	}{
		{"root rights=read,write,admin", nil},
		{"user", []int{13, 14, 15, 16, 17}},
		{"reader rights=read", []int{0, 3, 4, 5, 6, 7, 8, 9, 10, 13, 14, 15, 16, 17, 19, 21, 22, 24}},
		{"writer rights=write", []int{1, 2, 3, 6, 12, 13, 14, 15, 16, 17, 20, 21, 22, 23}},
		{"boss rights=admin", []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 19, 20, 21, 22, 23, 24}},
		{"part rights=read,write,admin prefix=a: prefix=c", []int{2, 7, 8, 10, 23, 24}},
	} {
		t.Run(tt.user, func(t *testing.T) {
			n := newFakeNode(t)
			n.asks("proxy own") // the proxy has a user of its own there
			change, _ := withUsers(t, tt.user)
			p := startProxy(t, func(c *Config) {
				change(c)
				c.User, c.Password = "proxy", "own"
			}, n)
			c := p.dial()
			c.talk(authSet(strings.Fields(tt.user)[0]+" secret"), "STORED\r\n")
			next := 0
			for i, x := range requests {
				reply, seen := x.reply, len(n.requests())
				denied := next < len(tt.denied) && tt.denied[next] == i
				if denied {
					reply = replyDenied
					next++
				} else if tt.user == "reader rights=read" { // it could store nothing
					if strings.HasPrefix(reply, "VALUE") {
						reply = "END\r\n"
					} else if strings.HasPrefix(reply, "VA ") {
						reply = "EN\r\n"
					}
				}
				c.talk(x.request, reply)
				if denied && len(n.requests()) != seen {
					t.Errorf("%.30q was denied, and the node saw it: %q", x.request, n.requests()[seen:])
				}
			}
		})
	}
}

// The same by the binary protocol, quiet requests and values that are too large included.
func TestBinaryLogin(t *testing.T) {
	const sasl, list, step, noop, get, set, setq, del, flush, stat = 0x21, 0x20, 0x22, 0x0a, 0x00, 0x01, 0x11, 0x04, 0x08, 0x10
	plain := func(number, data string) string { return frame(sasl, number, "", memcache.SASLPlain, data, 0) }
	input := frame(0x0b, "op00", "", "", "", 0) + frame(list, "op01", "", "", "", 0) + frame(step, "op02", "", memcache.SASLPlain, "\x00foo\x00secret", 0) +
		frame(sasl, "op03", "", "CRAM-MD5", "", 0) + plain("op04", "\x00foo\x00wrong") + plain("op05", "") + frame(step, "op06", "", memcache.SASLPlain, "\x00foo\x00secret", 0) +
		frame(set, "op07", setExtras, "a:k", "v", 0) + frame(get, "op08", "", "a:k", "", 0) + frame(get, "op09", "", "b:k", "", 0) + frame(setq, "op10", setExtras, "b:k", "v", 0) +
		frame(set, "op11", setExtras, "b:k", strings.Repeat("x", 2000), 0) + frame(flush, "op12", "", "", "", 0) + frame(stat, "op13", "", "resetting", "", 0) +
		plain("op14", "\x00reader\x00secret") + frame(del, "op15", "", "a:k", "", 0) + frame(noop, "op16", "", "", "", 0)
	const denied = "Permission denied"
	want := reply(0x0b, "op00", 0, "", "1.6.18 futago-9.9.9") + reply(list, "op01", 0, "", "PLAIN") + reply(step, "op02", memcache.BinaryAuthError, "", "Auth failure.") +
		reply(sasl, "op03", memcache.BinaryAuthError, "", "Auth failure.") + reply(sasl, "op04", memcache.BinaryAuthError, "", "Auth failure.") +
		reply(sasl, "op05", memcache.BinaryAuthContinue, "", "") + reply(step, "op06", 0, "", "Authenticated") +
		reply(set, "op07", 0, "", "") + reply(get, "op08", 0, "\x00\x00\x00\x00", "v") + reply(get, "op09", memcache.BinaryInvalid, "", denied) + reply(setq, "op10", memcache.BinaryInvalid, "", denied) +
		reply(set, "op11", memcache.BinaryTooLarge, "", "Too large.") + reply(flush, "op12", memcache.BinaryInvalid, "", denied) + reply(stat, "op13", memcache.BinaryInvalid, "", denied) +
		reply(sasl, "op14", 0, "", "Authenticated") + reply(del, "op15", memcache.BinaryInvalid, "", denied) + reply(noop, "op16", 0, "", "")
	for _, size := range []int{len(input), 1, 29} {
		n := newFakeNode(t)
		change, _ := withUsers(t, "foo prefix=a:", "reader rights=read")
		c := startProxy(t, change, n).dial()
		for rest := input; rest != ""; {
			some := min(size, len(rest))
			c.send(rest[:some])
			rest = rest[some:]
		}
		c.want(want)
		if got := strings.Join(n.requests(), "|"); got != "0x1 a:k|0x0 a:k" {
			t.Errorf("in pieces of %d the node saw %q", size, got)
		}
	}
	// Before authentication a packet is refused by its header and ends the connection, however much it announces.
	n := newFakeNode(t)
	change, _ := withUsers(t, "foo")
	p := startProxy(t, change, n)
	for _, code := range []byte{get, set, flush, noop, stat, 0x07, 0xff} {
		c := p.dial()
		c.talk(frame(code, "op17", setExtras, "k", strings.Repeat("v", 5000), 0)[:binaryHeader], reply(code, "op17", memcache.BinaryAuthError, "", "Auth failure."))
		c.wantClosed()
	}
	if got := n.requests(); len(got) != 0 {
		t.Errorf("the node saw %q", got)
	}
}

// Connections are judged by the file as it is now; one with a mistake changes nothing.
func TestUsersReload(t *testing.T) {
	change, path := withUsers(t, "foo", "bar")
	p := startProxy(t, change, newFakeNode(t))
	foo, bar := p.dial(), p.dial()
	foo.talk(authSet("foo secret"), "STORED\r\n")
	bar.talk(authSet("bar secret"), "STORED\r\n")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(text, "carol\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	p.Reload()
	foo.talk("set k 0 0 1\r\nx\r\n", "STORED\r\n")
	first, _, _ := strings.Cut(string(text), "\n") // the same hash: only the rights change
	if err := os.WriteFile(path, []byte(first+" rights=read\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.Reload()
	foo.talk("set k 0 0 1\r\ny\r\nget k\r\n", replyDenied+"VALUE k 0 1\r\nx\r\nEND\r\n")
	bar.talk("get k\r\n", replyLocked)
}

// A host that guesses is refused for a while; who is in stays in.
func TestGuessesAreLimited(t *testing.T) {
	change, _ := withUsers(t, "foo", "bar")
	p := startProxy(t, change, newFakeNode(t))
	in, c := p.dial(), p.dial()
	in.talk(authSet("foo secret"), "STORED\r\n")
	for i := range 10 {
		c.talk(authSet(fmt.Sprint("foo guess", i)), replyWrong)
	}
	const limited = "SERVER_ERROR too many failed logins: try again in a minute\r\n"
	c.talk(authSet("foo secret"), limited)
	c.talk(authSet("bar secret"), "STORED\r\n")
	in.talk("get k\r\n", "END\r\n")
	if metrics := p.metrics(); !strings.Contains(metrics, "futago_users_limited_logins_total 1\n") {
		t.Errorf("the refusal is not in the metrics:\n%s", metrics)
	}
}

// A proxy stops in time though passwords wait to be looked at.
func TestStopDuringLogin(t *testing.T) {
	change, _ := withUsers(t, "foo")
	p := startProxy(t, func(c *Config) {
		change(c)
		c.DrainTimeout = 0
	}, newFakeNode(t))
	var clients []*testClient
	for i := range 40 {
		c := p.dial()
		c.send(authSet(fmt.Sprint("foo wrong", i)))
		clients = append(clients, c)
	}
	clients[0].line() // it looks at them
	if err := p.stop(); err != nil {
		t.Error(err)
	}
}

// Strangers may come where they are asked who they are.
func TestUsersGuardAnAddress(t *testing.T) {
	c := DefaultConfig()
	c.Listen, c.Upstreams = ":11211", []Upstream{{Addr: "a:1", Weight: 1}}
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "set users, or tls=mutual") {
		t.Errorf("without users: got %v", err)
	}
	c.Access.Users = "users"
	if err := c.Validate(); err != nil {
		t.Errorf("with users: got %v", err)
	}
}

// Judging a request takes no memory, with users or without.
func TestDecodeTakesNoMemory(t *testing.T) {
	change, _ := withUsers(t, "foo prefix=key")
	input := []byte("get key1 key2\r\nset key1 0 0 1\r\nx\r\nmg key1 v\r\ndelete key2 noreply\r\n")
	for _, p := range []*Proxy{offlineProxy(t, nil), offlineProxy(t, change)} {
		c := newClient(p, nil, 0)
		if c.users != nil {
			c.user = c.users.Table().User("foo")
		}
		run := func() {
			c.have, c.read = copy(c.in, input), 0
			c.decode()
			if len(c.calls) != 4 || c.calls[0].shape != shapeValues {
				t.Fatalf("users %v: got %d calls, the first of shape %d, want 4 for a node", c.users != nil, len(c.calls), c.calls[0].shape)
			}
			c.endRound()
		}
		if n := testing.AllocsPerRun(200, run); n != 0 {
			t.Errorf("users %v: %v allocations a round, want none", c.users != nil, n)
		}
	}
}
