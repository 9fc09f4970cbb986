package server

import (
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/futago/futago/internal/users"
)

// cheapHash is a hash that takes no time.
func cheapHash(t testing.TB, password string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(hash)
}

// openUsers returns users whose passwords are "secret", and the path of their file. Each line is a name and its options.
func openUsers(t testing.TB, lines ...string) (all *users.Users, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "users")
	writeUsers(t, path, lines...)
	all, err := users.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return all, path
}

func writeUsers(t testing.TB, path string, lines ...string) {
	t.Helper()
	var text strings.Builder
	hash := cheapHash(t, "secret")
	for _, line := range lines {
		name, options, _ := strings.Cut(line, " ")
		fmt.Fprintf(&text, "%s:%s %s\n", name, hash, options)
	}
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
}

// authSet is an authentication.
func authSet(data string) string { return fmt.Sprintf("set auth 0 0 %d\r\n%s\r\n", len(data), data) }

// The slow part of a login stands between what was sent before and behind it, however the bytes arrive.
func TestTextLogin(t *testing.T) {
	const locked, wrong = "CLIENT_ERROR unauthenticated\r\n", "CLIENT_ERROR authentication failure\r\n"
	input := "version\r\nget a\r\nadd a 0 0 10\r\nfoo secret\r\n\r\n" + authSet("foo") + authSet("foo wrong") + authSet("nobody secret") + authSet("foo secret") +
		authSet("foo secret") + "get auth\r\nquit\r\nversion\r\n"
	want := locked + locked + locked + "CLIENT_ERROR bad authentication token format\r\n" + wrong + wrong + "STORED\r\nSTORED\r\nVALUE auth 0 10\r\nfoo secret\r\nEND\r\n"
	input = strings.Replace(input, "foo secret\r\n\r\n", "foo secret\r\n", 1)
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		for _, size := range []int{len(input), 1, 7} {
			all, _ := openUsers(t, "foo")
			s := startServer(t, openStore(t, nil), func(c *Config) {
				c.Users = all
				carrier(c)
			})
			c := dial(t, s)
			for rest := input; rest != ""; {
				n := min(size, len(rest))
				c.send(rest[:n])
				rest = rest[n:]
			}
			c.expect(want)
			c.expectEnd()
			n := s.sum()
			if n[authCmds] != 4 || n[authErrors] != 3 {
				t.Errorf("counted %d authentications and %d errors, want 4 and 3", n[authCmds], n[authErrors])
			}
			// What was verified once is decided in the loop.
			c = dial(t, s)
			c.send(authSet("foo secret") + "get auth\r\nstats settings\r\n")
			c.expect("STORED\r\nVALUE auth 0 10\r\nfoo secret\r\nEND\r\n")
			for line := ""; line != "STAT auth_enabled_ascii yes\r\n"; {
				var err error
				if line, err = c.r.ReadString('\n'); err != nil || line == "END\r\n" {
					t.Fatalf("stats settings: got %q and %v before auth_enabled_ascii yes", line, err)
				}
			}
		}
	})
}

