// Package profile serves the profiles of the running process at an operators' address, in the form that `go tool pprof`
// reads. It is off unless a setting turns it on: who reaches such an address learns the command line and what the process
// does, and makes it slower while it records.
package profile

import (
	"fmt"
	"net/http"
	"net/http/pprof"
	"runtime"
	"time"
)

// Config says what is served and recorded. The zero value is nothing.
type Config struct {
	// On serves everything of net/http/pprof below /debug/pprof/.
	On bool
	// BlockRate is how long goroutines wait, all together, for one entry in the block profile; 0 keeps none.
	BlockRate time.Duration
	// MutexFraction is how many contended locks there are for one entry in the mutex profile; 0 keeps none.
	MutexFraction int
}

// Problems returns what is wrong, each naming the setting, its value and what is allowed. adminOn says whether there is an
// address to serve at.
func (c Config) Problems(adminOn bool) (errs []error) {
	if c.On && !adminOn {
		errs = append(errs, fmt.Errorf("pprof %v: allowed is false without an address for it in admin-listen", c.On))
	}
	if c.BlockRate < 0 || c.BlockRate > 0 && !c.On {
		errs = append(errs, fmt.Errorf("pprof-block-rate %v: allowed is 0, or a duration together with pprof", c.BlockRate))
	}
	if c.MutexFraction < 0 || c.MutexFraction > 0 && !c.On {
		errs = append(errs, fmt.Errorf("pprof-mutex-fraction %d: allowed is 0, or a number together with pprof", c.MutexFraction))
	}
	return errs
}

// Handle adds the profiles to mux and begins to record. What is recorded is a matter of the whole process: of several
// configurations that are on, the last one decides.
func (c Config) Handle(mux *http.ServeMux) {
	if !c.On {
		return
	}
	runtime.SetBlockProfileRate(int(c.BlockRate))
	runtime.SetMutexProfileFraction(c.MutexFraction)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index) // and every profile by its name
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("POST /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
}
