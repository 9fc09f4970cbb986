// Package node puts one node together: it opens the store, runs replication and the client port, owns the states from
// starting to draining, and composes the status document.
package node

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/profile"
	"github.com/futago/futago/internal/reload"
	"github.com/futago/futago/internal/server"
	"github.com/futago/futago/internal/tyrant"
)

// Config says what a node serves and promises. DefaultConfig gives every default; Validate must pass before New.
type Config struct {
	// Listen are the client addresses: host:port, [v6]:port, :port, unix:/path, each optionally followed by
	// ",protocols=memcache+http+tyrant" and by ",tls", ",tls=optional" or ",tls=mutual". Port 0 takes a free one.
	Listen []string
	// Allow are the commands of clients that are off unless they are named here: shutdown, and Tokyo Tyrant's as tyrant-copy,
	// tyrant-restore, tyrant-setmst and tyrant-repl.
	Allow []string
	// TyrantMaster is a Tokyo Tyrant server, host:port, whose update log this node executes; empty is none.
	TyrantMaster string
	// TyrantFrom is where that begins if the node has not followed it before: microseconds since 1970, 0 is the beginning.
	TyrantFrom int64
	// TyrantCheck ends it when an operation has another result here than there.
	TyrantCheck bool
	// Mask names commands that no client may use, by Tokyo Tyrant's names, whatever its protocol.
	Mask string
	// Script is a file of functions in Lua that clients may call, or the text itself behind a "@"; empty is none.
	Script string
	// ScriptPeriodic are functions of the script that are called again and again: NAME=DURATION.
	ScriptPeriodic []string
	// ScriptTimeout is the longest time of a call of a function, ScriptMemory what it may make meanwhile, in bytes.
	ScriptTimeout time.Duration
	ScriptMemory  int64
	// ScriptUnsafe lets the script do to this machine what the process may.
	ScriptUnsafe bool
	// Users is the file of users that may use the client addresses; empty lets everybody do everything.
	Users string
	// TLSCert and TLSKey are PEM files for the client addresses that want TLS: the certificate with its chain, and its key.
	TLSCert, TLSKey string
	// TLSClientCA is a PEM file of the authorities that sign the certificates of clients, for addresses with tls=mutual.
	TLSClientCA string
	// Data is the folder of the log, or "none" for a store in anonymous memory.
	Data string
	// Node is this node's id, 1..1023, different on each node of a mesh. 0, the default, is none given: 1 for a node without a peer, and
	// with one it is refused.
	Node int
	// Peer are the peer addresses of other nodes; empty for a single node. One of a mesh is enough, this node's own is passed
	// over: so all nodes may have the same list.
	Peer []string
	// PeerListen is where this node serves its log to its peers; empty for a single node.
	PeerListen string
	// PeerAdvertise is where other nodes find that; empty means PeerListen, with the address that this node comes from where
	// that names none.
	PeerAdvertise string
	// PeerTLSCert, PeerTLSKey and PeerTLSCA are PEM files that protect the peer link in both directions: this node's
	// certificate, its key, the authorities of the other node's certificate. All three or none.
	PeerTLSCert, PeerTLSKey, PeerTLSCA string
	// PeerTLSName is the name that the other node's certificate must be for; empty is the host of Peer.
	PeerTLSName string
	// PeerSecretFile holds a secret that both nodes know; empty is none.
	PeerSecretFile string
	// PeerCompress is none or zstd: how the log is packed on its way where both nodes say so.
	PeerCompress string
	// PeerCopyRate bounds full copies that are sent to the peer, in bytes a second; 0 is no bound.
	PeerCopyRate int64

	// AdminListen serves the dashboard, /healthz /readyz /status /metrics and what operators ask for; "none" turns it off. With
	// ",tls" or ",tls=mutual" it has TLS, with the certificate of the client addresses.
	AdminListen string
	// AdminTLSCA is a PEM file of the authorities that sign the certificates of the admin addresses of other nodes; empty means
	// the system's. With TLS at AdminListen these are asked by TLS too.
	AdminTLSCA string
	// MetricsOpen serves /metrics to everybody where Users says who may use AdminListen.
	MetricsOpen bool
	// AuditLog is a file that gets a line for each login and action at AdminListen, and for what clients do to the node or to all records;
	// empty leaves them to the log.
	AuditLog string
	// AllowOpen are addresses that may be open to strangers without users or certificates, by access.OpenWords.
	AllowOpen []string
	// Profile is what AdminListen serves of profiles.
	Profile profile.Config

	// Fsync is never, interval or always: what a positive reply to a write means for the disk.
	Fsync string
	// FsyncInterval is the longest time between a write and its sync with Fsync interval.
	FsyncInterval time.Duration
	// Ack is local, peer or strict; empty means peer when there is a peer, local otherwise.
	Ack string
	// AckTimeout is how long a write waits for a silent peer before the node goes solo, or with strict the write fails.
	AckTimeout time.Duration
	// PeerTimeout is the silence after which a peer counts as gone.
	PeerTimeout time.Duration
	// CatchupTimeout is how long a start waits without progress for a peer before it serves what it has.
	CatchupTimeout time.Duration
	// VerifyInterval is how often idle nodes compare what they hold.
	VerifyInterval time.Duration
	// TombstoneRetention is how long deletes are remembered at least.
	TombstoneRetention time.Duration
	// DrainTimeout bounds the whole drain: finishing requests and handing the last entries to the peer.
	DrainTimeout time.Duration

	// MaxMemory bounds the memory of the index and, with Data none, of the records; 0 is no bound. Bytes.
	MaxMemory int64
	// Evict gives up records that are not read before MaxMemory, to which the records then count with any Data, is reached.
	Evict bool
	// MinFree is the free disk space below which client writes are refused. Bytes.
	MinFree int64
	// MaxValue is the largest value in bytes, for every protocol.
	MaxValue int64
	// MaxClockDrift is how far a stamp may be ahead of the wall clock.
	MaxClockDrift time.Duration
	// SegmentSize is the size of a log segment in bytes.
	SegmentSize int64
	// LogRetain is how much log is kept for a peer that is behind. Bytes.
	LogRetain int64
	// CompactRate bounds how fast compaction scans the log, in bytes a second.
	CompactRate int64

	// MaxConns is the number of client connections.
	MaxConns int
	// FirstByteTimeout is how long a connection may stay without its first byte.
	FirstByteTimeout time.Duration
	// IdleTimeout closes a connection without requests; 0 is never.
	IdleTimeout time.Duration
	// RequestTimeout closes a connection that leaves a request half sent or a reply unread.
	RequestTimeout time.Duration
	// MaxPending bounds unsent output and partial input of one connection, bytes.
	MaxPending int64
	// MaxPendingTotal bounds the same over all connections, bytes.
	MaxPendingTotal int64
	// Threads is the number of network loops; 0 is half of the cores, at least one.
	Threads int

	// SlowThreshold is how long a request takes at least to be noted as slow; 0 is none.
	SlowThreshold time.Duration
	// SampleRequests is the mean distance of requests whose time and key are noted; 0 is none.
	SampleRequests int

	// Sockets are listeners that the service manager has opened for some of the addresses in Listen; a node that runs closes them.
	Sockets []net.Listener
	// Settings are all settings in force in words, for those who ask the admin port; without secrets.
	Settings []reload.Setting
	// Reread returns what the sources of the settings say now, complete and valid, for a reload, or everything that is wrong
	// with it; nil: a reload reads only files that settings name.
	Reread func() (Config, error)
	// Version is that of the program, as x.y.z.
	Version string
	// Logger receives the node's log; nil discards it.
	Logger *slog.Logger
	// LogLevel is the level of Logger, which a reload sets; nil: none can.
	LogLevel *slog.LevelVar
	// Now is the wall clock; nil means time.Now.
	Now func() time.Time
}

