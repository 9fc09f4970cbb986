package bench

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Protocols that the generator speaks.
const (
	Memcache = "memcache" // memcached's text protocol: get, set and incr
	Meta     = "meta"     // its meta commands: mg, or quiet mg and mn; ms and ma
	Binary   = "binary"   // its binary protocol: Get, or GetKQ and Noop; Set and Increment
	Redis    = "redis"    // RESP: GET, MGET, SET and INCRBY
	HTTP     = "http"     // HTTP/1.1 with keep-alive: GET and PUT of /KEY
	Tyrant   = "tyrant"   // Tokyo Tyrant's binary protocol: get, mget, put and addint
)

// Protocols lists them.
var Protocols = []string{Memcache, Meta, Binary, Redis, HTTP, Tyrant}

const (
	// maxMemoryBytes bounds what keys and send buffers may take together.
	maxMemoryBytes = 2 << 30
	maxConnections = 200_000
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
	// GetRatio is the share of get requests, and IncrRatio that of increments by 1; the others are sets. Their sum is 0 to 1.
	GetRatio  float64 `json:"get_ratio"`
	IncrRatio float64 `json:"incr_ratio"`
	// MultiGet is the number of keys of one get request; it counts as one request.
	MultiGet int `json:"multi_get"`
	// Keys is the number of different keys, taken at random. Increments have as many keys of their own.
	Keys int `json:"keys"`
	// Zipf is the skew of a Zipf distribution of the keys: the i-th most frequent one is asked for with a chance
	// proportional to 1/i^Zipf. The frequent keys lie scattered among the others, and are the same ones with every seed.
	// 0 means equal chances.
	Zipf float64 `json:"zipf"`
	// KeySize and ValueSize are in bytes. ValueSizes, unless empty, takes the place of ValueSize.
	KeySize    int   `json:"key_size"`
	ValueSize  int   `json:"value_size"`
	ValueSizes Sizes `json:"value_sizes,omitempty"`
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
	// Seed makes the order of keys and operations, and the sizes of values, repeatable.
	Seed uint64 `json:"seed"`
	// ServerPID is the process whose CPU time is read; 0 for none. It must be on this machine.
	ServerPID int `json:"server_pid,omitempty"`
	// CPUs are the processors that load threads may run on; none means all.
	CPUs []int `json:"cpus,omitempty"`

	// TLS makes every connection speak TLS; nil for none. Without a ServerName it is the host of Address. It is not changed.
	TLS *tls.Config `json:"-"`
	// Progress is called about twice a second, from another goroutine, until Run returns; nil for no reports.
	Progress func(Progress) `json:"-"`

	// Stop ends the run when it is closed: Run returns what was measured until then, or ErrStopped where that is nothing; nil for never.
	Stop <-chan struct{} `json:"-"`

	// began is called once, from another goroutine, when the measured window begins; nil for no call.
	began func()
	// until ends the window before Duration when it is closed; nil for never.
	until <-chan struct{}
	// reportInterval is that of Progress; 0 is half a second.
	reportInterval time.Duration
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
	check(slices.Contains(Protocols, c.Protocol), "protocol %q: must be one of %s", c.Protocol, strings.Join(Protocols, ", "))
	check(c.Address != "", "address is empty: must be HOST:PORT or unix:PATH")
	inRange("threads", c.Threads, 1, maxThreads)
	inRange("connections", c.Connections, 1, maxConnections)
	check(c.Connections >= c.Threads, "connections %d: must be at least one for each of %d threads", c.Connections, c.Threads)
	inRange("pipeline", c.Pipeline, 1, maxPipeline)
	inRange("multi-get", c.MultiGet, 1, maxMultiGet)
	check(c.MultiGet == 1 || c.Protocol != HTTP, "multi-get %d: must be 1 with http", c.MultiGet)
	check(c.GetRatio >= 0 && c.GetRatio <= 1, "get-ratio %g: must be 0 to 1", c.GetRatio)
	check(c.IncrRatio >= 0 && c.IncrRatio <= 1, "incr-ratio %g: must be 0 to 1", c.IncrRatio)
	// The sum of shares as 0.7 and 0.3 may be a little above 1.
	check(c.GetRatio+c.IncrRatio <= 1+1e-9, "get-ratio %g and incr-ratio %g: must be at most 1 together", c.GetRatio, c.IncrRatio)
	check(c.IncrRatio == 0 || c.Protocol != HTTP, "incr-ratio %g: must be 0 with http, which has no increment", c.IncrRatio)
	check(c.Zipf >= 0 && c.Zipf <= maxSkew, "zipf %g: must be above 0 and at most %d, or 0 for equal chances", c.Zipf, maxSkew)
	inRange("keys", c.Keys, 1, 1_000_000_000)
	inRange("key-size", c.KeySize, 1, maxKeySize)
	if least := len(fmt.Sprint(c.Keys - 1)); c.Keys > 0 {
		if c.IncrRatio > 0 {
			least++ // the letter of counters
		}
		check(c.KeySize >= least, "key-size %d: must be at least %d for %d different keys", c.KeySize, least, c.Keys)
	}
	inRange("value-size", c.ValueSize, 0, maxValueSize)
	if err := c.ValueSizes.validate(); err != nil {
		errs = append(errs, err)
	}
	inRange("wait", c.WaitReplicas, 0, 9)
	check(c.WaitReplicas == 0 || c.Protocol == Redis && c.GetRatio == 0 && c.IncrRatio == 0,
		"wait %d: must be 0 unless with redis, get-ratio 0 and no increments", c.WaitReplicas)
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

// memoryBytes estimates keys, the longest value, and the send buffers of all connections: a connection keeps what the
// server does not take, at worst a whole pipeline.
func (c *Config) memoryBytes() int64 {
	const (
		overhead = 128      // of a request, above keys and value
		tlsState = 40 << 10 // of a connection
	)
	request := int64(overhead + c.MultiGet*(c.KeySize+binaryHeader))
	largest := c.sizes().largest()
	if c.GetRatio+c.IncrRatio < 1 || c.Fill {
		request = max(request, int64(overhead+c.KeySize+largest))
	}
	// A growing buffer takes up to twice its content.
	perConnection := 2*int64(c.Pipeline)*request + 8*int64(max(c.Pipeline, fillPipeline))
	if c.TLS != nil {
		perConnection += tlsState
	}
	return int64(c.Keys)*int64(c.KeySize) + int64(largest) + int64(c.Connections)*perConnection
}

// sizes are those of values; there is at least one.
func (c *Config) sizes() Sizes {
	if len(c.ValueSizes) > 0 {
		return c.ValueSizes
	}
	return Sizes{{c.ValueSize, c.ValueSize, 1}}
}

// network splits Address into what net.Dial wants.
func (c *Config) network() (network, address string) {
	if path, ok := strings.CutPrefix(c.Address, "unix:"); ok {
		return "unix", path
	}
	return "tcp", c.Address
}
