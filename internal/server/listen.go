package server

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/futago/futago/internal/nearest"
)

// Protocol is a set of protocols.
type Protocol uint8

const (
	Memcache Protocol = 1 << iota // memcached's protocols, text and binary
	HTTP                          // keys as paths
	Tyrant                        // Tokyo Tyrant's binary protocol

	// AllProtocols are served where none is named.
	AllProtocols = Memcache | HTTP | Tyrant
)

var protocolNames = []struct {
	name  string
	value Protocol
}{{"memcache", Memcache}, {"http", HTTP}, {"tyrant", Tyrant}}

// TLSMode says what a listener does with TLS.
type TLSMode uint8

const (
	NoTLS       TLSMode = iota
	OptionalTLS         // the first byte of a connection decides
	OnlyTLS
	MutualTLS // and the client shows a certificate
)

// tlsOptions are the modes as options of a listener.
var tlsOptions = []struct {
	text string
	mode TLSMode
}{{"tls", OnlyTLS}, {"tls=optional", OptionalTLS}, {"tls=mutual", MutualTLS}}

// Listener is one address to serve.
type Listener struct {
	Network   string // tcp or unix
	Address   string // host:port, or the path of the socket
	Protocols Protocol
	TLS       TLSMode
}

// ParseListen reads host:port, [v6]:port, :port or unix:/path, optionally followed by ,protocols=NAME+NAME and by
// ,tls or ,tls=optional or ,tls=mutual. Without them all protocols are served, without TLS.
func ParseListen(text string) (Listener, error) {
	address, options, hasOptions := strings.Cut(text, ",")
	l := Listener{Network: "tcp", Address: address, Protocols: AllProtocols}
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		l.Network, l.Address = "unix", path
		if path == "" {
			return Listener{}, fmt.Errorf("listen %q: the path after unix: is empty", text)
		}
	} else if err := checkHostPort(address); err != nil {
		return Listener{}, fmt.Errorf("listen %q: %w", text, err)
	}
	for hasOptions {
		var option string
		option, options, hasOptions = strings.Cut(options, ",")
		name, value, _ := strings.Cut(option, "=")
		var err error
		switch name {
		case "protocols":
		case "tls":
			if l.TLS, err = parseTLSMode(option); err != nil {
				return Listener{}, fmt.Errorf("listen %q: %w", text, err)
			}
			continue
		default:
			return Listener{}, fmt.Errorf("listen %q: unknown option %q, nearest is %q", text, name, nearest.Name(name, []string{"protocols", "tls"}))
		}
		if l.Protocols, err = parseProtocols(value); err != nil {
			return Listener{}, fmt.Errorf("listen %q: %w", text, err)
		}
	}
	return l, nil
}

func parseTLSMode(option string) (TLSMode, error) {
	for _, o := range tlsOptions {
		if option == o.text {
			return o.mode, nil
		}
	}
	return NoTLS, fmt.Errorf("option %q: want tls, tls=optional or tls=mutual", option)
}

func checkHostPort(address string) error {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return errors.New("want host:port, [v6]:port, :port or unix:/path")
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("port %q: want 0 to 65535", port)
	}
	return nil
}

func parseProtocols(text string) (Protocol, error) {
	var set Protocol
	var names []string
	for _, p := range protocolNames {
		names = append(names, p.name)
	}
next:
	for name := range strings.SplitSeq(text, "+") {
		for _, p := range protocolNames {
			if name == p.name {
				set |= p.value
				continue next
			}
		}
		return 0, fmt.Errorf("unknown protocol %q, nearest is %q", name, nearest.Name(name, names))
	}
	return set, nil
}

// String is the text that ParseListen reads.
func (l Listener) String() string {
	text := l.Address
	if l.Network == "unix" {
		text = "unix:" + text
	}
	if l.Protocols != AllProtocols {
		var names []string
		for _, p := range protocolNames {
			if l.Protocols&p.value != 0 {
				names = append(names, p.name)
			}
		}
		text += ",protocols=" + strings.Join(names, "+")
	}
	for _, o := range tlsOptions {
		if l.TLS == o.mode {
			text += "," + o.text
		}
	}
	return text
}

// Open opens the address. The socket file of a process that is gone is removed first.
func (l Listener) Open() (net.Listener, error) {
	if l.Network == "unix" {
		if info, err := os.Lstat(l.Address); err == nil && info.Mode()&os.ModeSocket != 0 {
			if c, err := net.Dial("unix", l.Address); err == nil {
				c.Close()
				return nil, fmt.Errorf("listen on %s: another process serves it", l)
			}
			if err := os.Remove(l.Address); err != nil {
				return nil, fmt.Errorf("remove a stale socket: %w", err)
			}
		}
	}
	ln, err := net.Listen(l.Network, l.Address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", l, err)
	}
	return ln, nil
}