func TestRights(t *testing.T) {
	const denied = "CLIENT_ERROR permission denied\r\n"
	all := []struct{ request, reply string }{
		{"set a:k 0 0 1\r\nx\r\n", "STORED\r\n"}, {"get a:k\r\n", "VALUE a:k 0 1\r\nx\r\nEND\r\n"}, {"get a:k a:none b:k\r\n", "VALUE a:k 0 1\r\nx\r\nEND\r\n"},
		{"gat 0 a:k\r\n", "VALUE a:k 0 1\r\nx\r\nEND\r\n"}, {"touch a:k 0\r\n", "TOUCHED\r\n"}, {"set a:n 0 0 1\r\n1\r\n", "STORED\r\n"}, {"incr a:n 1\r\n", "2\r\n"},
		{"set b:k 0 0 3\r\nget\r\n", "STORED\r\n"}, {"set b:k 0 0 1 noreply\r\nx\r\ndelete b:k\r\n", "DELETED\r\n"}, {"delete a:none\r\n", "NOT_FOUND\r\n"},
		{"set b:k 0 0 2000000\r\n" + strings.Repeat("x", 2000000) + "\r\n", "SERVER_ERROR object too large for cache\r\n"},
		{"version\r\n", "VERSION 0.1.0\r\n"}, {"stats sizes\r\n", "STAT sizes_status disabled\r\nEND\r\n"}, {"stats reset\r\n", "RESET\r\n"},
		{"stats cachedump 2 1\r\n", "END\r\n"}, {"verbosity 1\r\n", "OK\r\n"}, {"refresh_certs\r\n", "Error TLS not enabled\r\n"}, {"flush_all\r\n", "OK\r\n"},
		{"bogus\r\n", "ERROR\r\n"},
		{"ms a:m 1\r\n1\r\n", "HD\r\n"}, {"mg a:m v\r\n", "VA 1\r\n1\r\n"}, {"mg a:m T0 v q\r\n", "VA 1\r\n1\r\n"}, {"mg a:new N10\r\n", "HD W\r\n"},
		{"ma a:m\r\n", "HD\r\n"}, {"ma a:m v\r\n", "VA 1\r\n3\r\n"}, {"md YTpt b\r\n", "HD\r\n"}, {"mg b:k v\r\n", "EN\r\n"}, {"ms YjpoaQ== 1 b\r\nx\r\n", "HD\r\n"}, {"mn\r\n", "MN\r\n"},
	}
	// Who is denied what, by the number of the request above. After a noreply that was denied, delete finds nothing to say.
	for _, tt := range []struct {
		user   string
		denied []int
	}{
		{"root rights=read,write,admin", nil},
		{"user", []int{13, 14, 15, 16, 17}},
		{"reader rights=read", []int{0, 3, 4, 5, 6, 7, 8, 9, 10, 13, 14, 15, 16, 17, 19, 21, 22, 23, 24, 25, 27}},
		{"writer rights=write", []int{1, 2, 3, 6, 12, 13, 14, 15, 16, 17, 20, 21, 22, 24, 26}},
		{"boss rights=admin", []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 19, 20, 21, 22, 23, 24, 25, 26, 27}},
		{"part rights=read,write,admin prefix=a: prefix=c", []int{2, 7, 8, 10, 26, 27}},
	} {
		t.Run(tt.user, func(t *testing.T) {
			people, _ := openUsers(t, tt.user)
			s := startServer(t, openStore(t, nil), func(c *Config) { c.Users, c.MaxValue = people, 1<<20 })
			c := dial(t, s)
			c.send(authSet(strings.Fields(tt.user)[0] + " secret"))
			c.expect("STORED\r\n")
			next := 0
			for i, x := range all {
				reply := x.reply
				if next < len(tt.denied) && tt.denied[next] == i {
					reply = denied
					next++
				} else if tt.user == "reader rights=read" { // it could store nothing
					if strings.HasPrefix(reply, "VALUE") {
						reply = "END\r\n"
					} else if strings.HasPrefix(reply, "VA ") {
						reply = "EN\r\n"
					}
				}
				c.send(x.request)
				c.expect(reply)
			}
		})
	}
}

// A session is judged by the file as it is now.
func TestReloadReachesSessions(t *testing.T) {
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		people, path := openUsers(t, "foo", "bar")
		s := startServer(t, openStore(t, nil), func(c *Config) {
			c.Users = people
			carrier(c)
		})
		foo, bar := dial(t, s), dial(t, s)
		foo.send(authSet("foo secret"))
		foo.expect("STORED\r\n")
		bar.send(authSet("bar secret") + "set k 0 0 100000\r\nhalf")
		bar.expect("STORED\r\n")
		// The same hash: only the rights change.
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		first, _, _ := strings.Cut(string(text), "\n")
		if err := os.WriteFile(path, []byte(first+" rights=read\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := rereadUsers(people); err != nil {
			t.Fatal(err)
		}
		foo.send("set a 0 0 1\r\nx\r\nget a\r\n")
		foo.expect("CLIENT_ERROR permission denied\r\nEND\r\n")
		bar.send(strings.Repeat("x", 100000-len("half")) + "\r\nversion\r\n")
		bar.expect("CLIENT_ERROR auth token too long\r\nCLIENT_ERROR unauthenticated\r\n")
	})
}

// A connection that ends while its password is looked at leaves nothing behind, and neither does a server that ends.
func TestEndDuringLogin(t *testing.T) {
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		people, _ := openUsers(t, "foo")
		s := startServer(t, openStore(t, nil), func(c *Config) {
			c.Users = people
			carrier(c)
		})
		for i := range 20 {
			c := dial(t, s)
			c.send(authSet(fmt.Sprint("foo wrong", i)))
			if i%2 == 0 {
				c.Close()
			}
		}
		eventually(t, "all have asked", func() bool { return s.sum()[authCmds] == 20 })
	})
}

func basic(pair string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(pair)) + "\r\n"
}

