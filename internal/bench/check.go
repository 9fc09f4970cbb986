package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// checkConnections are those of both programs, in every case.
const checkConnections = 50

// checkCase is one load that this generator and a foreign program make on the same server.
type checkCase struct {
	name  string
	alter func(*Config) // DefaultConfig
	tool  *tool
}

// Checked is how one case came out: medians of all rounds, of this generator and of the foreign program.
type Checked struct {
	Server string `json:"server"`
	Case   string `json:"case"`
	Tool   string `json:"tool"`
	// OpsPerSecond and ToolOpsPerSecond are requests a second; OpsRatio is ours to theirs.
	OpsPerSecond     float64 `json:"ops_per_second"`
	ToolOpsPerSecond float64 `json:"tool_ops_per_second"`
	OpsRatio         float64 `json:"ops_ratio"`
	// CPUMicros and ToolCPUMicros are processor time of the server for each request; CPURatio is ours to theirs.
	CPUMicros     float64 `json:"cpu_us"`
	ToolCPUMicros float64 `json:"tool_cpu_us"`
	CPURatio      float64 `json:"cpu_ratio"`
}

// checkServer is a server with its cases.
type checkServer struct {
	peer  *peer
	cases []checkCase
}

// Check makes the same load with this generator and with a program of others, in interleaved rounds on the same servers:
// memcslap on memcached, redis-benchmark on Redis and wrk on a futago node. Servers run on the first processor and load on the second.
// With an error after the first case it returns what there is until then, too.
func Check(ctx context.Context, c CompareConfig) (CheckReport, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	pl, err := pinned()
	if err != nil {
		return nil, err
	}
	return check(ctx, c, pl, []checkServer{
		{memcachedPeer(1), memcslapCases}, {redisPeer(), redisBenchmarkCases}, {futagoPeer(c.Futago, "").by(HTTP), wrkCases},
	})
}

// lookTools returns an error that names every foreign program that is not there, and the package that brings it.
func lookTools(tools []*tool) error {
	var errs []error
	seen := make(map[string]bool)
	for _, t := range tools {
		if seen[t.program] {
			continue
		}
		seen[t.program] = true
		if _, err := lookProgram(t.program); err != nil {
			errs = append(errs, fmt.Errorf("%w: install the Debian package %s", err, t.debian))
		}
	}
	return errors.Join(errs...)
}

func check(ctx context.Context, c CompareConfig, pl placement, servers []checkServer) (results CheckReport, err error) {
	var peers []*peer
	var tools []*tool
	for _, s := range servers {
		peers = append(peers, s.peer)
		for _, cc := range s.cases {
			tools = append(tools, cc.tool)
		}
	}
	if err := errors.Join(lookTools(tools), lookPrograms([]match{{group: "check", peers: peers}})); err != nil {
		return nil, fmt.Errorf("check the generator: %w", err)
	}
	for _, s := range servers {
		checked, err := checkOn(ctx, c, pl, s)
		results = append(results, checked...)
		if err != nil {
			return results, fmt.Errorf("check the generator on %s: %w", s.peer.name, err)
		}
	}
	return results, nil
}

// checkOn makes all cases of a server, which it starts and stops.
func checkOn(ctx context.Context, c CompareConfig, pl placement, server checkServer) (results []Checked, err error) {
	s, err := server.peer.start(ctx, pl.serverCPU)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	ours := make([][]*Result, len(server.cases))
	theirs := make([][]*Result, len(server.cases))
	for round := range c.Rounds {
		for i, cc := range server.cases {
			config := caseConfig(c, pl, benchCase{cc.name, cc.alter}, s)
			config.Seed = uint64(round + 1)
			own, err := Run(ctx, config)
			if err == nil && (own.Errors > 0 || own.Misses > 0) {
				err = fmt.Errorf("%d errors and %d misses in %d requests: %s", own.Errors, own.Misses, own.Requests, own.FirstError)
			}
			if err != nil {
				return nil, fmt.Errorf("%s: %w", cc.name, err)
			}
			foreign, err := cc.tool.run(ctx, processes{s}, &config, int(own.OpsPerSecond*c.Window.Seconds()))
			if err != nil {
				return nil, fmt.Errorf("%s: %w", cc.name, err)
			}
			ours[i], theirs[i] = append(ours[i], own), append(theirs[i], foreign)
		}
		if c.Log != nil {
			fmt.Fprintf(c.Log, "%s: round %d of %d\n", server.peer.name, round+1, c.Rounds)
		}
	}
	for i, cc := range server.cases {
		of := func(results []*Result, f func(*Result) float64) float64 { return median(column(results, f)) }
		opsRatio, _ := medianRatio(ours[i], theirs[i], opsPerSecond)
		cpuRatio, _ := medianRatio(ours[i], theirs[i], serverCPU)
		results = append(results, Checked{
			Server: server.peer.name, Case: cc.name, Tool: cc.tool.program,
			OpsPerSecond: of(ours[i], opsPerSecond), ToolOpsPerSecond: of(theirs[i], opsPerSecond),
			OpsRatio:  opsRatio,
			CPUMicros: of(ours[i], serverCPU), ToolCPUMicros: of(theirs[i], serverCPU),
			CPURatio: cpuRatio,
		})
	}
	return results, nil
}

