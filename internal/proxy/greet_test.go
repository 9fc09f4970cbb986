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
				p.hurry()
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
