package access

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// The words of the setting allow-open: addresses that may be open to everybody who reaches them, wherever that is.
const (
	OpenClients = "clients"
	OpenAdmin   = "admin"
	OpenPeers   = "peers"
	OpenAll     = "all" // of them
)

// OpenWords are all of them. A process takes the words of all, for an environment is often shared.
var OpenWords = []string{OpenClients, OpenAdmin, OpenPeers, OpenAll}

// shared is RFC 6598's, which no public network routes.
var shared = netip.MustParsePrefix("100.64.0.0/10")

// Exposed reports whether strangers may reach an address that is listened at: host:port, :port or unix:/path, options after a
// comma do not count. Loopback, sockets of this machine, and addresses of private networks (RFC 1918, RFC 4193, RFC 6598,
// link-local) are not exposed; all interfaces at once are, and so is a name, of which nobody knows what it will mean.
func Exposed(address string) bool {
	ip, local := resolve(address)
	return !local && !ip.IsPrivate() && !ip.IsLinkLocalUnicast() && !shared.Contains(ip)
}

// resolve returns the IP of an address, invalid for a name, and whether it does not leave this machine.
func resolve(address string) (ip netip.Addr, local bool) {
	address, _, _ = strings.Cut(address, ",")
	if strings.HasPrefix(address, "unix:") {
		return ip, true
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return ip, true // the address is refused for that
	}
	if host = strings.ToLower(host); host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return ip, true
	}
	if ip, err = netip.ParseAddr(host); err != nil {
		return netip.Addr{}, false
	}
	ip = ip.Unmap()
	return ip, ip.IsLoopback()
}

// WarnInClear logs once which of the addresses, at which users log in and which do not insist on TLS, are reached from other
// machines: passwords and tokens can be read on the way.
func WarnInClear(logger *slog.Logger, addresses ...string) {
	addresses = slices.DeleteFunc(slices.Clone(addresses), func(a string) bool { _, local := resolve(a); return local })
	if len(addresses) > 0 {
		logger.Warn("passwords cross the network in the clear: users log in without TLS", "addresses", strings.Join(addresses, " "),
			"do", "put ,tls behind each address and set tls-cert and tls-key, or listen on loopback alone")
	}
}

// Unguarded returns why an address must not be listened at: strangers reach it, nobody is asked who he is, and open, the words
// of allow-open, do not say that this is meant. setting and word are of the address, guards what would protect it.
func Unguarded(setting, address, guards, word string, open []string) error {
	if !Exposed(address) || slices.Contains(open, word) || slices.Contains(open, OpenAll) {
		return nil
	}
	return fmt.Errorf("%s %q: strangers may reach it, and nobody would be asked who they are: set %s, name an address of loopback or a private network, or say so with --allow-open %s",
		setting, address, guards, word)
}

// OpenProblems returns what is wrong with the words of allow-open.
func OpenProblems(open []string) (errs []error) {
	for _, word := range open {
		if !slices.Contains(OpenWords, word) {
			errs = append(errs, fmt.Errorf("allow-open %q: allowed is %s", word, strings.Join(OpenWords, ", ")))
		}
	}
	return errs
}
