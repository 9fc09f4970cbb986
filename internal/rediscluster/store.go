package rediscluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valkey-io/valkey-go"

	"github.com/futago/futago/internal/access"
	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/store"
)

// Config says which cluster, and how to use it. DefaultConfig gives every default but the addresses.
type Config struct {
	// Addrs are some of its nodes, host:port; the others are learnt from them.
	Addrs []string
	// TLS is how to connect; nil: in clear.
	TLS *access.ClientTLS
	// User is that of the cluster; it may be empty, and so may the password.
	User string
	// Password is that of the cluster; nil: none.
	Password *Secret
	// Prefix stands before every key in the cluster.
	Prefix string
	// Timeout is the longest that an operation takes, its repetitions included.
	Timeout time.Duration
	// Lease is for how long a front relies on what it knows of flush_all, which takes as long.
	Lease time.Duration
	// Replicas is how many replicas must have a write before it is told of; 0: none.
	Replicas int
	// MaxValue is the largest value, in bytes.
	MaxValue int64
	// Logger receives the log; nil discards it.
	Logger *slog.Logger
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{Prefix: "futago:", Timeout: 800 * time.Millisecond, Lease: 250 * time.Millisecond, MaxValue: 64 << 20}
}

// Store is a cluster as a store. It is safe for concurrent use; every call waits for the cluster, at most Config.Timeout long.
type Store struct {
	cfg    Config
	client valkey.Client // once it is connected
	logger *slog.Logger
	floors floors
	conns  conns
	counts counts

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	work   sync.WaitGroup

	connected chan struct{}         // closed when client may be used
	why       atomic.Pointer[error] // it is not connected

	sweeps atomic.Bool // dead records are being removed

	mu      sync.Mutex // guards the two below
	stats   store.Stats
	counted time.Time
}

// Open connects. A cluster that does not answer yet, or says that it is not ready, is asked again in the background: until it is
// there every operation ends at once with store.ErrUnreached. An error says that asking again will not help.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	switch {
	case len(cfg.Addrs) == 0:
		return nil, errors.New("redis-cluster: want at least one address")
	case cfg.Timeout <= 0 || cfg.Lease <= 0 || cfg.MaxValue <= 0 || cfg.Replicas < 0:
		return nil, errors.New("redis-cluster: timeout, lease and max-value: want more than 0")
	case cfg.MaxValue > mostValue:
		return nil, fmt.Errorf("redis-cluster: max-value: a cluster takes %d bytes at most", mostValue)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Store{cfg: cfg, logger: cfg.Logger, floors: floors{turn: make(chan struct{}, 1)}, connected: make(chan struct{})}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if err := s.connect(ctx); err != nil {
		if final(err) {
			s.Close()
			return nil, err
		}
		s.logger.Warn("the cluster does not answer: requests fail until it does", "err", err)
		s.work.Go(s.keepConnecting)
	}
	return s, nil
}

// Close ends the connections.
func (s *Store) Close() {
	s.cancel()
	s.work.Wait()
	if s.unconnected() == nil {
		s.client.Close()
	}
	s.conns.close() // also what the client has opened meanwhile
}

// name is the key of a record in the cluster.
func (s *Store) name(key []byte) string { return s.cfg.Prefix + "k:" + string(key) }

// Now is the time of this front.
func (s *Store) Now() int64 { return time.Now().UnixMilli() - hlc.Epoch.UnixMilli() }

// MaxValue is the largest value in bytes.
func (s *Store) MaxValue() int64 { return s.cfg.MaxValue }

// Durability says what a positive reply to a write means: async, or the number of replicas that had it.
func (s *Store) Durability() string {
	if s.cfg.Replicas == 0 {
		return "async"
	}
	return fmt.Sprintf("wait=%d", s.cfg.Replicas)
}

// Promise says the same in words.
func (s *Store) Promise() string {
	if s.cfg.Replicas == 0 {
		return "A write is told of when one master has it in memory. What a master that dies had not sent to a replica is lost, and nobody is told."
	}
	return fmt.Sprintf("A write is told of when a master and at least %d of its replicas have it in memory; otherwise its effect is told as unknown. "+
		"It can still be lost, if another replica takes over, or all that have it die.", s.cfg.Replicas)
}

// A call has ended when it returns: no reply waits for a gate, and nothing is buffered here.

func (s *Store) Last() uint64                       { return 0 }
func (s *Store) Level() store.Level                 { return store.LevelLocal }
func (s *Store) Passed(uint64) (bool, error)        { return true, nil }
func (s *Store) OnPass(func()) (cancel func())      { return func() {} }
func (s *Store) Wait(context.Context, uint64) error { return nil }
func (s *Store) Flush()                             {}
func (s *Store) Sync() error                        { return nil }
func (s *Store) CompactOnce() bool                  { return false }
func (s *Store) Unconfirmed(int)                    {}
func (s *Store) MaxMemory() int64                   { return 0 }
func (s *Store) LeastMemory() int64                 { return 0 }
func (s *Store) SetMaxMemory(int64) error           { return store.ErrRefused }
func (s *Store) FlushRelayed() (uint64, error)      { return 0, store.ErrRefused }
func (s *Store) Acknowledgement() store.Acknowledgement {
	return store.Acknowledgement{Mode: s.Durability()}
}

// Reached answers for the level of the cluster. It has no other.
func (s *Store) Reached(_ uint64, level store.Level) (store.Level, error) {
	return store.LevelLocal, nil
}

// WaitAt is Reached.
func (s *Store) WaitAt(_ context.Context, seq uint64, level store.Level) (store.Level, error) {
	return s.Reached(seq, level)
}
