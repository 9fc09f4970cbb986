package server

import (
	"net"
	"path/filepath"
	"strings"
	"testing"
)

func TestBoundTo(t *testing.T) {
	tcp := func(ip string, port int) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: port} }
	for _, c := range []struct {
		listen string
		addr   net.Addr
		want   bool
	}{
		{"127.0.0.1:11211", tcp("127.0.0.1", 11211), true},
		{"127.0.0.1:11211", tcp("127.0.0.1", 11212), false},
		{"127.0.0.1:11211", tcp("127.0.0.2", 11211), false},
		{"127.0.0.1:11211", tcp("0.0.0.0", 11211), false},
		{"[::1]:11211,tls", tcp("::1", 11211), true},
		{":11211", tcp("::", 11211), true},
		{":11211", tcp("0.0.0.0", 11211), true},
		{":11211", tcp("127.0.0.1", 11211), false},
		{"0.0.0.0:11211", tcp("::", 11211), true},
		{"unix:/run/f", &net.UnixAddr{Name: "/run/f", Net: "unix"}, true},
		{"unix:/run/f", &net.UnixAddr{Name: "/run/g", Net: "unix"}, false},
		{"127.0.0.1:11211", &net.UnixAddr{Name: "127.0.0.1:11211", Net: "unix"}, false},
		{"unix:/run/f", tcp("127.0.0.1", 11211), false},
	} {
		l, err := ParseListen(c.listen)
		if err != nil {
			t.Fatal(err)
		}
		if got := l.boundTo(c.addr); got != c.want {
			t.Errorf("%s, socket at %s: got %v, want %v", c.listen, c.addr, got, c.want)
		}
	}
}

// TestSockets serves clients at a socket that was open before the server was, beside an address that the server opens itself.
func TestSockets(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	early, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer early.Close()
	if _, err := early.Write([]byte("set k 0 0 1\r\nv\r\n")); err != nil {
		t.Fatal(err)
	}
	s := startServer(t, openStore(t, nil), func(c *Config) {
		c.Listen = append(c.Listen, Listener{Network: "unix", Address: path, Protocols: AllProtocols})
		c.Sockets = []net.Listener{ln}
	})
	reply := make([]byte, len("STORED\r\n"))
	if _, err := early.Read(reply); err != nil || string(reply) != "STORED\r\n" {
		t.Errorf("a client that was there before the server: got %q, %v", reply, err)
	}
	late, err := net.Dial("tcp", s.Addrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	late.Close()
}

func TestSocketNobodyServes(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	cfg := testConfig(t, "127.0.0.1:1")
	cfg.Sockets = []net.Listener{ln}
	_, err = New(cfg, openStore(t, nil))
	if err == nil || !strings.Contains(err.Error(), ln.Addr().String()) || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("got %v, want an error with both addresses", err)
	}
}