func TestHTTPLogin(t *testing.T) {
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		token, hash := users.NewToken()
		people, path := openUsers(t, "foo prefix=a:", "reader rights=read", "writer rights=write", "api rights=read prefix=a: token="+hash)
		s := startServer(t, openStore(t, nil), func(c *Config) {
			c.Users = people
			carrier(c)
		})
		c := dial(t, s)
		const refused = "user name or password is wrong\n"
		foo, reader, writer := basic("foo:secret"), basic("reader:secret"), basic("writer:secret")
		for _, x := range []exchange{
			{"nobody", get("/a:k", ""), 401, nil, users.ErrNone.Error() + "\n"},
			{"wrong password", get("/a:k", basic("foo:bad")), 401, nil, refused},
			{"wrong again", get("/a:k", basic("foo:bad")), 401, nil, refused},
			{"unknown user", get("/a:k", basic("bar:secret")), 401, nil, refused},
			{"wrong token", get("/a:k", "Authorization: Bearer x\r\n"), 401, nil, refused},
			{"nonsense", get("/a:k", "Authorization: Digest x\r\n"), 401, nil, users.ErrNone.Error() + "\n"},
			{"options", plainRequest("OPTIONS", "*", ""), 200, nil, ""},
			{"put by nobody", put("/a:k", "", "GET /a:k HTTP/1.1\r\n\r\n"), 401, nil, users.ErrNone.Error() + "\n"},
			{"put", put("/a:k", foo, "v"), 201, nil, "Created\n"},
			{"get", get("/a:k", foo), 200, nil, "v"},
			{"put elsewhere", put("/b:k", foo, "v"), 403, nil, "permission denied\n"},
			{"get elsewhere", get("/b:k", foo), 403, nil, "permission denied\n"},
			{"encoded key", get("/%61:k", foo), 200, nil, "v"},
			{"reader puts", put("/a:k", reader, "w"), 403, nil, "permission denied\n"},
			{"reader deletes", plainRequest("DELETE", "/a:k", reader), 403, nil, "permission denied\n"},
			{"reader gets", get("/a:k", reader), 200, nil, "v"},
			{"writer gets", get("/a:k", writer), 403, nil, "permission denied\n"},
			{"token", get("/a:k", "Authorization: Bearer "+token+"\r\n"), 200, nil, "v"},
			{"token, scheme in lower case", get("/a:k", "authorization: bearer "+token+"\r\n"), 200, nil, "v"},
			{"token elsewhere", get("/b:k", "Authorization: Bearer "+token+"\r\n"), 403, nil, "permission denied\n"},
			{"token puts", put("/a:k", "Authorization: Bearer "+token+"\r\n", "w"), 403, nil, "permission denied\n"},
			{"writer deletes", plainRequest("DELETE", "/a:k", writer), 200, nil, "OK\n"},
		} {
			status, challenge, body := c.roundTrip(x.request, "Www-Authenticate")
			if status != x.status || body != x.body || (challenge == users.Challenges[0]) != (status == 401) {
				t.Errorf("%s: got %d %q and challenge %q, want %d %q", x.name, status, body, challenge, x.status, x.body)
			}
		}
		writeUsers(t, path, "other")
		if err := rereadUsers(people); err != nil {
			t.Fatal(err)
		}
		if status, _, _ := c.roundTrip(get("/a:k", foo), ""); status != 401 {
			t.Errorf("removed user: got %d, want 401", status)
		}
	})
}

// Guessing ends in every protocol, for the right password too, and only for the host that guesses.
func TestGuessing(t *testing.T) {
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		people, _ := openUsers(t, "foo", "other")
		s := startServer(t, openStore(t, nil), func(c *Config) {
			c.Users = people
			carrier(c)
		})
		before := dial(t, s)
		before.send(authSet("foo secret"))
		before.expect("STORED\r\n")
		text := dial(t, s)
		for i := range 10 {
			text.send(authSet(fmt.Sprint("foo wrong", i)))
			text.expect("CLIENT_ERROR authentication failure\r\n")
		}
		const limited = "too many failed logins: try again in a minute"
		text.send(authSet("foo secret") + authSet("other secret"))
		text.expect("SERVER_ERROR " + limited + "\r\nSTORED\r\n")
		web := dial(t, s)
		status, after, body := web.roundTrip(get("/k", basic("foo:secret")), "Retry-After")
		if status != 429 || after != "60" || body != limited+"\n" {
			t.Errorf("HTTP: got %d, Retry-After %q and %q, want 429", status, after, body)
		}
		plain := "\x00foo\x00secret"
		binary := dial(t, s)
		binary.send("\x80\x21\x00\x05\x00\x00\x00\x00\x00\x00\x00" + string(rune(5+len(plain))) + strings.Repeat("\x00", 12) + "PLAIN" + plain)
		reply := make([]byte, 24+len(limited))
		if _, err := io.ReadFull(binary.r, reply); err != nil || reply[7] == 0 || string(reply[24:]) != limited {
			t.Errorf("binary: got % x %q and %v, want an error that says %q", reply[:24], reply[24:], err, limited)
		}
		if _, err := people.Verify(t.Context(), "192.0.2.1", "foo", []byte("secret")); err != nil {
			t.Errorf("another host: got %v", err)
		}
		before.send("set k 0 0 1\r\nx\r\n")
		before.expect("STORED\r\n")
	})
}

