package node

import (
	"errors"
	"fmt"

	"github.com/futago/futago/internal/access"
	"github.com/futago/futago/internal/server"
)

// tlsProblems returns what is wrong with the client addresses, and with the certificates for them and the admin address.
func (c *Config) tlsProblems() (errs []error) {
	var secure, mutual bool
	note := func(mode server.TLSMode) {
		secure, mutual = secure || mode != server.NoTLS, mutual || mode == server.MutualTLS
	}
	for _, text := range c.Listen {
		l, err := server.ParseListen(text)
		if err != nil {
			errs = append(errs, err)
		}
		note(l.TLS)
	}
	admin := c.adminTLS()
	note(admin)
	if admin == server.OptionalTLS {
		errs = append(errs, fmt.Errorf("admin-listen %q: allowed is tls or tls=mutual", c.AdminListen))
	}
	n := countSet(c.TLSCert, c.TLSKey)
	switch {
	case n == 0 && secure:
		errs = append(errs, errors.New("tls-cert and tls-key are not set: a listen address has the option tls, which needs a certificate and its key"))
	case n == 1:
		errs = append(errs, fmt.Errorf("tls-cert %q, tls-key %q: one is missing, set both or none", c.TLSCert, c.TLSKey))
	case n == 2 && !secure:
		errs = append(errs, fmt.Errorf("tls-cert %q: allowed is empty, for no listen address has the option tls", c.TLSCert))
	}
	if mutual != (c.TLSClientCA != "") {
		errs = append(errs, fmt.Errorf("tls-client-ca %q: allowed is a file where a listen address has the option tls=mutual, otherwise empty", c.TLSClientCA))
	}
	if c.AdminTLSCA != "" && admin == server.NoTLS {
		errs = append(errs, fmt.Errorf("admin-tls-ca %q: allowed is empty, for admin-listen has not the option tls", c.AdminTLSCA))
	}
	return errs
}

// adminTLS is what the admin address does with TLS.
func (c *Config) adminTLS() server.TLSMode {
	if c.AdminListen == "none" {
		return server.NoTLS
	}
	l, _ := server.ParseListen(c.AdminListen) // Validate says what is wrong with it
	return l.TLS
}

// loginsInClear are the addresses at which users may log in without TLS.
func (c *Config) loginsInClear() (list []string) {
	for _, text := range c.Listen {
		if l, _ := server.ParseListen(text); l.TLS == server.NoTLS || l.TLS == server.OptionalTLS {
			list = append(list, text)
		}
	}
	if c.AdminListen != "none" && c.adminTLS() == server.NoTLS {
		list = append(list, c.AdminListen)
	}
	return list
}

// accessProblems returns which addresses strangers would reach without being asked who they are, and what is wrong beside.
func (c *Config) accessProblems() []error {
	errs := access.OpenProblems(c.AllowOpen)
	open := func(setting, address, guards, word string) {
		if err := access.Unguarded(setting, address, guards, word, c.AllowOpen); err != nil {
			errs = append(errs, err)
		}
	}
	if c.Users == "" {
		for _, text := range c.Listen {
			if l, err := server.ParseListen(text); err == nil && l.TLS != server.MutualTLS {
				open("listen", text, "users, or tls=mutual behind it", access.OpenClients)
			}
		}
		if c.AdminListen != "none" && c.adminTLS() != server.MutualTLS {
			open("admin-listen", c.AdminListen, "users, or tls=mutual behind it", access.OpenAdmin)
		}
	}
	if c.PeerListen != "" && countSet(c.PeerTLSCert, c.PeerSecretFile) == 0 {
		open("peer-listen", c.PeerListen, "peer-tls-cert, peer-tls-key and peer-tls-ca, or peer-secret-file", access.OpenPeers)
	}
	return errs
}
