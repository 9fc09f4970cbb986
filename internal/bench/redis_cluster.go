package bench

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/futago/futago/internal/rediscluster/servers"
)

const (
	// clusterHost is where servers of a cluster listen: as pairHost.
	clusterHost = pairHost
	// quietNodeTimeout is for clusters of which no server is to be replaced.
	quietNodeTimeout = 15 * time.Second
	// clusterLimit bounds what a cluster takes to be ready.
	clusterLimit = time.Minute
)

// redisCluster is a cluster of real servers without data on disk.
type redisCluster struct {
	// servers and processes are the same ones, in the same order: masters by their slots, then their replicas in turn.
	servers   []*servers.Server
	processes processes
}

// startRedisCluster starts servers on any processors and makes them a cluster that serves. The replicas follow the masters in turn.
func startRedisCluster(ctx context.Context, masters, replicas int, nodeTimeout time.Duration) (*redisCluster, error) {
	program, err := lookProgram(redisProgram)
	if err != nil {
		return nil, err
	}
	for attempt := 1; ; attempt++ {
		k, err := startRedisClusterOnce(ctx, program, masters, replicas, nodeTimeout)
		if err == nil || attempt == startAttempts || ctx.Err() != nil {
			return k, err
		}
	}
}

func startRedisClusterOnce(ctx context.Context, program string, masters, replicas int, nodeTimeout time.Duration) (k *redisCluster, err error) {
	size := masters + replicas
	ports, err := freePorts(clusterHost, 2*size)
	if err != nil {
		return nil, err
	}
	k = &redisCluster{}
	defer func() {
		if err != nil {
			err = errors.Join(err, k.processes.discard())
		}
	}()
	for i := range size {
		server := &servers.Server{Addr: at(clusterHost, ports[2*i]), BusPort: ports[2*i+1]}
		p := &peer{
			name: "redis " + strconv.Itoa(i+1), program: program, protocol: Redis, host: clusterHost,
			args: func(_ int, dir string) []string { return server.Args(dir, nodeTimeout) },
		}
		s, err := p.spawn(program, -1, ports[2*i])
		if err != nil {
			return nil, err
		}
		k.servers, k.processes = append(k.servers, server), append(k.processes, s)
	}
	return k, servers.Assemble(k.servers, masters, nodeTimeout, func(what string, ok func() error) error {
		return k.processes.until(ctx, clusterLimit, what, ok)
	})
}

// until waits for all, as process.until does for one. An error says what was waited for.
func (p processes) until(ctx context.Context, limit time.Duration, what string, ok func() error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	err := p[0].until(ctx, limit, func(context.Context) error {
		for _, s := range p[1:] {
			select {
			case <-s.exited:
				cancel(fmt.Errorf("%s ended with %v: %s", s.peer.name, s.cmd.ProcessState, s.output.String()))
			default:
			}
		}
		return ok()
	})
	if err != nil {
		return fmt.Errorf("wait until %s: %w", what, errors.Join(context.Cause(ctx), err))
	}
	return nil
}

// clusterPatience gives a cluster longer than the default, for its servers share a machine with the load.
const clusterPatience = ",timeout=2s"

// frontPeer is a front of the cluster. options are added to the address, as ",wait=1".
func (k *redisCluster) frontPeer(program, name, options string) *peer {
	var addrs []string
	for _, s := range k.servers {
		addrs = append(addrs, s.Addr)
	}
	return &peer{
		name: name, program: program, protocol: Memcache,
		args: func(port int, _ string) []string {
			return []string{"serve", "--store", "redis-cluster://" + strings.Join(addrs, ",") + clusterPatience + options, "--listen", at(localhost, port), "--admin-listen", "none"}
		},
	}
}

// keys returns how many there are, those of replicas included.
func (k *redisCluster) keys() (sum int, err error) {
	for _, s := range k.servers {
		n, err := redis.Int(s.Do("DBSIZE"))
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}