// Who may only read is not told to renew a stale value, and does not keep another from being told.
func TestReaderRenewsNothing(t *testing.T) {
	people, _ := openUsers(t, "reader rights=read", "root rights=read,write")
	s := startServer(t, openStore(t, nil), func(c *Config) { c.Users = people })
	reader, root := dial(t, s), dial(t, s)
	reader.send(authSet("reader secret"))
	reader.expect("STORED\r\n")
	root.send(authSet("root secret") + "ms k 1\r\nx\r\nmd k I\r\n")
	root.expect("STORED\r\nHD\r\nHD\r\n")
	reader.send("mg k v\r\n")
	reader.expect("VA 1 X\r\nx\r\n")
	root.send("mg k v\r\n")
	root.expect("VA 1 X W\r\nx\r\n")
}

// Whatever the first byte says, nobody gets a value, stores one, or empties the node without having authenticated.
func TestUsersGuardEveryProtocol(t *testing.T) {
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		people, _ := openUsers(t, "foo")
		s := startServer(t, openStore(t, nil), func(c *Config) {
			c.Users = people
			carrier(c)
		})
		owner := dial(t, s)
		owner.send(authSet("foo secret") + "set k 0 0 5\r\nvalue\r\n")
		owner.expect("STORED\r\nSTORED\r\n")
		packet := func(magic, opcode byte, extras, key, value string) string {
			size := len(extras) + len(key) + len(value)
			header := []byte{magic, opcode, 0, byte(len(key)), byte(len(extras)), 0, 0, 0, 0, 0, 0, byte(size), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
			return string(header) + extras + key + value
		}
		for name, input := range map[string]string{
			"text get": "get k\r\n", "text set": "set k 0 0 3\r\nbad\r\n", "text flush": "flush_all\r\n", "meta get": "mg k v\r\n", "meta set": "ms k 3\r\nbad\r\n",
			"HTTP get": get("/k", "Connection: close\r\n"), "HTTP put": put("/k", "Connection: close\r\n", "bad"), "HTTP delete": plainRequest("DELETE", "/k", "Connection: close\r\n"),
			"binary get": packet(0x80, 0x00, "", "k", ""), "binary set": packet(0x80, 0x01, "\x00\x00\x00\x00\x00\x00\x00\x00", "k", "bad"),
			"binary delete": packet(0x80, 0x04, "", "k", ""), "binary flush": packet(0x80, 0x08, "", "", ""),
			"Tyrant get": "\xc8\x30\x00\x00\x00\x01k", "Tyrant vanish": "\xc8\x72",
		} {
			c := dial(t, s)
			c.send(input)
			if err := c.Conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if reply, _ := io.ReadAll(c.r); strings.Contains(string(reply), "value") {
				t.Errorf("%s: got %q", name, reply)
			}
			owner.send("get k\r\n")
			owner.expect("VALUE k 0 5\r\nvalue\r\nEND\r\n")
		}
	})
}

// A host that has many addresses has one turn.
func TestHost(t *testing.T) {
	for remote, want := range map[string]string{
		"tcp:10.0.0.1:1234": "10.0.0.1", "tcp:[::ffff:10.0.0.1]:1234": "10.0.0.1", "tcp:[2001:db8::1:2:3:4]:5": "2001:db8::/64",
		"tcp:[2001:db8:0:1::9]:5": "2001:db8:0:1::/64", "tcp:[fe80::1%eth0]:5": "fe80::/64", "unix:/run/s": "unix:/run/s",
	} {
		if got := (&peer{remote: remote}).host(); got != want {
			t.Errorf("%s: got %s, want %s", remote, got, want)
		}
	}
}

// rereadUsers puts the users of the file in force.
func rereadUsers(u *users.Users) error {
	take, err := u.Prepare()
	if err != nil {
		return err
	}
	take()
	return nil
}
