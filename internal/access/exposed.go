package access

import (
	"fmt"
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
	address, _, _ = strings.Cut(address, ",")
	if strings.HasPrefix(address, "unix:") {
		return false
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false // the address is refused for that
	}
	if host = strings.ToLower(host); host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return false
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return true
	}
	ip = ip.Unmap()
	return !ip.IsLoopback() && !ip.IsPrivate() && !ip.IsLinkLocalUnicast() && !shared.Contains(ip)
}

// Unguarded returns why an address must not be listened at: strangers reach it, nobody is asked who he is, and open, the words
// of allow-open, do not say that this is meant. setting and word are of the address, guards what would protect it.
func Unguarded(setting, address, guards, word string, open []string) error {
	if !Exposed(address) || slices.Contains(open, word) || slices.Contains(open, OpenAll) {
		return nil
	}
	return fmt.Errorf("%s %q: strangers may reach it, and nobody would be asked who he is: set %s, name an address of loopback or a private network, or say allow-open %q",
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
