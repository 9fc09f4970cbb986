package script

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"time"
)

// The limits of a script's text.
const (
	maxSource     = 1 << 20  // bytes of the script
	maxEvalSource = 64 << 10 // bytes that loadstring, load and _eval take
)

// Config is everything a host needs to know. Start from DefaultConfig: a zero limit is refused, not replaced.
type Config struct {
	// Source is the path of the script, or its text after an @.
	Source string
	// Database is what the script works on.
	Database Database
	// Logger gets what scripts log and the errors of periodic functions; nil discards.
	Logger *slog.Logger
	// SID is the server id, which scripts see as _sid.
	SID uint32

	// PoolSize is the number of states, which is the number of calls at once, those included that wait for a lock or sleep.
	PoolSize int
	// Timeout is the longest time of a call, waiting included; a context may end it earlier.
	Timeout time.Duration
	// MaxMemory bounds the bytes that one call makes, garbage included.
	MaxMemory int
	// MaxResult bounds the bytes of a result.
	MaxResult int
	// MaxStash bounds the bytes in the stash.
	MaxStash int

	// Idle runs wait, in which a call with this context does nothing but wait, maybe for another call; nil runs it and nothing else.
	Idle func(ctx context.Context, wait func())

	// Unsafe opens io, os, dofile, loadfile, _stat, _glob, _remove and _mkdir: the script may then do to this machine
	// what the process may.
	Unsafe bool

	// Periodic functions are called with two empty strings. A name must be global in the script and may begin with _.
	Periodic []Periodic
	// PeriodicTimeout is the longest time of a periodic call.
	PeriodicTimeout time.Duration
}

// Periodic is a function that is called each Every. A run that takes longer delays the next one.
type Periodic struct {
	Name  string
	Every time.Duration
}

// DefaultConfig returns the limits that hold unless told otherwise, without Source and Database.
func DefaultConfig() Config {
	return Config{
		PoolSize:        max(2*runtime.GOMAXPROCS(0), 8),
		Timeout:         time.Second,
		MaxMemory:       128 << 20,
		MaxResult:       64 << 20,
		MaxStash:        64 << 20,
		PeriodicTimeout: time.Minute,
	}
}

// Validate returns all problems at once.
func (c *Config) Validate() error {
	var problems []error
	complain := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if c.Source == "" {
		complain("script source is empty: name a file, or @ and the text of a script")
	}
	if c.Database == nil {
		complain("script has no database")
	}
	if c.PoolSize < 1 || c.PoolSize > 1024 {
		complain("script pool size %d: give 1 to 1024", c.PoolSize)
	}
	if c.Timeout <= 0 {
		complain("script timeout %v: give more than 0", c.Timeout)
	}
	if c.MaxMemory < 1<<20 {
		complain("script memory %d: give at least 1 MiB", c.MaxMemory)
	}
	if c.MaxResult < 1 {
		complain("script result limit %d: give at least 1", c.MaxResult)
	}
	if c.MaxStash < 0 {
		complain("script stash limit %d: give 0 or more", c.MaxStash)
	}
	for _, p := range c.Periodic {
		if p.Name == "" || strings.ContainsRune(p.Name, 0) {
			complain("periodic function %q: give the name of a global function", p.Name)
		}
		if p.Every <= 0 {
			complain("periodic function %s each %v: give more than 0", p.Name, p.Every)
		}
	}
	if len(c.Periodic) > 0 && c.PeriodicTimeout <= 0 {
		complain("timeout of periodic functions %v: give more than 0", c.PeriodicTimeout)
	}
	return errors.Join(problems...)
}
