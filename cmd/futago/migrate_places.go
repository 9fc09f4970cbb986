package main

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// place is a client address, and the admin address of who named it.
type place struct{ addr, admin string }

// where are the addresses that a place may be reached at, as far as that is known here. What names its own machine is looked for at the
// machine of the admin address.
func (p place) where(ctx context.Context) (list []string) {
	host, port, err := net.SplitHostPort(p.addr)
	if err != nil || strings.Contains(p.addr, "/") {
		return []string{p.addr} // a socket of unix
	}
	if admin, _, err := net.SplitHostPort(clientAddr(p.admin)); err == nil && isHere(host) && !isHere(admin) {
		host = admin
	}
	if isHere(host) {
		all, _ := net.InterfaceAddrs() // others may use any of them
		for _, a := range all {
			if prefix, err := netip.ParsePrefix(a.String()); err == nil {
				list = append(list, net.JoinHostPort(prefix.Addr().String(), port))
			}
		}
	}
	names, err := net.DefaultResolver.LookupHost(ctx, host) // an address is itself
	if err != nil {
		names = []string{host}
	}
	for _, name := range names {
		if ip, err := netip.ParseAddr(name); err == nil {
			name = ip.Unmap().String()
		}
		list = append(list, net.JoinHostPort(name, port))
	}
	return list
}

// isHere reports whether a host is that of who names it.
func isHere(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "" || host == "localhost" || err == nil && (ip.IsLoopback() || ip.IsUnspecified())
}

// meet reports whether two lists of places may have one in common.
func meet(ctx context.Context, a, b []place) bool {
	var known []string
	for _, p := range a {
		known = append(known, p.where(ctx)...)
	}
	return slices.ContainsFunc(b, func(p place) bool {
		return slices.ContainsFunc(p.where(ctx), func(at string) bool { return slices.Contains(known, at) })
	})
}
