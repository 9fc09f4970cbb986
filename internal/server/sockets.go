package server

import (
	"fmt"
	"net"
)

// checkSockets refuses a socket that no address of Listen names: nobody would serve its clients.
func (c *Config) checkSockets() error {
next:
	for _, ln := range c.Sockets {
		for _, l := range c.Listen {
			if l.boundTo(ln.Addr()) {
				continue next
			}
		}
		return fmt.Errorf("listen %q: the service manager has opened %s, which is none of these; give both the same addresses", c.Listen, ln.Addr())
	}
	return nil
}

// open returns the socket that was opened for l, and opens the address itself where there is none.
func (c *Config) open(l Listener) (net.Listener, error) {
	for _, ln := range c.Sockets {
		if l.boundTo(ln.Addr()) {
			return ln, nil
		}
	}
	return l.Open()
}

// boundTo reports whether a socket with the address a is one for l. All interfaces are the same whether written for IPv4 or IPv6.
func (l Listener) boundTo(a net.Addr) bool {
	got, ok := a.(*net.TCPAddr)
	if !ok || l.Network != "tcp" {
		return a.Network() == l.Network && a.String() == l.Address
	}
	want, err := net.ResolveTCPAddr("tcp", l.Address)
	if err != nil || want.Port != got.Port {
		return false
	}
	return want.IP.Equal(got.IP) || anywhere(want.IP) && anywhere(got.IP)
}

func anywhere(ip net.IP) bool { return ip == nil || ip.IsUnspecified() }
