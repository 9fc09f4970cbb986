package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

const redisProgram = "redis-server"

// startRedisPair starts a Redis server with one replica, both with an append-only file that is synced as futago's log
// is, and waits until the replica follows.
func startRedisPair(ctx context.Context, sync string) (*setsService, error) {
	program, err := lookProgram(redisProgram)
	if err != nil {
		return nil, err
	}
	for attempt := 1; ; attempt++ {
		servers, err := startRedisPairOnce(ctx, program, sync)
		if err == nil {
			return &setsService{
				address: servers[0].address, protocol: Redis, servers: servers,
				level:       func(ctx context.Context) error { return redisReplicated(ctx, servers[0].address) },
				soloSeconds: func(context.Context) (float64, error) { return 0, nil },
			}, nil
		}
		if attempt == startAttempts || ctx.Err() != nil {
			return nil, err
		}
	}
}

func startRedisPairOnce(ctx context.Context, program, sync string) (servers processes, err error) {
	ports, err := freePorts(localhost, 2)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, servers.discard())
			servers = nil
		}
	}()
	// Redis has other names: everysec does what interval does.
	appendfsync := map[string]string{syncedSoon: "everysec", syncedAlways: "always"}[sync]
	for i, name := range []string{"redis", "redis replica"} {
		p := &peer{name: name, program: program, protocol: Redis, args: func(port int, dir string) []string {
			// The delay would gather more replicas for one first copy.
			args := []string{"--bind", "127.0.0.1", "--port", strconv.Itoa(port), "--save", "", "--dir", dir,
				"--appendonly", "yes", "--appendfsync", appendfsync, "--repl-diskless-sync-delay", "0"}
			if i > 0 {
				args = append(args, "--replicaof", "127.0.0.1", strconv.Itoa(ports[0]))
			}
			return args
		}}
		s, err := p.spawn(program, -1, ports[i])
		if err != nil {
			return servers, err
		}
		servers = append(servers, s)
	}
	return servers, servers[0].until(ctx, readyTimeout, func(ctx context.Context) error { return redisReplicated(ctx, servers[0].address) })
}

// redisReplicated returns nil when a replica confirms what the server at address has.
func redisReplicated(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	nc, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer nc.Close()
	deadline, _ := ctx.Deadline()
	if err := nc.SetDeadline(deadline); err != nil {
		return err
	}
	const patience = 100 * time.Millisecond
	// The set is there because WAIT looks at what its own connection has written.
	if _, err := fmt.Fprintf(nc, "SET ready yes\r\nDEL ready\r\nWAIT 1 %d\r\n", patience.Milliseconds()); err != nil {
		return err
	}
	replies := bufio.NewReader(io.LimitReader(nc, maxReplyLine))
	for _, want := range []string{"+OK", ":1", ":1"} {
		line, err := replies.ReadString('\n')
		if err != nil {
			return err
		}
		if got := strings.TrimSpace(line); got != want {
			return fmt.Errorf("no replica follows: got %.100q want %q", got, want)
		}
	}
	return nil
}