// CheckReport has a line for each case.
type CheckReport []Checked

// Write prints the report for people.
func (r CheckReport) Write(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "server\tcase\tprogram\tops/s\tfutago bench\tratio\tCPU us\tfutago bench\tratio\t")
	for _, r := range r {
		fmt.Fprintf(t, "%s\t%s\t%s\t%.0f\t%.0f\t%.2f\t%.2f\t%.2f\t%.2f\t\n", r.Server, r.Case, r.Tool,
			r.ToolOpsPerSecond, r.OpsPerSecond, r.OpsRatio, r.ToolCPUMicros, r.CPUMicros, r.CPURatio)
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("write the check: %w", err)
	}
	_, err := io.WriteString(w, `Figures are medians, ratios those of futago bench to the program, the median of the rounds' own ratios. CPU us is the
server's processor time for each request: the same load costs a server about the same, whoever makes it.
`)
	if err != nil {
		return fmt.Errorf("write the check: %w", err)
	}
	return nil
}

// tool is a load generator of others.
type tool struct {
	program, debian string
	// args are for n requests as c says, or for a time in which there are about so many, on a host and port.
	args func(host, port string, c *Config, n int) []string
	// batch is how many of the tool's requests make one of c; 0 is 1.
	batch int
	// parse reads what the program prints.
	parse func(output string) (toolFigures, error)
}

// toolFigures are what a tool says of a run.
type toolFigures struct {
	// requests are all that it made, 0 for those that it was told; ops are those a second of what it measured, 0 when it prints none.
	requests, ops float64
	// p50 and p99 are latencies in microseconds, 0 when it prints none.
	p50, p99 float64
}

// run makes the load of c at c.Address with the tool and measures meanwhile the servers, which work together.
func (t *tool) run(ctx context.Context, servers processes, c *Config, n int) (*Result, error) {
	program, err := lookProgram(t.program)
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(c.Address)
	if err != nil {
		return nil, err
	}
	batch := max(t.batch, 1)
	n = max(n, c.Connections*c.Pipeline) * batch
	command := append([]string{program}, t.args(host, port, c, n)...)
	if len(c.CPUs) > 0 {
		taskset, err := lookProgram("taskset")
		if err != nil {
			return nil, err
		}
		command = append([]string{taskset, "-c", strconv.Itoa(c.CPUs[0])}, command...)
	}
	otherCores, err := watchOthers(servers.cpu)
	if err != nil {
		return nil, err
	}
	before, err := servers.cpu()
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	output, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("run %s: %w: %.500s", strings.Join(command, " "), err, output)
	}
	after, err := servers.cpu()
	if err != nil {
		return nil, err
	}
	others, err := otherCores()
	if err != nil {
		return nil, err
	}
	seconds := time.Since(begin).Seconds()
	said, err := t.parse(string(output))
	if err == nil && !(said.ops > 0) {
		err = errors.New("it prints no requests a second")
	}
	if err != nil {
		return nil, fmt.Errorf("read the figures of %s: %w: %.500s", t.program, err, output)
	}
	if said.requests == 0 {
		said.requests = float64(n)
	}
	requests := said.requests / float64(batch)
	load := (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds() / seconds
	return &Result{
		Config: *c, Begun: begin, Seconds: seconds, Requests: uint64(requests), OpsPerSecond: said.ops / float64(batch),
		P50Micros: said.p50, P99Micros: said.p99, ServerCPUMicros: micros(after-before) / requests,
		LoadCores: load, OtherCores: max(0, others-load),
	}, nil
}
