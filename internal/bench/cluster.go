package bench

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// clusterSizes are the numbers of masters that the front is measured with.
var clusterSizes = []int{1, 3}

// clusterCase is one load that a front gets from this generator and the bare cluster from redis-benchmark.
type clusterCase struct {
	name  string
	alter func(*Config)
	// tools make the load of the bare cluster; the first is what ratios refer to.
	tools []clusterTool
}

// clusterTool is redis-benchmark sending one command.
type clusterTool struct {
	server  string // the row that its figures go to
	batch   int    // commands at once that make one request
	command func(*Config) []string
}

// clusterCases have one kind of request each, for redis-benchmark makes only one.
var clusterCases = []clusterCase{
	{"gets, P=1", func(c *Config) { c.GetRatio = 1 }, bare(getCommand)},
	{"gets, P=16", func(c *Config) { c.GetRatio, c.Pipeline = 1, 16 }, bare(getCommand)},
	{"ten-key gets", func(c *Config) { c.GetRatio, c.MultiGet = 1, 10 }, []clusterTool{
		{"redis, 10 GETs at once", 10, getCommand},
		{"redis, MGET of one slot", 1, func(*Config) []string {
			return append([]string{"MGET"}, strings.Fields(strings.Repeat(" "+clusterKey, 10))...)
		}},
	}},
	{"only sets, P=1", func(c *Config) { c.GetRatio = 0 }, bare(setCommand)},
	{"only sets, P=16", func(c *Config) { c.GetRatio, c.Pipeline = 0, 16 }, bare(setCommand)},
}

func bare(command func(*Config) []string) []clusterTool {
	return []clusterTool{{"redis", 1, command}}
}

const (
	// clusterKey is a key of redis-benchmark: in {} the name of a slot, which it takes one of for each master, and a number of 12 digits.
	clusterKey     = "{tag}__rand_int__"
	clusterKeySize = len("{xyz}") + 12
	// fillRepeat is how often each key is set on average, at random, so that a get that finds nothing is rare.
	fillRepeat = 12
)

func getCommand(*Config) []string { return []string{"GET", clusterKey} }
func setCommand(c *Config) []string {
	return []string{"SET", clusterKey, strings.Repeat("x", c.ValueSize)}
}

// on returns the tool for a cluster of so many masters.
func (t *clusterTool) on(masters int) *tool {
	made := *redisBenchmarkTool
	made.batch = t.batch
	made.args = func(host, port string, c *Config, n int) []string {
		args := redisBenchmarkArgs(host, port, c.Connections, c.Pipeline*t.batch, n, c.Keys/masters)
		if masters > 1 { // it does not take one server for a cluster; then {tag} is a name as it stands
			args = append(args, "--cluster")
		}
		return append(args, t.command(c)...)
	}
	return &made
}

// likeClusterBenchmark gives a front's load keys of the same size.
func likeClusterBenchmark(c *Config) { c.KeySize = clusterKeySize }

// CompareCluster measures fronts of Redis clusters beside the bare clusters, each with its own load generator, in interleaved rounds;
// then what clients see of a master's end, through a front and without one. With an error after the first measurement it returns
// what there is until then, too.
func CompareCluster(ctx context.Context, c CompareConfig, k ClusterKillConfig) (report *Report, err error) {
	if err := errors.Join(c.Validate(), k.Validate()); err != nil {
		return nil, err
	}
	return compareCluster(ctx, c, k, clusterCases)
}

func compareCluster(ctx context.Context, c CompareConfig, k ClusterKillConfig, cases []clusterCase) (report *Report, err error) {
	all := match{group: "cluster", peers: []*peer{redisPeer(), futagoPeer(c.Futago, "")}}
	if err := errors.Join(lookTools([]*tool{redisBenchmarkTool}), lookPrograms([]match{all})); err != nil {
		return nil, fmt.Errorf("compare a cluster: %w", err)
	}
	report = newReport(ctx, c, []match{all})
	growth, err := measureClusters(ctx, c, cases, report)
	if err != nil {
		return report, fmt.Errorf("compare a cluster: %w", err)
	}
	kills, err := measureClusterKills(ctx, c, k)
	report.tables = finished(append([]*Table{growth}, kills...))
	if err != nil {
		return report, fmt.Errorf("kill masters: %w", err)
	}
	return report, nil
}

// measureClusters adds all cases to the report and returns the table that puts the sizes side by side.
func measureClusters(ctx context.Context, c CompareConfig, cases []clusterCase, report *Report) (growth *Table, err error) {
	var measured []*measuredCluster
	defer func() {
		for _, m := range measured {
			err = errors.Join(err, m.stop())
		}
	}()
	for _, masters := range clusterSizes {
		m, err := startMeasured(ctx, c, masters)
		if err != nil {
			return nil, err
		}
		measured = append(measured, m)
	}
	growth = &Table{
		Case:    "growth",
		Title:   fmt.Sprintf("processor time of a request with %d masters, as a multiple of that with %d", clusterSizes[1], clusterSizes[0]),
		Columns: []string{"ratio", fmt.Sprintf("CPU us, %d", clusterSizes[0]), fmt.Sprintf("CPU us, %d", clusterSizes[1])},
	}
	for round := range c.Rounds {
		for _, cc := range cases {
			var bySize []map[string]*Result
			for _, m := range measured {
				results, err := m.once(ctx, c, cc, uint64(round+1), report)
				if err != nil {
					return growth, fmt.Errorf("%s, %s: %w", m.match.group, cc.name, err)
				}
				bySize = append(bySize, results)
			}
			for _, server := range cc.servers() {
				few, many := bySize[0][server], bySize[1][server]
				if few.ServerCPUMicros == 0 {
					continue // too short a window for a tick of processor time
				}
				growth.add(cc.name+": "+server, Round{
					Values:     []float64{many.ServerCPUMicros / few.ServerCPUMicros, few.ServerCPUMicros, many.ServerCPUMicros},
					OtherCores: max(few.OtherCores, many.OtherCores),
				})
			}
		}
		if c.Log != nil {
			fmt.Fprintf(c.Log, "cluster: round %d of %d\n", round+1, c.Rounds)
		}
	}
	return growth, nil
}

