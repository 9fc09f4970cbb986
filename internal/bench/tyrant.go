package bench

import (
	"context"
	"errors"
	"fmt"
)

// tyrantCases are measured in this order; each alters DefaultConfig.
var tyrantCases = []benchCase{
	{"P=1", func(*Config) {}},
	{"P=16", func(c *Config) { c.Pipeline = 16 }},
	{"gets, P=1", func(c *Config) { c.GetRatio = 1 }},
	{"gets, P=16", func(c *Config) { c.GetRatio, c.Pipeline = 1, 16 }},
	{"puts, P=1", func(c *Config) { c.GetRatio = 0 }},
	{"puts, P=16", func(c *Config) { c.GetRatio, c.Pipeline = 0, 16 }},
	{"100-key gets", func(c *Config) { c.GetRatio, c.MultiGet = 1, 100 }},
}

// CompareTyrant measures a node by Tokyo Tyrant's binary protocol beside the same node by memcached's text protocol, and
// memcached, in interleaved rounds; then fwmkeys at another node of so many records. With an error after the first
// measurement it returns what there is until then, too.
func CompareTyrant(ctx context.Context, c CompareConfig, records int) (*Report, error) {
	if err := errors.Join(c.Validate(), validateListed(records)); err != nil {
		return nil, err
	}
	pl, err := pinned(memcachedPeer(1), futagoPeer(c.Futago))
	if err != nil {
		return nil, err
	}
	return compareTyrant(ctx, c, pl, records)
}

// compareTyrant has the node as the second peer of its placement.
func compareTyrant(ctx context.Context, c CompareConfig, pl placement, records int) (report *Report, err error) {
	if err := lookPrograms(pl.peers); err != nil {
		return nil, err
	}
	report = newReport(c)
	if err := compareFaces(ctx, c, pl, report); err != nil {
		return report, fmt.Errorf("compare protocols: %w", err)
	}
	report.tables, err = measureFwmKeys(ctx, c, pl.peers[1], records)
	if err != nil {
		return report, fmt.Errorf("measure fwmkeys: %w", err)
	}
	return report, nil
}

// compareFaces measures tyrantCases.
func compareFaces(ctx context.Context, c CompareConfig, pl placement, report *Report) (err error) {
	var servers []*process
	for _, p := range pl.peers {
		s, err := p.start(ctx, pl.serverCPU)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, s.stop()) }()
		servers = append(servers, s)
	}
	node := servers[1]
	servers[1] = node.as(node.peer.name+", memcache", Memcache)
	servers = append(servers, node.as(node.peer.name+", tyrant", Tyrant))
	return measureRounds(ctx, c, pl, tyrantCases, servers, report)
}
