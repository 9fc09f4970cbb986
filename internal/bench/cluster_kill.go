package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/futago/futago/internal/rediscluster/servers"
)

// ClusterKillConfig says how masters of a cluster are killed.
type ClusterKillConfig struct {
	// Kills of a master with each of NodeTimeouts; 0 for none.
	Kills int
	// NodeTimeouts are how long a server may be silent before the others take it for dead.
	NodeTimeouts []time.Duration
	// Rate is how many sets a second each client makes, at most.
	Rate float64
}

// DefaultClusterKillConfig returns five kills with a short time and with Redis' own.
func DefaultClusterKillConfig() ClusterKillConfig {
	return ClusterKillConfig{Kills: 5, NodeTimeouts: []time.Duration{time.Second, 15 * time.Second}, Rate: 1000}
}

// Validate returns all problems at once.
func (c *ClusterKillConfig) Validate() error {
	var errs []error
	if c.Kills < 0 || c.Kills > 1000 {
		errs = append(errs, fmt.Errorf("kills %d: must be 0 to 1000", c.Kills))
	}
	for _, d := range c.NodeTimeouts {
		if d < 100*time.Millisecond || d > time.Minute {
			errs = append(errs, fmt.Errorf("node-timeout %v: must be 100ms to 1m", d))
		}
	}
	if !(c.Rate >= 1 && c.Rate <= 100_000) {
		errs = append(errs, fmt.Errorf("kill-rate %g: must be 1 to 100000 sets a second", c.Rate))
	}
	return errors.Join(errs...)
}

const (
	killMasters = 3
	// killReplicas give the first master two: when one of them has taken its place, sets that wait for a replica find another.
	killReplicas = killMasters + 1
	// settling is the load before a kill and after the last client has recovered.
	settling = time.Second
	// replaceLimit bounds what comes on top of the node timeout until a replica has taken over and clients know.
	replaceLimit = time.Minute
)

// measureClusterKills returns a table for each node timeout. With an error it returns what there is until then, too.
func measureClusterKills(ctx context.Context, c CompareConfig, k ClusterKillConfig) (tables []*Table, err error) {
	for _, timeout := range k.NodeTimeouts {
		t := &Table{
			Case: "kill",
			Title: fmt.Sprintf("kill -9 of one of %d masters, which has two replicas, cluster-node-timeout %v, %d kills, up to %.0f sets/s of each client",
				killMasters, timeout, k.Kills, k.Rate),
			Columns: []string{"gap ms", "gap ms, other masters", "sets, all rounds", "nothing changed", "unknown", "missing"},
			Summed:  4,
		}
		tables = append(tables, t)
		for i := range k.Kills {
			if err := killOnce(ctx, c, k, timeout, t); err != nil {
				return tables, fmt.Errorf("node timeout %v, kill %d: %w", timeout, i+1, err)
			}
			if c.Log != nil {
				fmt.Fprintf(c.Log, "kill, node timeout %v: %d of %d\n", timeout, i+1, k.Kills)
			}
		}
	}
	return tables, nil
}

// killOnce kills the first master of a new cluster under all clients, and looks afterwards for what was acknowledged.
func killOnce(ctx context.Context, c CompareConfig, k ClusterKillConfig, timeout time.Duration, t *Table) (err error) {
	cluster, err := startRedisCluster(ctx, killMasters, killReplicas, timeout)
	if err != nil {
		return err
	}
	all := cluster.processes // and the fronts, from their start on
	defer func() { err = errors.Join(err, all.discard()) }()
	var loads []*setLoad
	defer func() {
		for _, l := range loads {
			l.client.close()
		}
	}()
	tags, err := findTags(cluster.servers[0])
	if err != nil {
		return err
	}
	for _, kind := range clusterClients {
		client, front, err := kind.open(ctx, c, cluster)
		if front != nil {
			all = append(all, front)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", kind.name, err)
		}
		loads = append(loads, newSetLoad(kind.name, client, tags, k.Rate))
	}
	otherCores, err := watchOthers(func() (cpuTime, error) { return all.cpu() })
	if err != nil {
		return err
	}
	if err := runThroughKill(ctx, loads, timeout, cluster.processes[0]); err != nil {
		return err
	}
	others, err := otherCores()
	if err != nil {
		return err
	}
	err = cluster.processes[1:].until(ctx, timeout+clusterLimit, "the cluster is ready without the killed master",
		func() error { return servers.Ready(cluster.servers[1:]) })
	if err != nil {
		return err
	}
	for _, l := range loads {
		round, err := l.round(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
		round.OtherCores = others
		t.add(l.name, round)
	}
	return nil
}

// runThroughKill runs all loads, kills the victim when they work, and ends them when they have recovered.
func runThroughKill(ctx context.Context, loads []*setLoad, timeout time.Duration, victim *process) error {
	ctx, cancel := context.WithTimeout(ctx, timeout+replaceLimit)
	defer cancel()
	for _, l := range loads {
		defer l.start()()
	}
	everyone := func(what string, since time.Time) error {
		for {
			late := ""
			for _, l := range loads {
				if !l.workedSince(since) {
					late = l.name
				}
			}
			if late == "" {
				return nil
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("wait until all clients %s: %w: %s does not", what, context.Cause(ctx), late)
			case <-time.After(tryInterval):
			}
		}
	}
	settle := func() error {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(settling):
			return nil
		}
	}
	if err := errors.Join(everyone("work", time.Time{}), settle()); err != nil {
		return err
	}
	victim.kill()
	return errors.Join(everyone("have recovered", time.Now()), settle())
}

// findTags returns names that hash to a slot of the first of killMasters, and others that do not, as many as a load has writers.
func findTags(any *servers.Server) (tags [2][]string, err error) {
	for i := 0; len(tags[0]) < writersOfGroup || len(tags[1]) < writersOfGroup; i++ {
		tag := fmt.Sprintf("{%d}", i)
		slot, err := any.SlotOf(tag)
		if err != nil {
			return tags, err
		}
		group := 1
		if slot < servers.Slots/killMasters {
			group = 0
		}
		if len(tags[group]) < writersOfGroup {
			tags[group] = append(tags[group], tag)
		}
	}
	return tags, nil
}
