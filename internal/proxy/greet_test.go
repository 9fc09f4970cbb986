package proxy

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/futago/futago/internal/memcache"
)

// The proxy authenticates where it is asked to, with both protocols, and where it is not says nothing of its user.
func TestLogin(t *testing.T) {
	for _, login := range []string{"", "u p:w w"} {
		n := newFakeNode(t)
		n.asks(login)
		p := startProxy(t, func(c *Config) {
			c.User, c.Password = "u", "p:w w"
		}, n)
		p.dial().talk("set a 0 0 1\r\nx\r\nget a\r\n", "STORED\r\nVALUE a 0 1\r\nx\r\nEND\r\n")
		p.dial().talk(frame(0x00, "op01", "", "a", "", 0), reply(0x00, "op01", memcache.BinaryOK, noFlags, "x"))
		if got := strings.Join(n.requests(), ","); got != "set a 0 0 1,get a,0x0 a" {
			t.Errorf("login %q: the node saw %s", login, got)
		}
	}
}

// A node whose users have changed asks for a login again. It has executed nothing, so no client hears of it, not even of an increment;
// and when it does not take the password any more it is out.
func TestLoggedOut(t *testing.T) {
	first, second := newFakeNode(t), newFakeNode(t)
	for _, n := range []*fakeNode{first, second} {
		n.asks("u old")
		n.put("n", "1")
	}
	p := startProxy(t, func(c *Config) { c.User, c.Password = "u", "old" }, first, second)
	c, b := p.dial(), p.dial()
	c.talk("incr n 1\r\nms k 1 q\r\nx\r\nmn\r\n", "2\r\nMN\r\n")
	b.talk(frame(0x01, "op01", setExtras, "b", "1", 0), reply(0x01, "op01", memcache.BinaryOK, "", ""))
	first.logOut()
	c.talk("incr n 1\r\nincr n 1\r\nget n\r\n", "3\r\n4\r\nVALUE n 0 1\r\n4\r\nEND\r\n")
	b.talk(frame(0x02, "op02", setExtras, "c", "1", 0), reply(0x02, "op02", memcache.BinaryOK, "", ""))
	if s := p.Status(); s.Upstreams[0].State != "up" || s.Upstreams[0].UnknownEffects+s.Upstreams[1].Requests != 0 {
		t.Errorf("the right password: got %+v", s.Upstreams)
	}
	first.asks("u new")
	first.logOut()
	c.talk("incr n 1\r\n", "2\r\n") // by the second
	b.talk(frame(0x02, "op03", setExtras, "c", "1", 0), reply(0x02, "op03", memcache.BinaryOK, "", ""))
	if u := p.Status().Upstreams[0]; u.State != "down" || !strings.Contains(u.Reason, "authentication failure") {
		t.Errorf("another password: the upstream is %s, %s", u.State, u.Reason)
	}
}

// An upstream that does not take the password is down, and says why, once; it is asked seldom, however many requests come.
func TestWrongLogin(t *testing.T) {
	for name, user := range map[string]string{"wrong password": "u", "no user": ""} {
		t.Run(name, func(t *testing.T) {
			first, second := newFakeNode(t), newFakeNode(t)
			first.asks("u right")
			var log bytes.Buffer
			p := runProxy(t, func(c *Config) {
				if c.User = user; user != "" {
					c.Password = "wrong"
				}
				c.Logger = slog.New(slog.NewTextHandler(&log, nil))
			}, first, second)
			p.waitUp(1)
			c := p.dial()
			for end := time.Now().Add(checkRefused / 2); time.Now().Before(end); {
				c.talk("set a 0 0 1\r\nx\r\n", "STORED\r\n")
				p.group.Load().hurry()
			}
			if u := p.Status().Upstreams[0]; u.State != "down" || !strings.Contains(u.Reason, "authentication failure") {
				t.Errorf("upstream: %s, %s", u.State, u.Reason)
			}
			if wrong := first.asks("u right"); user != "" && wrong != 1 {
				t.Errorf("the node refused %d logins, want 1", wrong)
			}
			first.asks("") // now it takes everybody
			p.waitUp(2)
			if err := p.stop(); err != nil {
				t.Fatal(err)
			}
			if got := strings.Count(log.String(), "authentication failure"); got != 1 {
				t.Errorf("%d times in the log, want once:\n%s", got, &log)
			}
		})
	}
}

// A password that is changed while the upstream is up takes it out with the next connection.
func TestLoginLost(t *testing.T) {
	first, second := newFakeNode(t), newFakeNode(t)
	p := startProxy(t, func(c *Config) {
		c.User, c.Password = "u", "p"
	}, first, second)
	first.asks("u other")
	p.dial().talk("set a 0 0 1\r\nx\r\n", "STORED\r\n")
	p.dial().talk(frame(0x00, "op01", "", "a", "", 0), reply(0x00, "op01", memcache.BinaryOK, noFlags, "x"))
	if u := p.Status().Upstreams[0]; u.State != "down" || !strings.Contains(u.Reason, "authentication failure") {
		t.Errorf("upstream: %s, %s", u.State, u.Reason)
	}
	if second.value("a") != "x" {
		t.Error("the second node has not got the value")
	}
}
