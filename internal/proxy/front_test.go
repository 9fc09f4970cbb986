package proxy

import (
	"strings"
	"testing"

	"github.com/futago/futago/internal/memcache"
)

// TestText talks to a proxy in front of one node.
func TestText(t *testing.T) {
	long := strings.Repeat("k", 251)
	tests := []struct{ name, send, want string }{
		{"set and get", "set a 5 0 2\r\nhi\r\nget a\r\n", "STORED\r\nVALUE a 0 2\r\nhi\r\nEND\r\n"},
		{"many keys in order", "set a 0 0 1\r\n1\r\nset b 0 0 1\r\n2\r\nget b x a b\r\n", "STORED\r\nSTORED\r\nVALUE b 0 1\r\n2\r\nVALUE a 0 1\r\n1\r\nVALUE b 0 1\r\n2\r\nEND\r\n"},
		{"gets", "set a 0 0 1\r\n1\r\ngets a\r\n", "STORED\r\nVALUE a 0 1 7\r\n1\r\nEND\r\n"},
		{"gat without keys", "gat 0\r\n", "END\r\n"},
		{"noreply", "set n 0 0 1 noreply\r\n1\r\nincr n 1 noreply\r\ndelete zz noreply\r\nget n\r\n", "VALUE n 0 1\r\n2\r\nEND\r\n"},
		{"data that looks like a command", "set a 0 0 11\r\nflush_all\r\n\r\nget a\r\n", "STORED\r\nVALUE a 0 11\r\nflush_all\r\n\r\nEND\r\n"},
		{"unknown command", "bogus\r\nget zz\r\n", "ERROR\r\nEND\r\n"},
		{"bad line", "set a x 0 1\r\n1\r\nget zz\r\n", "CLIENT_ERROR bad command line format\r\nEND\r\n"},
		{"bad data", "set a 0 0 1\r\n12\r\nversion\r\n", "CLIENT_ERROR bad data chunk\r\nERROR\r\nVERSION 1.6.18 futago-9.9.9\r\n"},
		{"long key", "get " + long + "\r\nget zz\r\n", "CLIENT_ERROR bad command line format\r\nEND\r\n"},
		{"too large", "set big 0 0 1\r\n1\r\nset big 0 0 2000\r\n" + strings.Repeat("x", 2000) + "\r\nget big\r\n", "STORED\r\nSERVER_ERROR object too large for cache\r\nEND\r\n"},
		{"NUL in a line", "set a\x00 0 0 1\r\n1\r\nset a\x00 0 0 1 noreply\r\n1\r\nget b a\x00\r\nset b 0 0 1\r\n\x00\r\nget b\r\n",
			"CLIENT_ERROR bad command line format\r\nCLIENT_ERROR bad command line format\r\nSTORED\r\nVALUE b 0 1\r\n\x00\r\nEND\r\n"},
		{"own answers", "version\r\nverbosity 1\r\nmn\r\nstats items\r\nstats bogus\r\n", "VERSION 1.6.18 futago-9.9.9\r\nOK\r\nMN\r\nEND\r\nERROR\r\n"},
		{"what concerns one node", "refresh_certs\r\nlru_crawler metadump all\r\nlru mode flat\r\ncache_memlimit 64\r\ncache_memlimit 64 noreply\r\n" +
			"shutdown\r\nwatch fetchers\r\nslabs automove 1 noreply\r\nstats cachedump 1 0\r\nget zz\r\n", strings.Repeat("ERROR\r\n", 7) + "END\r\n"},
		{"flush is in order", "set a 0 0 1\r\n1\r\nflush_all\r\nget a\r\nset a 0 0 1\r\n2\r\nget a\r\n", "STORED\r\nOK\r\nEND\r\nSTORED\r\nVALUE a 0 1\r\n2\r\nEND\r\n"},
		{"meta", "ms a 2\r\nhi\r\nmg a v\r\nmg zz v\r\n", "HD\r\nVA 2\r\nhi\r\nEN\r\n"},
		{"quiet meta", "ms a 2 q\r\nhi\r\nmg zz v q\r\nmg a v q\r\nmn\r\n", "VA 2\r\nhi\r\nMN\r\n"},
		{"meta data that looks like commands", "ms a 10\r\nflush_all\n\r\nmg a v\r\n", "HD\r\nVA 10\r\nflush_all\n\r\n"},
		{"meta refused with its data", "ms a 5 Z\r\nget a\r\nms " + long + " 3\r\nmn\n\r\nms a 2000\r\n" + strings.Repeat("x", 2000) + "\r\nmn\r\n",
			memcache.ReplyMetaInvalid + "CLIENT_ERROR bad command line format\r\nSERVER_ERROR object too large for cache\r\nMN\r\n"},
		{"meta with bad data", "ms a 2\r\nhix\r\nmn\r\n", "CLIENT_ERROR bad data chunk\r\nERROR\r\nMN\r\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := startProxy(t, func(c *Config) { c.MaxValue = 1 << 10 }, newFakeNode(t))
			p.dial().talk(test.send, test.want)
		})
	}
}

