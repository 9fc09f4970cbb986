package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/user"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// CompareConfig says how futago is measured beside other servers.
type CompareConfig struct {
	// Futago is the path of the futago binary.
	Futago string
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

// benchCase is one kind of load of a comparison.
type benchCase struct {
	name  string
	alter func(*Config)
}

// benchCases are measured in this order; each alters DefaultConfig.
var benchCases = []benchCase{
	{"P=1", func(*Config) {}},
	{"P=16", func(c *Config) { c.Pipeline = 16 }},
	{"ten-key gets", func(c *Config) { c.MultiGet = 10 }},
	{"only sets", func(c *Config) { c.GetRatio = 0 }},
}

// placement says where servers and load run, and which servers take part.
type placement struct {
	name      string
	serverCPU int   // -1 for any
	loadCPUs  []int // none for any
	// peers: the first is the one that ratios refer to.
	peers []*peer
}

// Compare starts memcached, Redis and futago on free loopback ports, measures all cases in interleaved rounds,
// and stops them. It takes about rounds x cases x servers x (window + warm-up). With an error after the first
// measurement it returns what there is until then, too.
func Compare(ctx context.Context, c CompareConfig) (*Report, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	placements, err := defaultPlacements(c.Futago)
	if err != nil {
		return nil, err
	}
	return compare(ctx, c, placements)
}

// defaultPlacements pins servers to the first processor and the load to the second, and runs all free.
func defaultPlacements(futago string) ([]placement, error) {
	alone, err := pinned(memcachedPeer(1), redisPeer(), futagoPeer(futago))
	if err != nil {
		return nil, err
	}
	return []placement{
		alone,
		{"free", -1, nil, []*peer{memcachedPeer(4), redisPeer(), futagoPeer(futago)}},
	}, nil
}

// pinned is the placement of servers at the first processor and the load at the second.
func pinned(peers ...*peer) (placement, error) {
	cpus, err := allowedCPUs()
	if err != nil {
		return placement{}, err
	}
	if len(cpus) < 2 {
		return placement{}, fmt.Errorf("compare servers: needs two processors, this process may use %d", len(cpus))
	}
	return placement{"pinned", cpus[0], cpus[1:2], peers}, nil
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

func memcachedPeer(threads int) *peer {
	return &peer{
		name: fmt.Sprintf("memcached -t %d", threads), program: "memcached", protocol: Memcache,
		args: func(port int, _ string) []string {
			args := []string{"-l", "127.0.0.1", "-p", strconv.Itoa(port), "-U", "0", "-m", "1024", "-t", strconv.Itoa(threads)}
			// memcached refuses to run as root unless it is told a user.
			if u, err := user.Current(); err == nil && u.Uid == "0" {
				args = append(args, "-u", u.Username)
			}
			return args
		},
	}
}

func redisPeer() *peer {
	return &peer{
		name: "redis", program: "redis-server", protocol: Redis,
		args: func(port int, dir string) []string {
			return []string{"--bind", "127.0.0.1", "--port", strconv.Itoa(port), "--save", "", "--appendonly", "no", "--dir", dir}
		},
	}
}

// futagoPeer keeps its log on, unlike the others: durability is part of the price that is compared.
func futagoPeer(program string) *peer {
	return &peer{
		name: "futago", program: program, protocol: Memcache,
		args: func(port int, dir string) []string {
			return []string{"serve", "--listen", "127.0.0.1:" + strconv.Itoa(port), "--data", dir,
				"--admin-listen", "none", "--fsync", "interval"}
		},
	}
}

func compare(ctx context.Context, c CompareConfig, placements []placement) (report *Report, err error) {
	for _, pl := range placements {
		if err := lookPrograms(pl.peers); err != nil {
			return nil, err
		}
	}
	report = newReport(c)
	for _, pl := range placements {
		if err := comparePlacement(ctx, c, pl, report); err != nil {
			return report, fmt.Errorf("compare servers, %s: %w", pl.name, err)
		}
	}
	return report, nil
}

// lookPrograms is for before the first one is started.
func lookPrograms(peers []*peer) error {
	for _, p := range peers {
		if _, err := lookProgram(p.program); err != nil {
			return fmt.Errorf("compare servers: %w", err)
		}
	}
	return nil
}

func comparePlacement(ctx context.Context, c CompareConfig, pl placement, report *Report) (err error) {
	var servers []*process
	defer func() {
		for _, s := range servers {
			err = errors.Join(err, s.stop())
		}
	}()
	for _, p := range pl.peers {
		s, err := p.start(ctx, pl.serverCPU)
		if err != nil {
			return err
		}
		servers = append(servers, s)
	}
	return measureRounds(ctx, c, pl, benchCases, servers, report)
}

// measureRounds measures all cases in all rounds on servers that run.
func measureRounds(ctx context.Context, c CompareConfig, pl placement, cases []benchCase, servers []*process, report *Report) error {
	for round := range c.Rounds {
		for _, bc := range cases {
			for _, s := range servers {
				// Keys are set once; later rounds find them.
				config := caseConfig(c, pl, bc, s)
				config.Fill = round == 0 && bc.name == cases[0].name
				config.Seed = uint64(round + 1)
				result, err := Run(ctx, config)
				if err != nil {
					return fmt.Errorf("measure %s, %s: %w", s.peer.name, bc.name, err)
				}
				if result.Errors > 0 || result.Misses > 0 {
					return fmt.Errorf("measure %s, %s: %d errors and %d misses in %d requests: %s", s.peer.name, bc.name,
						result.Errors, result.Misses, result.Requests, result.FirstError)
				}
				report.add(pl.name, bc.name, s.peer.name, result)
				if err := writeRaw(c.Raw, pl.name, bc.name, s.peer.name, result); err != nil {
					return err
				}
			}
		}
		if c.Log != nil {
			fmt.Fprintf(c.Log, "%s: round %d of %d\n", pl.name, round+1, c.Rounds)
		}
	}
	return nil
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

func writeRaw(w io.Writer, placement, benchCase, peer string, r *Result) error {
	if w == nil {
		return nil
	}
	line, err := json.Marshal(struct {
		Placement string  `json:"placement"`
		Case      string  `json:"case"`
		Server    string  `json:"server"`
		Result    *Result `json:"result"`
	}{placement, benchCase, peer, r})
	if err != nil {
		return fmt.Errorf("encode result: %w", err)
	}
	if _, err := w.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("write raw results: %w", err)
	}
	return nil
}
