package bench

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Protocols that the generator speaks.
const (
	Memcache = "memcache" // text protocol: get and set
	Redis    = "redis"    // RESP: GET, MGET and SET
	HTTP     = "http"     // HTTP/1.1 with keep-alive: GET and PUT of /KEY
	Tyrant   = "tyrant"   // Tokyo Tyrant's binary protocol: get, mget and put
)

const (
	// maxMemoryBytes bounds what keys and send buffers may take together.
	maxMemoryBytes = 2 << 30
	maxConnections = 60000
	maxPipeline    = 10000
	maxMultiGet    = 1000
	maxKeySize     = 250 // memcached's limit
	maxThreads     = 64
)

// Config says what load to make.
type Config struct {
	Protocol string `json:"protocol"`
	// Address is HOST:PORT, or unix:PATH.
	Address string `json:"address"`
	// Connections over all threads.
	Connections int `json:"connections"`
	// Pipeline is the number of requests that a connection may have under way.
	Pipeline int `json:"pipeline"`
	// GetRatio is the share of get requests, 0 to 1; the others are sets.
	GetRatio float64 `json:"get_ratio"`
	// MultiGet is the number of keys of one get request; it counts as one request.
	MultiGet int `json:"multi_get"`
	// Keys is the number of different keys, taken at random with equal chances.
	Keys int `json:"keys"`
	// KeySize and ValueSize are in bytes.
	KeySize   int `json:"key_size"`
	ValueSize int `json:"value_size"`
	// Rate is the number of requests a second over all threads, 0 for a closed loop.
	Rate float64 `json:"rate"`
	// Duration is the measured window, which goes on to the first reply when it had none; WarmUp runs before
	// it and is not counted.
	Duration time.Duration `json:"duration_ns"`
	WarmUp   time.Duration `json:"warm_up_ns"`
	// Threads is the number of load threads, each with its share of the connections.
	Threads int `json:"threads"`
	// Fill sets every key once before the warm-up, so that gets hit.
	Fill bool `json:"fill"`
	// WaitReplicas makes each Redis SET be followed by WAIT for so many replicas; the two count as one request,
	// answered when WAIT is, and as an error when fewer replicas have it. 0 for none. Only without gets.
	WaitReplicas int `json:"wait_replicas,omitempty"`
	// Seed makes the order of keys and operations repeatable.
	Seed uint64 `json:"seed"`
	// ServerPID is the process whose CPU time is read; 0 for none. It must be on this machine.
	ServerPID int `json:"server_pid,omitempty"`
	// CPUs are the processors that load threads may run on; none means all.
	CPUs []int `json:"cpus,omitempty"`

	// Progress is called about twice a second, from another goroutine, with the requests answered since Run
	// began, those of fill and warm-up included; nil for no reports.
	Progress func(done uint64, elapsed time.Duration) `json:"-"`

	// began is called once, from another goroutine, when the measured window begins; nil for no call.
	began func()
	// until ends the window before Duration when it is closed; nil for never.
	until <-chan struct{}
}

// DefaultConfig returns the load of the project's comparisons: 50 connections, 90 % gets, 100,000 keys of 16
// bytes with values of 100 bytes.
func DefaultConfig() Config {
	return Config{
		Protocol:    Memcache,
		Address:     "127.0.0.1:11211",
		Connections: 50,
		Pipeline:    1,
		GetRatio:    0.9,
		MultiGet:    1,
		Keys:        100_000,
		KeySize:     16,
		ValueSize:   100,
		Duration:    5 * time.Second,
		WarmUp:      500 * time.Millisecond,
		Threads:     1,
		Fill:        true,
		Seed:        1,
	}
}

// Validate returns all problems at once, each naming the setting, its value and what is allowed.
func (c *Config) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	inRange := func(name string, v, lo, hi int) {
		check(v >= lo && v <= hi, "%s %d: must be %d to %d", name, v, lo, hi)
	}
	check(slices.Contains([]string{Memcache, Redis, HTTP, Tyrant}, c.Protocol),
		"protocol %q: must be %s, %s, %s or %s", c.Protocol, Memcache, Redis, HTTP, Tyrant)
	check(c.Address != "", "address is empty: must be HOST:PORT or unix:PATH")
	inRange("threads", c.Threads, 1, maxThreads)
	inRange("connections", c.Connections, 1, maxConnections)
	check(c.Connections >= c.Threads, "connections %d: must be at least one for each of %d threads", c.Connections, c.Threads)
	inRange("pipeline", c.Pipeline, 1, maxPipeline)
	inRange("multi-get", c.MultiGet, 1, maxMultiGet)
	check(c.MultiGet == 1 || c.Protocol != HTTP, "multi-get %d: must be 1 with http", c.MultiGet)
	check(c.GetRatio >= 0 && c.GetRatio <= 1, "get-ratio %g: must be 0 to 1", c.GetRatio)
	inRange("keys", c.Keys, 1, 1_000_000_000)
	inRange("key-size", c.KeySize, 1, maxKeySize)
	if least := len(fmt.Sprint(c.Keys - 1)); c.Keys > 0 {
		check(c.KeySize >= least, "key-size %d: must be at least %d for %d different keys", c.KeySize, least, c.Keys)
	}
	inRange("value-size", c.ValueSize, 0, 512<<20)
	inRange("wait", c.WaitReplicas, 0, 9)
	check(c.WaitReplicas == 0 || c.Protocol == Redis && c.GetRatio == 0,
		"wait %d: must be 0 unless with redis and get-ratio 0", c.WaitReplicas)
	check(c.Rate >= 0 && c.Rate <= 1e9, "rate %g: must be 0 (closed loop) to 1e9 requests a second", c.Rate)
	check(c.Duration > 0 && c.Duration <= 24*time.Hour, "duration %v: must be above 0 and at most 24h", c.Duration)
	check(c.WarmUp >= 0 && c.WarmUp <= time.Hour, "warm-up %v: must be 0 to 1h", c.WarmUp)
	check(c.ServerPID >= 0, "server-pid %d: must be a process id, or 0", c.ServerPID)
	for _, cpu := range c.CPUs {
		check(cpu >= 0 && cpu < 1024, "cpus %d: must be 0 to 1023", cpu)
	}
	if len(errs) == 0 {
		check(c.memoryBytes() <= maxMemoryBytes,
			"keys, pipeline, connections and value-size need %d bytes of memory: must be at most %d", c.memoryBytes(), maxMemoryBytes)
	}
	return errors.Join(errs...)
}

// memoryBytes estimates keys and the send buffers of all connections.
func (c *Config) memoryBytes() int64 {
	const overhead = 128 // of a request, above keys and value
	request := int64(overhead + c.MultiGet*(c.KeySize+16))
	if c.GetRatio < 1 || c.Fill {
		request = max(request, int64(overhead+c.KeySize+c.ValueSize))
	}
	// A growing buffer takes up to twice its content.
	perConnection := 2*int64(c.Pipeline)*request + 8*int64(max(c.Pipeline, fillPipeline))
	return int64(c.Keys)*int64(c.KeySize) + int64(c.Connections)*perConnection
}

// network splits Address into what net.Dial wants.
func (c *Config) network() (network, address string) {
	if path, ok := strings.CutPrefix(c.Address, "unix:"); ok {
		return "unix", path
	}
	return "tcp", c.Address
}