// TestSwallow: a large data block that is refused does not stop what comes behind it.
func TestSwallow(t *testing.T) {
	p := startProxy(t, func(c *Config) { c.MaxValue = 1 << 10 }, newFakeNode(t))
	p.dial().talk("set a 0 0 2000000\r\n"+strings.Repeat("flush_all ", 200_000)+"\r\nversion\r\n", "SERVER_ERROR object too large for cache\r\nVERSION 1.6.18 futago-9.9.9\r\n")
	p.dial().talk(frame(0x01, "op01", setExtras, "k", strings.Repeat("x", 2_000_000), 0)+frame(byte(memcache.OpcodeNoop), "op02", "", "", "", 0),
		reply(0x01, "op01", memcache.BinaryTooLarge, "", "Too large.")+reply(byte(memcache.OpcodeNoop), "op02", 0, "", ""))
}

// TestTextCloses: what memcached hangs up on.
func TestTextCloses(t *testing.T) {
	for _, send := range []string{"GET / HTTP/1.1\r\nHost: a\r\n\r\nflush_all\r\n", "quit\r\nget a\r\n", strings.Repeat("x", 3000)} {
		n := newFakeNode(t)
		p := startProxy(t, nil, n)
		c := p.dial()
		c.send(send)
		c.wantClosed()
		if got := n.requests(); len(got) > 0 {
			t.Errorf("%.20q: the node saw %q", send, got)
		}
	}
}

// TestNoMeta: a node without meta commands never sees the data of one.
func TestNoMeta(t *testing.T) {
	n := newFakeNode(t)
	n.noMeta = true
	p := startProxy(t, nil, n)
	c := p.dial()
	// The first one waits for the connection, the second finds it open.
	for range 2 {
		c.talk("ms a 11\r\nflush_all\r\n\r\nget a\r\n", "ERROR\r\nEND\r\n")
	}
	for _, line := range n.requests() {
		if line != "get a" {
			t.Errorf("the node saw %q", line)
		}
	}
}

var frontSeeds = []string{
	"get a b c\r\nset a 0 0 3\r\nabc\r\nincr a 1\r\n", "set a 0 0 2000 noreply\r\nget b\r\n", "mg a v q\r\nms b 3 T0\r\nabc\r\nmn\r\nme a\r\n",
	"ms a 5 Zz\r\nmn\r\n\n\r\nmd a C1 q\r\nma a MD D5\r\n", "ms YQ== 1 b\r\n1\r\nmg YQ== b v\r\n", "flush_all\r\nquit\r\n", "set a 0 0 -1\r\nGET / HTTP/1.0\r\n",
	"\x80\x09\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01abcd\x00\x00\x00\x00\x00\x00\x00\x00k" + noopFrame,
	"\x80\x01\x00\x01\x08\x00\x00\x00\x00\x00\x00\x0aabcd\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00kv",
	"\x80\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x03abcd\x00\x00\x00\x00\x00\x00\x00\x00xyz" + noopFrame,
}

// FuzzFront: however bytes arrive, the same calls come out of them; and each is one request to the server that gets it.
func FuzzFront(f *testing.F) {
	for _, s := range frontSeeds {
		f.Add([]byte(s), uint8(1))
		f.Add([]byte(s), uint8(5))
	}
	plain := offlineProxy(f, nil)
	spread := offlineProxy(f, func(c *Config) { c.Choice = ChooseConsistent })
	change, _ := withUsers(f, "foo")
	guarded := offlineProxy(f, change)
	f.Fuzz(func(t *testing.T, input []byte, step uint8) {
		if len(input) > 2000 {
			return // the limit of a line depends on how it comes, as in memcached
		}
		locked := newClient(guarded, nil, 0)
		locked.in, locked.have = append([]byte(nil), input...), len(input)
		locked.decode()
		for i := range locked.calls {
			if k := &locked.calls[i]; locked.user == nil && k.shape != shapeLocal {
				t.Fatalf("a client that has not authenticated sends %q to a node", k.appendTo(nil))
			}
		}
		for _, p := range []*Proxy{plain, spread} {
			whole, closedWhole := frontCalls(p, input, func(left int) int { return left })
			parts, closedParts := frontCalls(p, input, func(int) int { return int(step) })
			if strings.Join(whole, "\n") != strings.Join(parts, "\n") || closedWhole != closedParts {
				t.Fatalf("whole, closed %v:\n%s\nin pieces of %d, closed %v:\n%s", closedWhole, strings.Join(whole, "\n"), step, closedParts, strings.Join(parts, "\n"))
			}
			c := newClient(p, nil, 0)
			c.in, c.have = append([]byte(nil), input...), len(input)
			c.decode()
			for i := range c.calls {
				k := &c.calls[i]
				k.begin()
				b := k.appendTo(nil)
				switch k.shape {
				case shapeLine, shapeValues:
					if !oneRequest(b) {
						t.Fatalf("not one request: %q", b)
					}
				case shapeMeta, shapeQuiet, shapeBinary:
					again, _ := frontCalls(p, b, func(left int) int { return left })
					want := 1
					if k.shape == shapeQuiet {
						want = 2 // and its mn
					}
					if len(again) != want {
						t.Fatalf("%q is %d requests, want %d: %q", b, len(again), want, again)
					}
				}
			}
		}
	})
}