// DefaultConfig returns the configuration of a single node on loopback.
func DefaultConfig() Config {
	return Config{
		Listen:         []string{"127.0.0.1:11211"},
		Data:           "./futago-data",
		PeerCompress:   "none",
		AdminListen:    "127.0.0.1:11280",
		Fsync:          "interval",
		FsyncInterval:  time.Second,
		AckTimeout:     300 * time.Millisecond,
		PeerTimeout:    3 * time.Second,
		CatchupTimeout: 10 * time.Second,
		DrainTimeout:   10 * time.Second,
		VerifyInterval: 30 * time.Second,

		TombstoneRetention: 24 * time.Hour,

		MinFree:          256 << 20,
		MaxValue:         64 << 20,
		MaxClockDrift:    time.Minute,
		SegmentSize:      64 << 20,
		LogRetain:        4 << 30,
		CompactRate:      40 << 20,
		MaxConns:         20000,
		ScriptTimeout:    time.Second,
		ScriptMemory:     128 << 20,
		FirstByteTimeout: time.Minute,
		RequestTimeout:   30 * time.Second,
		MaxPending:       64 << 20,
		MaxPendingTotal:  1 << 30,
		SlowThreshold:    10 * time.Millisecond,
		SampleRequests:   64,
		Version:          "0.1.0",
	}
}

