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
	alone, err := pinned()
	if err != nil {
		return nil, err
	}
	node := futagoPeer(c.Futago, "")
	return compareTyrant(ctx, c, match{group: "tyrant", place: alone, cases: tyrantCases, peers: []*peer{
		memcachedPeer(1), node.named("futago, memcache"), node.by(Tyrant).named("futago, tyrant"),
	}}, records)
}

// compareTyrant has the node as the last peer of its match.
func compareTyrant(ctx context.Context, c CompareConfig, m match, records int) (report *Report, err error) {
	report, err = compare(ctx, c, []match{m})
	if err != nil {
		return report, err
	}
	report.tables, err = measureFwmKeys(ctx, c, m.peers[len(m.peers)-1], records)
	if err != nil {
		return report, fmt.Errorf("measure fwmkeys: %w", err)
	}
	return report, nil
}
