package replication

import (
	"net"
	"testing"
)

// A follower may tell of its own machine only.
func TestAdminOf(t *testing.T) {
	for _, c := range []struct{ said, from, want string }{
		{"10.0.0.2:11280", "10.0.0.2", "10.0.0.2:11280"},
		{":11280", "10.0.0.2", "10.0.0.2:11280"},
		{"0.0.0.0:11280", "10.0.0.2", "10.0.0.2:11280"},
		{"[::]:11280", "fd00::2", "[fd00::2]:11280"},
		{"127.0.0.1:11280", "127.0.0.1", "127.0.0.1:11280"},
		{"127.3.0.2:11280", "127.0.0.1", "127.3.0.2:11280"},
		{"127.0.0.1:11280", "10.0.0.2", ""},
		{"10.0.0.3:11280", "10.0.0.2", ""},
		{"169.254.169.254:80", "10.0.0.2", ""},
		{"admin.example:80", "10.0.0.2", ""},
		{"10.0.0.2:80@evil.example", "10.0.0.2", ""},
		{":0", "10.0.0.2", ""},
		{"10.0.0.2", "10.0.0.2", ""},
		{"", "10.0.0.2", ""},
	} {
		remote := &net.TCPAddr{IP: net.ParseIP(c.from), Port: 40000}
		if got := adminOf(&hello{Admin: c.said}, remote); got != c.want {
			t.Errorf("admin port %q told from %s: got %q, want %q", c.said, c.from, got, c.want)
		}
	}
}