// maxPeers bounds a mesh: every node follows every other.
const maxPeers = 16

// minCopyRate is a copy that advances well within the default of CatchupTimeout, bytes a second.
const minCopyRate = 1 << 20

// Validate returns every problem of the configuration at once; nil when there is none.
func (c *Config) Validate() error {
	var errs []error
	bad := func(key string, value any, allowed string) {
		errs = append(errs, fmt.Errorf("%s %v: allowed is %s", key, value, allowed))
	}
	if len(c.Listen) == 0 {
		bad("listen", "(none)", "at least one address")
	}
	// The other addresses are plain ones, without options; what links nodes is TCP.
	address := func(key, text, allowed string) {
		if l, err := server.ParseListen(text); err != nil || strings.Contains(text, ",") || l.Network == "unix" {
			bad(key, fmt.Sprintf("%q", text), allowed)
		}
	}
	for _, name := range c.Allow {
		if !slices.Contains(allowable, name) {
			bad("allow", fmt.Sprintf("%q", name), strings.Join(allowable, ", "))
		}
	}
	if _, err := tyrant.ParseMask(c.Mask); err != nil {
		errs = append(errs, fmt.Errorf("mask: %w", err))
	}
	if c.TyrantMaster != "" {
		address("tyrant-master", c.TyrantMaster, "host:port or [v6]:port")
		if c.Node == 0 {
			bad("node", 0, fmt.Sprintf("1 to %d: with tyrant-master it is required and differs from that server's -sid", hlc.MaxNode))
		}
	}
	if c.TyrantFrom < 0 {
		bad("tyrant-from", c.TyrantFrom, "microseconds since 1970, or 0")
	}
	if c.Script == "" && len(c.ScriptPeriodic) > 0 {
		bad("script-periodic", strings.Join(c.ScriptPeriodic, " "), "empty without script")
	}
	for _, text := range c.ScriptPeriodic {
		if _, err := parsePeriodic(text); err != nil {
			errs = append(errs, err)
		}
	}
	if c.ScriptTimeout <= 0 {
		bad("script-timeout", c.ScriptTimeout, "more than 0")
	}
	if c.ScriptMemory < 1<<20 {
		bad("script-memory", c.ScriptMemory, "at least 1MiB")
	}
	errs = append(errs, c.tlsProblems()...)
	if l, err := server.ParseListen(c.AdminListen); c.AdminListen != "none" && (err != nil || l.Protocols != server.AllProtocols) {
		bad("admin-listen", fmt.Sprintf("%q", c.AdminListen), "host:port, [v6]:port, :port or unix:/path, with ,tls or ,tls=mutual behind it or not, or none")
	}
	errs = append(errs, c.Profile.Problems(c.AdminListen != "none")...)
	if c.PeerListen != "" {
		address("peer-listen", c.PeerListen, "host:port, [v6]:port or :port")
	}
	for _, text := range c.Peer {
		address("peer", text, "host:port or [v6]:port")
	}
	if c.Data == "" {
		bad("data", `""`, "a folder, or none")
	}
	if c.Node < 0 || c.Node > hlc.MaxNode {
		bad("node", c.Node, fmt.Sprintf("1 to %d", hlc.MaxNode))
	}
	if c.PeerAdvertise != "" {
		address("peer-advertise", c.PeerAdvertise, "host:port or [v6]:port")
	}
	if len(c.Peer) > maxPeers {
		bad("peer", strings.Join(c.Peer, " "), fmt.Sprintf("at most %d addresses", maxPeers))
	}
	if len(c.Peer) > 0 {
		if c.PeerListen == "" {
			bad("peer-listen", `""`, "an address: with peer it is required, the other node follows this one there")
		}
		if c.Node == 0 {
			bad("node", 0, fmt.Sprintf("1 to %d: with peer it is required and differs on the two nodes", hlc.MaxNode))
		}
	}
	oneOf := func(key, value string, allowed ...string) {
		for _, a := range allowed {
			if value == a {
				return
			}
		}
		bad(key, fmt.Sprintf("%q", value), strings.Join(allowed, ", "))
	}
	oneOf("peer-compress", c.PeerCompress, "none", "zstd")
	if n := countSet(c.PeerTLSCert, c.PeerTLSKey, c.PeerTLSCA); n != 0 && n != 3 {
		bad("peer-tls-cert, peer-tls-key, peer-tls-ca", fmt.Sprintf("%q, %q, %q", c.PeerTLSCert, c.PeerTLSKey, c.PeerTLSCA), "three files, or none")
	} else if n == 0 && c.PeerTLSName != "" {
		bad("peer-tls-name", fmt.Sprintf("%q", c.PeerTLSName), "a name together with peer-tls-cert, peer-tls-key and peer-tls-ca")
	}
	if c.PeerCopyRate != 0 && c.PeerCopyRate < minCopyRate {
		bad("peer-copy-rate", c.PeerCopyRate, "0, or 1MiB and more: a slower copy looks like no progress")
	}
	oneOf("fsync", c.Fsync, "never", "interval", "always")
	if c.Ack != "" {
		oneOf("ack", c.Ack, "local", "peer", "strict")
	}
	if (c.Ack == "peer" || c.Ack == "strict") && len(c.Peer) == 0 && c.PeerListen == "" {
		bad("ack", fmt.Sprintf("%q", c.Ack), "local without a peer")
	}
	positive := func(key string, v int64) {
		if v <= 0 {
			bad(key, v, "more than 0")
		}
	}
	lasting := func(key string, d time.Duration) {
		if d <= 0 {
			bad(key, d, "more than 0")
		}
	}
	lasting("fsync-interval", c.FsyncInterval)
	lasting("ack-timeout", c.AckTimeout)
	lasting("peer-timeout", c.PeerTimeout)
	lasting("catchup-timeout", c.CatchupTimeout)
	lasting("drain-timeout", c.DrainTimeout)
	lasting("verify-interval", c.VerifyInterval)
	lasting("tombstone-retention", c.TombstoneRetention)
	lasting("max-clock-drift", c.MaxClockDrift)
	lasting("first-byte-timeout", c.FirstByteTimeout)
	lasting("request-timeout", c.RequestTimeout)
	positive("max-conns", int64(c.MaxConns))
	positive("max-pending", c.MaxPending)
	positive("max-pending-total", c.MaxPendingTotal)
	positive("compact-rate", c.CompactRate)
	if c.SegmentSize < 1<<20 || c.SegmentSize > 64<<20 || c.SegmentSize%4096 != 0 {
		bad("segment-size", c.SegmentSize, "1MiB to 64MiB, a multiple of 4096")
	}
	if c.MaxValue < 1 || c.MaxValue > 1<<30 {
		bad("max-value", c.MaxValue, "1 to 1GiB")
	}
	notNegative := func(key string, v int64) {
		if v < 0 {
			bad(key, v, "0 or more")
		}
	}
	notNegative("max-memory", c.MaxMemory)
	if c.Evict && c.MaxMemory < minEvictMemory {
		errs = append(errs, fmt.Errorf("max-memory %d: evict needs a bound of at least 16MiB, such as max-memory 1GiB", c.MaxMemory))
	}
	notNegative("min-free", c.MinFree)
	notNegative("log-retain", c.LogRetain)
	notNegative("threads", int64(c.Threads))
	notNegative("sample-requests", int64(c.SampleRequests))
	if c.SlowThreshold < 0 {
		bad("slow-threshold", c.SlowThreshold, "0 or more")
	}
	if c.IdleTimeout < 0 {
		bad("idle-timeout", c.IdleTimeout, "0 or more")
	}
	return errors.Join(append(errs, c.accessProblems()...)...)
}

// minEvictMemory is the least memory in which eviction has segments to choose from.
const minEvictMemory = 16 << 20

// countSet returns how many of the texts are not empty.
func countSet(texts ...string) (n int) {
	for _, text := range texts {
		if text != "" {
			n++
		}
	}
	return n
}
