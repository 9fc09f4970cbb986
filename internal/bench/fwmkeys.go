package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/futago/futago/internal/tyrant"
)

const (
	// listedRate is gets a second beside fwmkeys: far below what a node takes, so that latency shows what fwmkeys costs.
	listedRate = 2000
	// listedGroup is how many keys have the longer prefix that is asked for.
	listedGroup = 10
	// listTimeout is the longest silence of a server that lists keys.
	listTimeout = time.Minute
	// maxListed bounds the records that fwmkeys looks through.
	maxListed = 50_000_000
)

// DefaultListed is the number of records that fwmkeys looks through.
const DefaultListed = 1_000_000

func validateListed(records int) error {
	if records < listedGroup || records > maxListed {
		return fmt.Errorf("records %d: must be %d to %d", records, listedGroup, maxListed)
	}
	return nil
}

// listing measures fwmkeys and the gets of others.
type listing struct {
	config      CompareConfig
	node        *process
	load        Config // gets
	records     *workload
	calls, gets *Table
}

// measureFwmKeys measures calls of fwmkeys that find a few keys and all keys, and what gets of other clients take meanwhile
// and before. With an error it returns what there is until then, too.
func measureFwmKeys(ctx context.Context, c CompareConfig, node *peer, records int) (tables []*Table, err error) {
	load := DefaultConfig()
	load.Protocol, load.Keys, load.GetRatio, load.Rate, load.WarmUp = Tyrant, records, 1, listedRate, c.WarmUp
	l := &listing{
		config: c,
		calls: &Table{Case: "fwmkeys", Columns: []string{"ms", "ms max", "calls", "keys"},
			Title: fmt.Sprintf("one client asks again and again, of %d keys of %d bytes with values of %d", records, load.KeySize, load.ValueSize)},
		gets: &Table{Case: "fwmkeys", Columns: []string{"p50 us", "p99 us", "p99.9 us", "max us", "gets/s", "late"},
			Title: fmt.Sprintf("gets of other clients meanwhile, %d/s due on %d connections", listedRate, load.Connections)},
	}
	if l.node, err = node.start(ctx, -1); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, l.node.stop()) }()
	load.Address = l.node.address
	if err := fillKeys(ctx, load); err != nil {
		return nil, err
	}
	load.Fill = false
	l.load, l.records = load, newWorkload(&load)
	for round := range c.Rounds {
		if err = l.round(ctx, uint64(round+1)); err != nil {
			break
		}
		if c.Log != nil {
			fmt.Fprintf(c.Log, "fwmkeys: round %d of %d\n", round+1, c.Rounds)
		}
	}
	return finished([]*Table{l.calls, l.gets}), err
}

func (l *listing) round(ctx context.Context, seed uint64) error {
	l.load.Seed = seed
	few := fmt.Sprintf("of %d keys", listedGroup)
	groups := l.records.n / listedGroup
	random := newRandom(seed, 0)
	group := func() []byte {
		random = random.next()
		key := l.records.key(listedGroup * random.below(groups))
		return key[:len(key)-1]
	}
	all := func() []byte { return nil }
	if err := l.alone(ctx); err != nil {
		return err
	}
	if err := l.beside(ctx, few, group, listedGroup); err != nil {
		return err
	}
	return l.beside(ctx, "of all keys", all, int(l.records.n))
}

// alone measures gets without fwmkeys.
func (l *listing) alone(ctx context.Context) error {
	otherCores, err := watchOthers(l.node.cpu)
	if err != nil {
		return err
	}
	load := l.load
	load.Duration = l.config.Window
	result, err := Run(ctx, load)
	if err != nil {
		return err
	}
	others, err := otherCores()
	if err != nil {
		return err
	}
	l.addGets("alone", result, others)
	return nil
}

