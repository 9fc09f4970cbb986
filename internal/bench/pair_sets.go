package bench

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// setsServer is a pair of servers that takes sets.
type setsServer struct {
	name    string // ends with sync, for the comparison of equals
	service func(ctx context.Context, c *PairConfig) (*setsService, error)
	wait    int // replicas that a Redis set waits for
}

// setsService is a started setsServer.
type setsService struct {
	address, protocol string
	servers           processes
	// level returns nil when the second server has all of the first.
	level func(ctx context.Context) error
	// soloSeconds is how long acknowledgement was by one node where it should be by two.
	soloSeconds func(ctx context.Context) (float64, error)
}

// The sync policies by the names of futago.
const (
	syncedSoon   = "interval"
	syncedAlways = "always"
)

// setsServers are futago in all ways of acknowledgement, and Redis with and without waiting for its replica.
func setsServers() (all []setsServer) {
	for _, sync := range []string{syncedSoon, syncedAlways} {
		for _, ack := range []string{"local", "peer", "strict"} {
			all = append(all, setsServer{name: "futago ack=" + ack + " " + sync,
				service: func(ctx context.Context, c *PairConfig) (*setsService, error) {
					return startSetsPair(ctx, c, ack, sync)
				}})
		}
		start := func(ctx context.Context, _ *PairConfig) (*setsService, error) { return startRedisPair(ctx, sync) }
		all = append(all,
			setsServer{name: redisWait + sync, service: start, wait: 1},
			setsServer{name: redisPlain + sync, service: start})
	}
	return all
}

const redisWait, redisPlain = "redis SET+WAIT ", "redis SET "

// setsReferences names what a row is compared with: Redis with the same sync policy.
func setsReferences(row string) []string {
	sync := row[strings.LastIndexByte(row, ' ')+1:]
	return []string{redisWait + sync, redisPlain + sync}
}

// measureSets measures how many sets one node of a pair takes. Each server is started afresh for each measurement:
// nothing of another one runs beside it, or is still to be written to the disk.
func measureSets(ctx context.Context, c *PairConfig, r *PairReport) error {
	if _, err := lookProgram(redisProgram); err != nil {
		return err
	}
	t := r.table("sets", "sets to one node of a pair, 50 connections, one set at a time on each; interval is appendfsync everysec for redis",
		"sets/s", "p50 us", "p99 us", "p99.9 us", "max us")
	t.Ratios, t.refs = []string{"/ redis WAIT", "/ redis"}, setsReferences
	for i := range c.Rounds {
		for _, s := range setsServers() {
			round, err := s.measure(ctx, c, uint64(i+1))
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			t.add(s.name, round)
		}
		c.logf("sets: round %d of %d", i+1, c.Rounds)
	}
	return nil
}

func (s *setsServer) measure(ctx context.Context, c *PairConfig, seed uint64) (round Round, err error) {
	service, err := s.service(ctx, c)
	if err != nil {
		return round, err
	}
	defer func() { err = errors.Join(err, service.servers.discard()) }()
	load := DefaultConfig()
	load.Address, load.Protocol = service.address, service.protocol
	load.GetRatio, load.Seed = 0, seed
	load.Duration, load.WarmUp = c.SetsWindow, c.WarmUp
	if err := fillPatiently(ctx, load); err != nil {
		return round, err
	}
	// What the fill has left behind is not part of the measurement.
	if err := service.servers[0].until(ctx, readyTimeout, service.level); err != nil {
		return round, err
	}
	load.Fill, load.WaitReplicas = false, s.wait
	before, err := service.soloSeconds(ctx)
	if err != nil {
		return round, err
	}
	otherCores, err := watchOthers(service.servers.cpu)
	if err != nil {
		return round, err
	}
	result, err := Run(ctx, load)
	if err != nil {
		return round, err
	}
	if round.OtherCores, err = otherCores(); err != nil {
		return round, err
	}
	after, err := service.soloSeconds(ctx)
	if err != nil {
		return round, err
	}
	round.Values = []float64{result.OpsPerSecond, result.P50Micros, result.P99Micros, result.P999Micros, result.MaxMicros}
	if after > before {
		round.doubt("solo for %.1f s: those sets were confirmed by one node only", after-before)
	}
	if result.Errors > 0 {
		round.doubt("%d errors: %s", result.Errors, result.FirstError)
	}
	return round, nil
}

// fillPatiently sets every key once, and again after an error: with ack=strict a node refuses what its peer confirms late,
// and a fill asks for more at once than clients do.
func fillPatiently(ctx context.Context, load Config) (err error) {
	for range startAttempts {
		if err = fillKeys(ctx, load); err == nil || ctx.Err() != nil {
			return err
		}
	}
	return err
}

func startSetsPair(ctx context.Context, c *PairConfig, ack, fsync string) (*setsService, error) {
	p, err := startPair(ctx, c.Futago, ack, fsync)
	if err != nil {
		return nil, err
	}
	return &setsService{
		address: p.nodes[0].address, protocol: Memcache, servers: p.all(),
		level: func(ctx context.Context) error {
			s, err := p.status(ctx, 0)
			if err == nil && (len(s.Followers) != 1 || s.Followers[0].Lag > 0) {
				err = errors.New("the other node is behind")
			}
			return err
		},
		soloSeconds: func(ctx context.Context) (float64, error) {
			s, err := p.status(ctx, 0)
			return s.Acknowledgement.SoloSeconds, err
		},
	}, nil
}
