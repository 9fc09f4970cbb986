package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// CompareConfig says how futago is measured beside other servers.
type CompareConfig struct {
	// Futago is the path of the futago binary.
	Futago string
	// Groups of cases are measured in the order of CompareGroups; none means all. Only Compare knows groups.
	Groups []string
	// Rounds is the number of times that each case is measured for each server. Servers take turns within a
	// round, so that a slow minute of the machine hits all of them.
	Rounds int
	// Window is measured, after WarmUp, each time.
	Window time.Duration
	WarmUp time.Duration
	// Raw takes each Result as one line of JSON; nil drops them.
	Raw io.Writer
	// Log takes one line for each round; nil drops them.
	Log io.Writer
}

// DefaultCompareConfig returns five rounds of two seconds.
func DefaultCompareConfig() CompareConfig {
	return CompareConfig{Rounds: 5, Window: 2 * time.Second, WarmUp: 500 * time.Millisecond}
}

// Validate returns all problems at once.
func (c *CompareConfig) Validate() error {
	var errs []error
	if c.Futago == "" {
		errs = append(errs, errors.New("futago is empty: must be the path of the binary"))
	}
	names := CompareGroups()
	for _, name := range c.Groups {
		if !slices.Contains(names, name) {
			errs = append(errs, fmt.Errorf("case %q: must be one of %s", name, strings.Join(names, ", ")))
		}
	}
	if c.Rounds < 1 || c.Rounds > 1000 {
		errs = append(errs, fmt.Errorf("rounds %d: must be 1 to 1000", c.Rounds))
	}
	if c.Window < 10*time.Millisecond || c.Window > time.Hour {
		errs = append(errs, fmt.Errorf("window %v: must be 10ms to 1h", c.Window))
	}
	if c.WarmUp < 0 || c.WarmUp > time.Hour {
		errs = append(errs, fmt.Errorf("warm-up %v: must be 0 to 1h", c.WarmUp))
	}
	return errors.Join(errs...)
}

// placement says where servers and load run.
type placement struct {
	name      string
	serverCPU int   // -1 for any
	loadCPUs  []int // none for any
}

// freely lets all run on any processor.
var freely = placement{name: "free", serverCPU: -1}

// pinned is the placement of servers at the first processor and the load at the second.
func pinned() (placement, error) {
	cpus, err := allowedCPUs()
	if err != nil {
		return placement{}, err
	}
	if len(cpus) < 2 {
		return placement{}, fmt.Errorf("compare servers: needs two processors, this process may use %d", len(cpus))
	}
	return placement{"pinned", cpus[0], cpus[1:2]}, nil
}

func allowedCPUs() ([]int, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, fmt.Errorf("read the allowed processors: %w", err)
	}
	var cpus []int
	for cpu := range len(set) * strconv.IntSize {
		if set.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	return cpus, nil
}

// Compare starts futago and other servers on free loopback ports, one match after the other, measures their cases in
// interleaved rounds, and stops them. It takes about rounds x cases x servers x (window + warm-up). With an error after
// the first measurement it returns what there is until then, too.
func Compare(ctx context.Context, c CompareConfig) (*Report, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	alone, err := pinned()
	if err != nil {
		return nil, err
	}
	matches := allMatches(c.Futago, alone)
	if len(c.Groups) > 0 {
		matches = slices.DeleteFunc(matches, func(m match) bool { return !slices.Contains(c.Groups, m.group) })
	}
	return compare(ctx, c, matches)
}

func compare(ctx context.Context, c CompareConfig, matches []match) (*Report, error) {
	if err := lookPrograms(matches); err != nil {
		return nil, err
	}
	report := newReport(ctx, c, matches)
	for _, m := range matches {
		if err := m.measure(ctx, c, report); err != nil {
			return report, fmt.Errorf("compare servers, %s: %w", m.group, err)
		}
	}
	return report, nil
}

// lookPrograms is for before the first one is started. It names all that are missing.
func lookPrograms(matches []match) error {
	var errs []error
	asked := map[string]bool{}
	for _, m := range matches {
		for _, p := range m.peers {
			if asked[p.program] {
				continue
			}
			asked[p.program] = true
			if _, err := lookProgram(p.program); err != nil {
				errs = append(errs, fmt.Errorf("compare servers, %s: %w", m.group, err))
			}
		}
	}
	return errors.Join(errs...)
}