// beside measures calls of fwmkeys with prefixes of so many keys, whole calls for the window or one that takes longer, and
// gets meanwhile.
func (l *listing) beside(ctx context.Context, name string, prefix func() []byte, keys int) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	caller, err := dialLister(ctx, l.node.address)
	if err != nil {
		return err
	}
	defer caller.nc.Close()
	otherCores, err := watchOthers(l.node.cpu)
	if err != nil {
		return err
	}
	load := l.load
	began, until := make(chan struct{}), make(chan struct{})
	load.began, load.until, load.Duration = func() { close(began) }, until, time.Hour
	var result *Result
	loaded := make(chan error, 1)
	go func() {
		var err error
		result, err = Run(ctx, load)
		loaded <- err
	}()
	select {
	case <-began:
	case err := <-loaded:
		return errors.Join(err, errors.New("gets ended before fwmkeys began"))
	}
	var calls histogram
	for begun := time.Now(); err == nil && (calls.n == 0 || time.Since(begun) < l.config.Window); {
		err = caller.timed(prefix(), keys, &calls)
	}
	close(until)
	if err != nil {
		cancel()
		return errors.Join(err, <-loaded)
	}
	if err := <-loaded; err != nil {
		return err
	}
	others, err := otherCores()
	if err != nil {
		return err
	}
	const ms = float64(time.Millisecond)
	l.calls.add(name, Round{
		Values:     []float64{float64(calls.quantile(0.5)) / ms, float64(calls.max) / ms, float64(calls.n), float64(keys)},
		OtherCores: others,
	})
	l.addGets("beside fwmkeys "+name, result, others)
	return nil
}

func (l *listing) addGets(name string, r *Result, others float64) {
	round := Round{Values: []float64{r.P50Micros, r.P99Micros, r.P999Micros, r.MaxMicros, r.OpsPerSecond, float64(r.Late)}, OtherCores: others}
	if r.Errors > 0 || r.Misses > 0 {
		round.doubt("%d errors, %d misses: %s", r.Errors, r.Misses, r.FirstError)
	}
	l.gets.add(name, round)
}

// lister is a connection that calls fwmkeys. It does not keep the keys: that is not what is measured.
type lister struct {
	nc      net.Conn
	scan    tyrantScanner
	counts  counts
	request []byte
	buf     []byte
}

// dialLister connects until ctx ends. nc is to be closed.
func dialLister(ctx context.Context, address string) (*lister, error) {
	nc, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", address, err)
	}
	context.AfterFunc(ctx, func() { nc.Close() })
	return &lister{nc: nc, buf: make([]byte, readSize)}, nil
}

// timed adds the time of one call, which must find so many keys.
func (l *lister) timed(prefix []byte, keys int, into *histogram) error {
	begun := time.Now()
	found, err := l.call(prefix)
	if err == nil && found != keys {
		err = fmt.Errorf("it found %d keys, want %d", found, keys)
	}
	if err != nil {
		return fmt.Errorf("fwmkeys %.32q: %w", prefix, err)
	}
	into.record(int64(time.Since(begun)))
	return nil
}

// call returns how many keys begin with prefix.
func (l *lister) call(prefix []byte) (keys int, err error) {
	l.request = tyrant.AppendRequest(l.request[:0], &tyrant.Request{Command: tyrant.FwmKeys, Key: prefix, Max: -1})
	l.scan.sent(l.request)
	if _, err := l.nc.Write(l.request); err != nil {
		return 0, err
	}
	for {
		if err := l.nc.SetReadDeadline(time.Now().Add(listTimeout)); err != nil {
			return 0, err
		}
		n, err := l.nc.Read(l.buf)
		if err == io.EOF {
			err = ErrServerClosed
		}
		if err != nil {
			return 0, err
		}
		replies, err := l.scan.scan(l.buf[:n], &l.counts)
		switch {
		case err != nil:
			return 0, err
		case l.counts.errors > 0:
			return 0, fmt.Errorf("the server refuses: %s", l.counts.firstError)
		case replies > 0:
			return int(l.scan.elements), nil
		}
	}
}