const frontName = "front"

// servers are the names of a case's rows, in their order.
func (cc *clusterCase) servers() (names []string) {
	for _, t := range cc.tools {
		names = append(names, t.server)
	}
	return append(names, frontName)
}

// measuredCluster is a cluster with a front, and what is known of it.
type measuredCluster struct {
	match   match
	cluster *redisCluster
	front   *process
	rates   map[string]float64 // requests a second of redis-benchmark, by case and row
}

// startMeasured starts a cluster without replicas, sets the keys of redis-benchmark, and starts a front.
func startMeasured(ctx context.Context, c CompareConfig, masters int) (_ *measuredCluster, err error) {
	m := &measuredCluster{
		match: match{group: strconv.Itoa(masters) + " master", place: freely, together: true},
		rates: map[string]float64{},
	}
	if masters > 1 {
		m.match.group += "s"
	}
	if m.cluster, err = startRedisCluster(ctx, masters, 0, quietNodeTimeout); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.stop())
		}
	}()
	if err := m.fill(ctx, c); err != nil {
		return nil, err
	}
	m.front, err = m.cluster.frontPeer(c.Futago, frontName, "").start(ctx, -1)
	return m, err
}

// fill sets nearly all keys of redis-benchmark, and makes sure of it.
func (m *measuredCluster) fill(ctx context.Context, c CompareConfig) error {
	load := m.config(c, benchCase{"fill", func(c *Config) { c.Pipeline = 16 }})
	if _, err := (&clusterTool{batch: 1, command: setCommand}).on(m.masters()).run(ctx, m.cluster.processes, &load, fillRepeat*load.Keys); err != nil {
		return err
	}
	n, err := m.cluster.keys()
	if err == nil && n < load.Keys*99/100 {
		err = fmt.Errorf("redis-benchmark set %d of %d keys", n, load.Keys)
	}
	return err
}

// config is the load of a case on the bare cluster.
func (m *measuredCluster) config(c CompareConfig, bc benchCase) Config {
	load := caseConfig(c, m.match.place, benchCase{bc.name, func(c *Config) { likeClusterBenchmark(c); bc.alter(c) }}, m.cluster.processes[0])
	load.ServerPID = 0 // several
	return load
}

// once measures a case once on the bare cluster and through the front.
func (m *measuredCluster) once(ctx context.Context, c CompareConfig, cc clusterCase, seed uint64, report *Report) (map[string]*Result, error) {
	results := map[string]*Result{}
	bc := benchCase{cc.name, cc.alter}
	load := m.config(c, bc)
	for _, t := range cc.tools {
		result, err := m.bare(ctx, &load, cc.name, t)
		if err != nil {
			return nil, err
		}
		results[t.server] = result
	}
	bc.alter = func(c *Config) { likeClusterBenchmark(c); cc.alter(c) }
	result, err := m.match.once(ctx, c, bc, m.front, m.cluster.processes, seed)
	if err != nil {
		return nil, err
	}
	results[frontName] = result
	for _, server := range cc.servers() {
		report.add(&m.match, cc.name, server, results[server])
		if err := writeRaw(c.Raw, &m.match, cc.name, server, results[server]); err != nil {
			return nil, err
		}
	}
	return results, nil
}

// bare measures the cluster without a front.
func (m *measuredCluster) bare(ctx context.Context, load *Config, name string, t clusterTool) (*Result, error) {
	// The tool takes a number of requests, not a time: as many as fit by the run before, the first of which does not count.
	const first = 20_000
	row, tool := name+", "+t.server, t.on(m.masters())
	if m.rates[row] == 0 {
		result, err := tool.run(ctx, m.cluster.processes, load, first)
		if err != nil {
			return nil, err
		}
		m.rates[row] = result.OpsPerSecond
	}
	result, err := tool.run(ctx, m.cluster.processes, load, int(m.rates[row]*load.Duration.Seconds()))
	if err != nil {
		return nil, err
	}
	m.rates[row] = result.OpsPerSecond
	result.BehindCPUMicros = result.ServerCPUMicros // there is no front
	return result, nil
}

// masters are all servers: there are no replicas.
func (m *measuredCluster) masters() int { return len(m.cluster.servers) }

func (m *measuredCluster) stop() error {
	var err error
	if m.front != nil {
		err = m.front.stop()
	}
	return errors.Join(err, m.cluster.processes.discard())
}
