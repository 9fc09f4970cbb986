package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/futago/futago"
)

// failoverLimit bounds the time for which a client fails after a kill.
const failoverLimit = 30 * time.Second

// failoverClient sets one key again and again, at the node victim until that is gone and then at other. It calls
// working after the first success, and returns the time of the first one at other.
type failoverClient struct {
	name string
	run  func(ctx context.Context, victim, other string, working func()) (time.Time, error)
}

var failoverClients = []failoverClient{
	{"Go client that knows both nodes", goClientFailover},
	{"memcached connection, opened again at the other node", connectionFailover},
}

// measureFailover kills the nodes of a pair in turn.
func measureFailover(ctx context.Context, c *PairConfig, r *PairReport) (err error) {
	p, err := startPair(ctx, c.Futago, "peer", "interval")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.discard()) }()
	t := r.table("failover", fmt.Sprintf("from kill -9 of a node to the first set that the other one confirms, one set at a time, %d kills", c.Kills), "ms")
	for i := range c.Kills {
		rounds, err := p.failover(ctx, i%2)
		if err != nil {
			return fmt.Errorf("kill %d: %w", i+1, err)
		}
		for j, client := range failoverClients {
			t.add(client.name, rounds[j])
		}
		c.logf("failover: kill %d of %d", i+1, c.Kills)
	}
	return nil
}

// failover kills one node under all clients and starts it again. It returns a round for each client.
func (p *pair) failover(ctx context.Context, victim int) ([]Round, error) {
	otherCores, err := watchOthers(func() (cpuTime, error) { return p.all().cpu() })
	if err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, failoverLimit)
	defer cancel()
	n := len(failoverClients)
	back, errs := make([]time.Time, n), make([]error, n)
	var clients, working sync.WaitGroup
	working.Add(n)
	for i, client := range failoverClients {
		clients.Go(func() {
			once := sync.OnceFunc(working.Done)
			defer once() // also with an error
			back[i], errs[i] = client.run(limited, p.nodes[victim].address, p.nodes[1-victim].address, once)
			if errs[i] != nil {
				errs[i] = fmt.Errorf("%s: %w", client.name, errs[i])
			}
		})
	}
	working.Wait()
	killed := time.Now()
	p.kill9(victim)
	clients.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if err := errors.Join(p.restart(victim), p.together(ctx)); err != nil {
		return nil, err
	}
	others, err := otherCores()
	if err != nil {
		return nil, err
	}
	rounds := make([]Round, n)
	for i := range rounds {
		took := back[i].Sub(killed)
		if took <= 0 {
			return nil, fmt.Errorf("%s: it left the node before that was killed", failoverClients[i].name)
		}
		rounds[i] = Round{Values: []float64{took.Seconds() * 1000}, OtherCores: others}
	}
	return rounds, nil
}

// goClientFailover takes a key that the client looks for at victim.
func goClientFailover(ctx context.Context, victim, other string, working func()) (time.Time, error) {
	var failed atomic.Bool
	client, err := futago.New(futago.Config{
		Servers: []futago.Server{{Addr: victim}, {Addr: other}},
		OnFailure: func(addr string, _ error) {
			if addr == victim {
				failed.Store(true)
			}
		},
	})
	if err != nil {
		return time.Time{}, err
	}
	defer client.Close()
	key := ""
	for i, addr := 0, ""; addr != victim; i++ {
		key = fmt.Sprintf("failover-%d", i)
		if addr, err = client.ServerFor(key); err != nil {
			return time.Time{}, err
		}
	}
	for {
		err := client.Set(ctx, &futago.Item{Key: key, Value: []byte("value")})
		now := time.Now()
		switch {
		case err == nil && failed.Load():
			return now, nil
		case err == nil:
			working()
		case ctx.Err() != nil || !failed.Load():
			return time.Time{}, err
		}
	}
}

// connectionFailover is the least that a program can do without such a client.
func connectionFailover(ctx context.Context, victim, other string, working func()) (time.Time, error) {
	err := setUntil(ctx, victim, func() bool { working(); return false })
	if ctx.Err() != nil {
		return time.Time{}, err
	}
	var now time.Time
	err = setUntil(ctx, other, func() bool { now = time.Now(); return true })
	return now, err
}

// setUntil sets a key on one connection until done, called after each success, is true. Any failure is an error.
func setUntil(ctx context.Context, address string, done func() bool) error {
	nc, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer nc.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := nc.SetDeadline(deadline); err != nil {
			return err
		}
	}
	replies := bufio.NewReader(io.LimitReader(nc, 1<<30))
	for {
		if _, err := io.WriteString(nc, "set failover 0 0 5\r\nvalue\r\n"); err != nil {
			return err
		}
		line, err := replies.ReadSlice('\n') // a line that does not fit is an error
		if err != nil {
			return err
		}
		if string(line) != "STORED\r\n" {
			return fmt.Errorf("set at %s: got reply %.100q", address, strings.TrimSpace(string(line)))
		}
		if done() {
			return nil
		}
	}
}
