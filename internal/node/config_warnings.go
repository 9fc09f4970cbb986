package node

import (
	"fmt"
	"net"
	"strings"
)

// Warnings are what is allowed, and hardly meant. Nothing is opened or asked for them.
func (c *Config) Warnings() (all []string) {
	alone := len(c.Peer) > 0
	for _, peer := range c.Peer {
		alone = alone && c.own(peer)
	}
	if alone {
		all = append(all, fmt.Sprintf("peer %s: that is this node's own address: name the peer-listen of another node, or this one has no copy until another joins", strings.Join(c.Peer, " ")))
	}
	return all
}

// own reports whether an address is certainly where this node listens for peers.
func (c *Config) own(peer string) bool {
	if peer == c.PeerListen || peer == c.PeerAdvertise {
		return true
	}
	host, port, err := net.SplitHostPort(peer)
	listenHost, listenPort, err2 := net.SplitHostPort(c.PeerListen)
	if err != nil || err2 != nil || port != listenPort || port == "0" {
		return false
	}
	ip, all := net.ParseIP(host), net.ParseIP(listenHost)
	return (host == "localhost" || ip != nil && ip.IsLoopback()) && (listenHost == "" || all != nil && all.IsUnspecified())
}
