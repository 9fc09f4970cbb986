package bench

import (
	"context"
	"fmt"
	"slices"
)

// benchCase is one kind of load of a comparison.
type benchCase struct {
	name  string
	alter func(*Config) // what differs from DefaultConfig
}

// match is servers that run at the same time, and the cases that all of them are measured in.
type match struct {
	// group is what chooses the match by name; several may have the same. Placement and names of cases are
	// different within it.
	group string
	place placement
	// peers: the first is the one that ratios refer to.
	peers []*peer
	cases []benchCase
	// prepare starts what the peers need before them; nil for nothing. Also with an error it returns what it has
	// started, which is stopped at the end.
	prepare func(context.Context) (processes, error)
	// together counts the processor time of what works behind a server as that server's.
	together bool
}

// CompareGroups returns the names of all groups of cases, in the order in which they are measured.
func CompareGroups() (names []string) {
	for _, m := range allMatches("", placement{}) {
		if !slices.Contains(names, m.group) {
			names = append(names, m.group)
		}
	}
	return names
}

// allMatches are measured in this order. alone is the placement in which a server has a processor for itself.
func allMatches(futago string, alone placement) []match {
	cache, redis, node := memcachedPeer(1), redisPeer(), futagoPeer(futago, "")
	certificate, behind := &certificate{}, &nodes{futago: futago}
	all := []match{
		{group: "core", place: alone, peers: []*peer{cache, redis, node}, cases: coreCases},
		{group: "core", place: freely, peers: []*peer{memcachedPeer(4), redis, node}, cases: coreCases},
		{group: "connections", place: alone, peers: []*peer{cache.with("-c", manyConnections), redis.with("--maxclients", manyConnections), node},
			cases: connectionCases()},
		{group: "sizes", place: alone, peers: []*peer{cache.with("-I", "2m"), redis, node}, cases: sizeCases()},
		{group: "incr", place: alone, peers: []*peer{cache, redis, node}, cases: loops("", func(c *Config) { c.GetRatio, c.IncrRatio = 0, 1 })},
	}
	for _, p := range []struct{ name, protocol string }{{"text", Memcache}, {"binary", Binary}, {"meta", Meta}} {
		all = append(all, match{group: "protocols", place: alone, peers: []*peer{cache.by(p.protocol), node.by(p.protocol)},
			cases: loops(p.name+" ", func(*Config) {})})
	}
	all = append(all,
		match{group: "protocols", place: alone, peers: []*peer{cache, node.by(Tyrant)}, cases: loops("tyrant ", func(*Config) {})},
		match{group: "unix", place: alone, cases: loops("", func(*Config) {}),
			peers: []*peer{cache.onSocket("-s", ""), redis.onSocket("--unixsocket", ""), node.onSocket("--listen", "unix:")}},
		match{group: "tls", place: alone, peers: certificate.peers(futago), prepare: certificate.make,
			cases: loops("", func(c *Config) { c.TLS = certificate.client })},
	)
	// Redis has other names: everysec does what interval does.
	for _, sync := range [][2]string{{"never", "no"}, {syncedSoon, "everysec"}, {syncedAlways, "always"}} {
		all = append(all, match{group: "fsync", place: freely, cases: []benchCase{{sync[0], func(c *Config) { c.GetRatio = 0 }}},
			peers: []*peer{redis.with("--appendonly", "yes", "--appendfsync", sync[1]), node.with("--fsync", sync[0])}})
	}
	pages := []benchCase{{"GET", func(c *Config) { c.GetRatio, c.Connections = 1, 64 }}}
	return append(all,
		match{group: "http", place: alone, peers: []*peer{nginxFilePeer(DefaultConfig().ValueSize), node.by(HTTP), cache}, cases: pages},
		match{group: "gateway", place: freely, cases: pages, prepare: behind.start,
			peers: []*peer{behind.nginxPeer("nginx, keepalive", true), behind.nginxPeer("nginx", false), behind.gatewayPeer()}},
	)
}

var coreCases = []benchCase{
	{"P=1", func(*Config) {}},
	{"P=16", func(c *Config) { c.Pipeline = 16 }},
	{"ten-key gets", func(c *Config) { c.MultiGet = 10 }},
	{"only sets", func(c *Config) { c.GetRatio = 0 }},
}

// loops are two cases of the same load, with one request under way on a connection and with 16.
func loops(prefix string, alter func(*Config)) []benchCase {
	return []benchCase{
		{prefix + "P=1", alter},
		{prefix + "P=16", func(c *Config) { alter(c); c.Pipeline = 16 }},
	}
}

// manyConnections is above the most that a case has.
const manyConnections = "11000"

func connectionCases() (cases []benchCase) {
	for _, n := range []int{50, 1000, 10_000} {
		cases = append(cases, benchCase{fmt.Sprint(n), func(c *Config) { c.Connections = n }})
	}
	return cases
}

// sizeCases have as many keys as make 64 MiB, at most.
func sizeCases() (cases []benchCase) {
	for _, s := range []struct {
		name string
		size int
	}{{"32 B", 32}, {"1 KiB", 1 << 10}, {"16 KiB", 16 << 10}, {"256 KiB", 256 << 10}, {"1 MiB", 1 << 20}} {
		cases = append(cases, benchCase{s.name, func(c *Config) { c.ValueSize, c.Keys = s.size, min(c.Keys, 64<<20/s.size) }})
	}
	return cases
}