// measure measures all cases of a match on servers that it starts and stops.
func (m *match) measure(ctx context.Context, c CompareConfig, report *Report) (err error) {
	var behind, servers processes
	defer func() { err = errors.Join(err, servers.stop(), behind.stop()) }()
	if m.prepare != nil {
		if behind, err = m.prepare(ctx); err != nil {
			return err
		}
	}
	for _, p := range m.peers {
		s, err := p.start(ctx, m.place.serverCPU)
		if err != nil {
			return err
		}
		servers = append(servers, s)
	}
	return m.rounds(ctx, c, servers, behind, report)
}

// rounds measures all cases in all rounds on servers that run. What works behind them is no other work.
func (m *match) rounds(ctx context.Context, c CompareConfig, servers, behind processes, report *Report) error {
	for round := range c.Rounds {
		for _, bc := range m.cases {
			for _, s := range servers {
				result, err := m.once(ctx, c, bc, s, behind, uint64(round+1))
				if err != nil {
					return fmt.Errorf("measure %s, %s: %w", s.peer.name, bc.name, err)
				}
				report.add(m, bc.name, s.peer.name, result)
				if err := writeRaw(c.Raw, m, bc.name, s.peer.name, result); err != nil {
					return err
				}
			}
		}
		if c.Log != nil {
			fmt.Fprintf(c.Log, "%s, %s: round %d of %d\n", m.group, m.place.name, round+1, c.Rounds)
		}
	}
	return nil
}

// once measures a case on one server. Keys are set when the server does not have them with values of this size.
func (m *match) once(ctx context.Context, c CompareConfig, bc benchCase, s *process, behind processes, seed uint64) (*Result, error) {
	config := caseConfig(c, m.place, bc, s)
	config.Seed = seed
	holds := kept{config.Keys, config.ValueSize, config.IncrRatio > 0}
	config.Fill = !s.peer.full && s.holds != holds
	result, err := runBeside(ctx, config, s, behind, m.together)
	if err != nil {
		return nil, err
	}
	if result.Errors > 0 || result.Misses > 0 {
		return nil, fmt.Errorf("%d errors and %d misses in %d requests: %s", result.Errors, result.Misses, result.Requests, result.FirstError)
	}
	s.holds = holds
	return result, nil
}

func caseConfig(c CompareConfig, pl placement, bc benchCase, s *process) Config {
	config := DefaultConfig()
	config.Protocol = s.peer.protocol
	config.Address = s.address
	config.ServerPID = s.cmd.Process.Pid
	config.CPUs = pl.loadCPUs
	config.Duration, config.WarmUp = c.Window, c.WarmUp
	bc.alter(&config)
	return config
}

// runBeside is Run, with the processor time of the server's child processes counted as the server's, and that of processes
// behind it not as other work; with together it is the server's, too.
func runBeside(ctx context.Context, config Config, s *process, behind processes, together bool) (*Result, error) {
	behind = slices.DeleteFunc(slices.Clone(behind), func(p *process) bool { return p == s })
	sample := func() (ours, theirs cpuTime, err error) {
		if ours, err = childCPU(s.cmd.Process.Pid); err == nil {
			theirs, err = behind.cpu()
		}
		return ours, theirs, err
	}
	var ours0, theirs0 cpuTime
	var err0 error
	config.began = func() { ours0, theirs0, err0 = sample() }
	result, err := Run(ctx, config)
	if err != nil {
		return nil, err
	}
	ours, theirs, err := sample()
	if err := errors.Join(err0, err); err != nil {
		return nil, err
	}
	ours, theirs = ours-ours0, theirs-theirs0
	result.ServerCPUMicros += micros(ours) / float64(result.Requests)
	if together {
		result.BehindCPUMicros = micros(theirs) / float64(result.Requests)
		result.ServerCPUMicros += result.BehindCPUMicros
	}
	// Ticks of 10 ms may make the sum of the parts larger than the whole.
	result.OtherCores = max(0, result.OtherCores-(ours+theirs).Seconds()/result.Seconds)
	return result, nil
}

func writeRaw(w io.Writer, m *match, benchCase, peer string, r *Result) error {
	if w == nil {
		return nil
	}
	line, err := json.Marshal(struct {
		Group     string  `json:"group"`
		Placement string  `json:"placement"`
		Case      string  `json:"case"`
		Server    string  `json:"server"`
		Result    *Result `json:"result"`
	}{m.group, m.place.name, benchCase, peer, r})
	if err != nil {
		return fmt.Errorf("encode result: %w", err)
	}
	if _, err := w.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("write raw results: %w", err)
	}
	return nil
}
