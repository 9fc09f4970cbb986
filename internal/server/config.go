package server

import (
	"context"
	"log/slog"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/futago/futago/internal/access"
	"github.com/futago/futago/internal/tyrant"
	"github.com/futago/futago/internal/users"
)

// Config says where and how to serve. DefaultConfig gives every default but the addresses.
type Config struct {
	// Listen are the addresses; at least one.
	Listen []Listener
	// Sockets are listeners that somebody else has opened for some of these addresses. The server closes them.
	Sockets []net.Listener
	// MaxConns is the number of connections over all listeners. It is lowered when the system allows fewer descriptors.
	MaxConns int
	// FirstByteTimeout is how long a connection may stay without its first byte.
	FirstByteTimeout time.Duration
	// IdleTimeout closes a connection between requests; 0 is never (for HTTP httpIdleTimeout).
	IdleTimeout time.Duration
	// RequestTimeout closes a connection that leaves a request half sent or a reply unread. One that goes on at
	// minProgress bytes per RequestTimeout is not cut off.
	RequestTimeout time.Duration
	// MaxPending bounds unsent output and partial input of one connection, in bytes. One value may exceed it.
	MaxPending int64
	// MaxPendingTotal bounds the same over all connections, in bytes.
	MaxPendingTotal int64
	// MaxValue is the largest value, in bytes; the store has the same bound.
	MaxValue int64
	// Evict says that the store evicts, which "stats settings" shows.
	Evict bool
	// Threads is the number of network loops; 0 is half of the cores, at least one.
	Threads int
	// SampleRequests is the mean distance of requests whose time and key are noted; 0: none are.
	SampleRequests int
	// SlowThreshold is how long a request takes at least to be noted as slow; 0: none is.
	SlowThreshold time.Duration
	// Version is shown to clients. They expect x.y.z, alone or with more words behind.
	Version string
	// Users are who may use the port; nil lets everybody do everything.
	Users *users.Users
	// TLS are the certificates, for the listeners that want them; nil where none does.
	TLS *access.TLS
	// Node is the number of the node, which Tokyo Tyrant calls its server id.
	Node int
	// Mask are the commands that no client may use, by Tokyo Tyrant's names, whatever its protocol.
	Mask tyrant.Mask
	// Script calls a function of the script of the node, in any goroutine; false when it failed, or there is none. lock are the
	// option bits of ext. nil: there is no script.
	Script func(ctx context.Context, name string, key, value []byte, lock uint32) (result []byte, ok bool)
	// What Tokyo Tyrant's commands for administrators do; nil: the command is not enabled. Paths are of this machine.
	Copy      func(ctx context.Context, path string) error
	Restore   func(ctx context.Context, path string, from int64, check bool) error
	SetMaster func(host string, port int, from int64, check bool) error
	// Repl serves the log to another server until ctx ends. It closes the connection.
	Repl func(ctx context.Context, c net.Conn, from int64, sid uint32)
	// Master is what stat tells of the server that the node follows; nil: of none.
	Master func() (host string, port int, position int64, ok bool)
	// LogTime is the time that the newest entry of the log has for the servers that follow; ok is false if none does. nil: the same.
	LogTime func() (micros int64, ok bool)
	// Stop is called, at most a few times and by any goroutine, when a client asks the node to stop. It must not wait for
	// that. nil: the command shutdown is not enabled.
	Stop func()
	// Look is called, by any goroutine, before requests are executed after a pause of the process or the client. It may call
	// Suspend, and must be quick. nil: nobody would.
	Look func()
	// Audit is told what clients do to the node or to all records at once; nil: the log alone is.
	Audit *access.Audit
	// Logger receives the log; nil discards it.
	Logger *slog.Logger
	// Registerer receives the metrics; nil means none.
	Registerer prometheus.Registerer

	// Goroutines gives each connection a goroutine instead of a place in a loop: for a store that is elsewhere, whose calls wait.
	Goroutines bool
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{
		MaxConns:         20000,
		FirstByteTimeout: time.Minute,
		RequestTimeout:   30 * time.Second,
		MaxPending:       64 << 20,
		MaxPendingTotal:  1 << 30,
		MaxValue:         64 << 20,
		SampleRequests:   64,
		SlowThreshold:    10 * time.Millisecond,
		Version:          "0.1.0",
	}
}

// minProgress is what a half-sent request must bring, and of an unread reply must leave, within each RequestTimeout to
// be waited for again, in bytes.
const minProgress = 64 << 10
