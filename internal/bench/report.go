package bench

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// quietCores is the other work that a run may have beside it and still counts. Choosing runs by this figure
// alone, not by their results, does not favour a server.
const quietCores = 0.15

func quiet(r *Result) bool { return r.OtherCores <= quietCores }

// Report collects the results of a comparison.
type Report struct {
	config   CompareConfig
	begun    time.Time
	programs []string
	rows     []*row
	tables   []*Table // of what is measured besides; none in most reports
}

// row is one server in one case.
type row struct {
	group, placement, benchCase, server string
	results                             []*Result
}

func newReport(ctx context.Context, c CompareConfig, matches []match) *Report {
	return &Report{config: c, begun: time.Now(), programs: versions(ctx, c.Futago, matches)}
}

// add appends a result; the first server of a case is the one that ratios refer to.
func (r *Report) add(m *match, benchCase, server string, result *Result) {
	of := r.row(m.group, m.place.name, benchCase, server)
	if of == nil {
		of = &row{group: m.group, placement: m.place.name, benchCase: benchCase, server: server}
		r.rows = append(r.rows, of)
	}
	of.results = append(of.results, result)
}

// row returns nil when there is none.
func (r *Report) row(group, placement, benchCase, server string) *row {
	for _, row := range r.rows {
		if row.group == group && row.placement == placement && row.benchCase == benchCase && row.server == server {
			return row
		}
	}
	return nil
}

// reference returns the row that another one is compared with.
func (r *Report) reference(of *row) *row {
	for _, row := range r.rows {
		if row.group == of.group && row.placement == of.placement && row.benchCase == of.benchCase {
			return row
		}
	}
	return of
}

// Write prints a table with a line for each case and server, the noise, the targets, and the other tables.
func (r *Report) Write(w io.Writer) error {
	text := &strings.Builder{}
	r.Figures().write(text)
	if len(r.tables) > 0 {
		writeTables(text, r.tables)
	}
	if _, err := io.WriteString(w, text.String()); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// write prints the figures for people.
func (f *Figures) write(text *strings.Builder) {
	fmt.Fprintln(text, f.Begun.UTC().Format(time.DateOnly))
	for _, line := range f.Programs {
		fmt.Fprintln(text, line)
	}
	fmt.Fprintf(text, "%s, %s, %d x %s\n\n%d rounds of %v, servers interleaved\n", f.Machine.Kernel, f.Machine.System, f.Machine.Processors,
		f.Machine.Model, f.Rounds, f.Window)
	t := tabwriter.NewWriter(text, 0, 0, 2, ' ', tabwriter.AlignRight)
	// Two more columns where the processor time is of several servers.
	several := slices.ContainsFunc(f.Cases, func(row CaseFigure) bool { return row.BehindMicros > 0 })
	parts := func(text string) string {
		if several {
			return text
		}
		return ""
	}
	fmt.Fprintln(t, "group\tplacement\tcase\tserver\tops/s\tspread\tratio\tCPU us\tCPU ratio\t"+parts("front us\tbehind us\t")+
		"p50 us\tp99 us\tp99.9 us\tload\tquiet\t")
	for _, row := range f.Cases {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%.0f\t%.0f%%\t%.2f\t%.2f\t%.2f\t%s%.0f\t%.0f\t%s\t%.2f\t%s%d/%d\t\n",
			row.Group, row.Placement, row.Case, row.Server, row.OpsPerSecond, 100*row.Spread, row.Ratio, row.CPUMicros, row.CPURatio,
			parts(fmt.Sprintf("%.2f\t%.2f\t", row.CPUMicros-row.BehindMicros, row.BehindMicros)),
			row.P50Micros, row.P99Micros, known(row.P999Micros), row.LoadCores, mark(row.Quiet > 0), row.Quiet, row.Rounds)
	}
	t.Flush() // into a strings.Builder, which takes everything
	fmt.Fprintf(text, "Figures are medians of the quiet rounds, in which other work took at most %.2f processors; where none was quiet (~),\n"+
		"of all. spread is (max-min)/median of ops/s. Ratios are to the first server of the case, the median of the rounds'\n"+
		"own ratios, and above 1 is better: more ops/s, less server CPU for a request. load is the processors that this program used.\n", quietCores)
	fmt.Fprintf(text, "Noise: other work took %.2f processors in the median and %.2f in the worst of %d measurements; %d were quiet.\n",
		f.Noise.MedianCores, f.Noise.WorstCores, f.Noise.Measurements, f.Noise.Quiet)
	writeTargets(text, f.Targets)
}

func writeTargets(text *strings.Builder, targets []TargetFigure) {
	if len(targets) == 0 {
		return
	}
	fmt.Fprint(text, "\nTargets: futago to the peer, above 1 is better\n")
	t := tabwriter.NewWriter(text, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "case\tof\tpeer\tmust\taim\tmeasured\treached\t")
	for _, target := range targets {
		fmt.Fprintf(t, "%s\t%s\t%s\t%.2f\t%.2f\t%s%.2f\t%s\t\n", target.Case, target.Of, target.Peer, target.Must, target.Aim,
			mark(target.Quiet), target.Ratio, target.Reached)
	}
	t.Flush()
}

// known shows a latency, or that the program which made the load does not tell it.
func known(micros float64) string {
	if micros == 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f", micros)
}

// mark is what stands before figures that are not of quiet rounds.
func mark(quiet bool) string {
	if quiet {
		return ""
	}
	return "~"
}

func column(results []*Result, f func(*Result) float64) []float64 {
	values := make([]float64, len(results))
	for i, r := range results {
		values[i] = f(r)
	}
	return values
}

func opsPerSecond(r *Result) float64 { return r.OpsPerSecond }
func serverCPU(r *Result) float64    { return r.ServerCPUMicros }
func p99(r *Result) float64          { return r.P99Micros }

// quietRuns returns the quiet ones of results, or all when none is quiet, and the number of quiet ones.
func quietRuns(results []*Result) (runs []*Result, n int) {
	for _, r := range results {
		if quiet(r) {
			runs = append(runs, r)
		}
	}
	if len(runs) == 0 {
		return results, 0
	}
	return runs, len(runs)
}

// medianRatio is the median of a's values divided by b's of the same round, over the rounds in which both
// were quiet, or over all when there is none.
func medianRatio(a, b []*Result, f func(*Result) float64) (ratio float64, undisturbed bool) {
	var ratios, quietRatios []float64
	for i := range min(len(a), len(b)) {
		d := f(b[i])
		if d <= 0 {
			continue
		}
		ratios = append(ratios, f(a[i])/d)
		if quiet(a[i]) && quiet(b[i]) {
			quietRatios = append(quietRatios, f(a[i])/d)
		}
	}
	if len(quietRatios) > 0 {
		return median(quietRatios), true
	}
	return median(ratios), false
}

// median of no values is 0; of an even number it is the mean of the middle two.
func median(values []float64) float64 {
	n := len(values)
	if n == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// spread is the distance from the least to the largest value, as a share of the median.
func spread(values []float64) float64 {
	if m := median(values); m > 0 {
		return (slices.Max(values) - slices.Min(values)) / m
	}
	return 0
}
