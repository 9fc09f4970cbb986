package bench

import (
	"slices"
	"time"
)

// Figures is a comparison in short: what `futago bench compare --json` writes and charts are drawn from.
// docs/performance.md describes it.
type Figures struct {
	// Begun is when the comparison began.
	Begun   time.Time `json:"begun"`
	Machine Machine   `json:"machine"`
	// Programs are the first lines in which the servers tell their versions.
	Programs []string `json:"programs"`
	// Rounds of Window each.
	Rounds  int            `json:"rounds"`
	Window  time.Duration  `json:"window_ns"`
	Noise   Noise          `json:"noise"`
	Cases   []CaseFigure   `json:"cases"`
	Targets []TargetFigure `json:"targets"`
	// Tables are of what was measured besides.
	Tables []*Table `json:"tables,omitempty"`
}

// Noise is the other work on the machine, in processors, over all measurements.
type Noise struct {
	Measurements int     `json:"measurements"`
	Quiet        int     `json:"quiet"` // with at most 0.15 processors
	MedianCores  float64 `json:"median_cores"`
	WorstCores   float64 `json:"worst_cores"`
}

// CaseFigure is one server in one case: medians of the quiet rounds, or of all when Quiet is 0. Ratios are to Reference,
// medians of the rounds' own ratios, and above 1 is better.
type CaseFigure struct {
	Group     string `json:"group"`
	Placement string `json:"placement"`
	Case      string `json:"case"`
	Server    string `json:"server"`
	Reference string `json:"reference"`
	// The load.
	Protocol    string `json:"protocol"`
	Connections int    `json:"connections"`
	Pipeline    int    `json:"pipeline"`
	ValueSize   int    `json:"value_size"`
	// What was measured. Spread is (largest - least) / median of ops/s.
	OpsPerSecond float64 `json:"ops_per_second"`
	Spread       float64 `json:"spread"`
	Ratio        float64 `json:"ratio"`
	CPUMicros    float64 `json:"cpu_us"`
	CPURatio     float64 `json:"cpu_ratio"`
	BehindMicros float64 `json:"behind_us,omitempty"` // the part of CPUMicros of servers behind this one
	P50Micros    float64 `json:"p50_us"`
	P99Micros    float64 `json:"p99_us"`
	P99Ratio     float64 `json:"p99_ratio"`
	P999Micros   float64 `json:"p999_us"`
	LoadCores    float64 `json:"load_cores"`
	Quiet        int     `json:"quiet"`
	Rounds       int     `json:"rounds"`
}

// Figures sums up what was measured until now.
func (r *Report) Figures() *Figures {
	f := &Figures{
		Begun: r.begun, Machine: thisMachine(), Programs: r.programs, Rounds: r.config.Rounds, Window: r.config.Window,
		Noise: r.noise(), Targets: r.targets(), Tables: r.tables,
	}
	for _, row := range r.rows {
		f.Cases = append(f.Cases, row.figure(r.reference(row)))
	}
	return f
}

func (r *Report) noise() Noise {
	var all []*Result
	for _, row := range r.rows {
		all = append(all, row.results...)
	}
	if len(all) == 0 {
		return Noise{}
	}
	others := column(all, func(r *Result) float64 { return r.OtherCores })
	_, n := quietRuns(all)
	return Noise{Measurements: len(all), Quiet: n, MedianCores: median(others), WorstCores: slices.Max(others)}
}

func (r *row) figure(ref *row) CaseFigure {
	runs, n := quietRuns(r.results)
	of := func(f func(*Result) float64) float64 { return median(column(runs, f)) }
	load := &r.results[0].Config
	figure := CaseFigure{
		Group: r.group, Placement: r.placement, Case: r.benchCase, Server: r.server, Reference: ref.server,
		Protocol: load.Protocol, Connections: load.Connections, Pipeline: load.Pipeline, ValueSize: load.ValueSize,
		OpsPerSecond: of(opsPerSecond), Spread: spread(column(runs, opsPerSecond)), CPUMicros: of(serverCPU),
		BehindMicros: of(func(r *Result) float64 { return r.BehindCPUMicros }),
		P50Micros:    of(func(r *Result) float64 { return r.P50Micros }),
		P99Micros:    of(p99),
		P999Micros:   of(func(r *Result) float64 { return r.P999Micros }),
		LoadCores:    of(func(r *Result) float64 { return r.LoadCores }),
		Quiet:        n, Rounds: len(r.results),
	}
	figure.Ratio, _ = medianRatio(r.results, ref.results, opsPerSecond)
	figure.CPURatio, _ = medianRatio(ref.results, r.results, serverCPU)
	figure.P99Ratio, _ = medianRatio(ref.results, r.results, p99)
	return figure
}
