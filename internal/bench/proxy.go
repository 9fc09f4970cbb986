package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// proxyCases are measured in this order; each alters DefaultConfig.
var proxyCases = []benchCase{
	{"gets, 1 conn", func(c *Config) { c.GetRatio, c.Connections = 1, 1 }},
	{"gets, 50 conns", func(c *Config) { c.GetRatio = 1 }},
	{"gets, 50 x 16", func(c *Config) { c.GetRatio, c.Pipeline = 1, 16 }},
	{"sets, 1 conn", func(c *Config) { c.GetRatio, c.Connections = 0, 1 }},
	{"sets, 50 conns", func(c *Config) { c.GetRatio = 0 }},
	{"sets, 50 x 16", func(c *Config) { c.GetRatio, c.Pipeline = 0, 16 }},
}

// CompareProxy measures one node directly, through `futago proxy` and through twemproxy, in interleaved rounds. With an
// error after the first measurement it returns what there is until then, too.
func CompareProxy(ctx context.Context, c CompareConfig) (report *Report, err error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if _, err := lookProgram("nutcracker"); err != nil {
		return nil, fmt.Errorf("compare proxies: %w", err)
	}
	var servers processes
	defer func() { err = errors.Join(err, servers.stop()) }()
	node, err := futagoPeer(c.Futago, "").named("direct").start(ctx, -1)
	if err != nil {
		return nil, err
	}
	servers = append(servers, node)
	statsPort, err := freePort()
	if err != nil {
		return nil, err
	}
	m := match{group: "proxy", place: freely, cases: proxyCases, peers: []*peer{proxyPeer(c.Futago, node.address), twemproxyPeer(node.address, statsPort)}}
	for _, p := range m.peers {
		s, err := p.start(ctx, -1)
		if err != nil {
			return nil, err
		}
		servers = append(servers, s)
	}
	report = newReport(ctx, c, []match{m})
	if err := m.rounds(ctx, c, servers, processes{node}, report); err != nil {
		return report, fmt.Errorf("compare proxies: %w", err)
	}
	return report, nil
}

func proxyPeer(program, node string) *peer {
	return &peer{
		name: "futago proxy", program: program, protocol: Memcache,
		args: func(port int, _ string) []string {
			return []string{"proxy", "--listen", at(localhost, port), "--admin-listen", "none", "--upstream", node}
		},
	}
}

// twemproxyPeer gets as many connections to the node as futago's proxy has.
func twemproxyPeer(node string, statsPort int) *peer {
	return &peer{
		name: "twemproxy", program: "nutcracker", protocol: Memcache,
		args: func(port int, dir string) []string {
			file := filepath.Join(dir, "nutcracker.yml")
			text := fmt.Sprintf("pool:\n  listen: %s\n  hash: fnv1a_64\n  distribution: ketama\n  auto_eject_hosts: false\n"+
				"  server_connections: 2\n  servers:\n   - %s:1\n", at(localhost, port), node)
			_ = os.WriteFile(file, []byte(text), 0o600) // without it nutcracker ends and says why
			return []string{"-c", file, "-a", localhost, "-s", strconv.Itoa(statsPort)}
		},
	}
}
