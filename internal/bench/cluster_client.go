package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"strings"
	"sync"
	"time"

	"github.com/valkey-io/valkey-go"
)

// errUnchanged says that it is certain that a set changed nothing, and will not.
var errUnchanged = errors.New("nothing was changed")

// clusterClient is safe for concurrent use.
type clusterClient struct {
	// set returns errUnchanged, or another error when the effect is not known.
	set func(key, value string) error
	// get returns "" for a key that is not there.
	get   func(key string) (string, error)
	close func()
}

// setTimeout is the longest that a set takes: a front's own default.
const setTimeout = 2 * time.Second

// clusterClients are killed under at the same time. front is what open has started for it, also with an error; nil for nothing.
var clusterClients = []struct {
	name string
	open func(ctx context.Context, c CompareConfig, cluster *redisCluster) (client *clusterClient, front *process, err error)
}{
	{"valkey-go", openDirectly(0)},
	{"front", openFront("")},
	{"valkey-go, WAIT 1", openDirectly(1)},
	{"front, wait=1", openFront(",wait=1")},
}

// openFront starts a front of its own, to which each call under way has a connection.
func openFront(options string) func(context.Context, CompareConfig, *redisCluster) (*clusterClient, *process, error) {
	return func(ctx context.Context, c CompareConfig, cluster *redisCluster) (*clusterClient, *process, error) {
		front, err := cluster.frontPeer(c.Futago, frontName, options).start(ctx, -1)
		if err != nil {
			return nil, nil, err
		}
		pool := &textPool{address: front.address}
		return &clusterClient{
			set: func(key, value string) error {
				lines, err := pool.ask(fmt.Sprintf("set %s 0 0 %d\r\n%s", key, len(value), value))
				switch {
				case err != nil:
					return err
				case strings.Contains(lines[0], errUnchanged.Error()):
					return errUnchanged
				case lines[0] != "STORED":
					return fmt.Errorf("got reply %.200q", lines[0])
				}
				return nil
			},
			get: func(key string) (string, error) {
				lines, err := pool.ask("get " + key)
				switch {
				case err != nil:
					return "", err
				case len(lines) == 3: // VALUE, the value, END
					return lines[1], nil
				case lines[0] != "END":
					return "", fmt.Errorf("got reply %.200q", lines[0])
				}
				return "", nil
			},
			close: pool.close,
		}, front, nil
	}
}

// textPool keeps connections of memcached's text protocol that are not in use.
type textPool struct {
	address string

	mu   sync.Mutex
	idle []*textproto.Conn
}

// frontTimeout is above what a front takes to answer, which is its own timeout.
const frontTimeout = 5 * setTimeout

// ask sends a request and returns the lines of the reply, one or those of a value.
func (p *textPool) ask(request string) ([]string, error) {
	conn, err := p.take()
	if err != nil {
		return nil, err
	}
	lines, err := talk(conn, request)
	if err != nil {
		conn.Close()
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle = append(p.idle, conn)
	return lines, nil
}

// take returns a connection that will not live longer than frontTimeout without an answer.
func (p *textPool) take() (*textproto.Conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.idle); n > 0 {
		conn := p.idle[n-1]
		p.idle = p.idle[:n-1]
		return conn, nil
	}
	nc, err := net.DialTimeout("tcp", p.address, frontTimeout)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", errUnchanged, err)
	}
	return textproto.NewConn(nc), nil
}

func (p *textPool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range p.idle {
		conn.Close()
	}
}

// talk sends a request and reads its reply. Values are without line ends, and no longer than a line may be.
func talk(conn *textproto.Conn, request string) (lines []string, err error) {
	watchdog := time.AfterFunc(frontTimeout, func() { conn.Close() })
	defer watchdog.Stop()
	if err := conn.PrintfLine("%s", request); err != nil {
		return nil, err
	}
	for {
		line, err := conn.ReadLine()
		if err != nil {
			return nil, err
		}
		lines = append(lines, line)
		if len(lines) == 1 && !strings.HasPrefix(line, "VALUE ") || line == "END" {
			return lines, nil
		}
	}
}

// openDirectly opens a client of the cluster as it comes, but for the time of a set. With replicas each set waits for so many.
func openDirectly(replicas int64) func(context.Context, CompareConfig, *redisCluster) (*clusterClient, *process, error) {
	return func(_ context.Context, _ CompareConfig, cluster *redisCluster) (*clusterClient, *process, error) {
		var addrs []string
		for _, s := range cluster.servers {
			addrs = append(addrs, s.Addr)
		}
		client, err := valkey.NewClient(valkey.ClientOption{InitAddress: addrs})
		if err != nil {
			return nil, nil, err
		}
		set := func(ctx context.Context, key, value string) error {
			return client.Do(ctx, client.B().Set().Key(key).Value(value).Build()).Error()
		}
		if replicas > 0 {
			set = func(ctx context.Context, key, value string) error {
				return setAndWait(ctx, client, replicas, key, value)
			}
		}
		return &clusterClient{
			set: func(key, value string) error {
				ctx, cancel := context.WithTimeout(context.Background(), setTimeout)
				defer cancel()
				return judgeDirect(set(ctx, key, value))
			},
			get: func(key string) (string, error) {
				ctx, cancel := context.WithTimeout(context.Background(), setTimeout)
				defer cancel()
				value, err := client.Do(ctx, client.B().Get().Key(key).Build()).ToString()
				if valkey.IsValkeyNil(err) {
					return "", nil
				}
				return value, err
			},
			close: client.Close,
		}, nil, nil
	}
}

// setAndWait sends both on one connection: WAIT speaks of what its own has written.
func setAndWait(ctx context.Context, client valkey.Client, replicas int64, key, value string) error {
	return client.Dedicated(func(c valkey.DedicatedClient) error {
		if err := c.Do(ctx, c.B().Set().Key(key).Value(value).Build()).Error(); err != nil {
			return err
		}
		n, err := c.Do(ctx, c.B().Wait().Numreplicas(replicas).Timeout(setTimeout.Milliseconds()/2).Build()).AsInt64()
		switch {
		case err != nil:
			return fmt.Errorf("%w: WAIT: %v", errWaiting, err)
		case n < replicas:
			return fmt.Errorf("%w: %d of %d replicas have it", errWaiting, n, replicas)
		}
		return nil
	})
}

// errWaiting is for a set that one server has.
var errWaiting = errors.New("set, and not confirmed")

// judgeDirect tells what an error of the cluster means for a set: a server that answers with one has not executed it, and neither has
// one to which there is no connection.
func judgeDirect(err error) error {
	if err == nil || errors.Is(err, errWaiting) {
		return err
	}
	var op *net.OpError
	_, answered := valkey.IsValkeyErr(err)
	if answered || errors.Is(err, valkey.ErrNoSlot) || errors.As(err, &op) && op.Op == "dial" {
		return errUnchanged
	}
	return err
}
