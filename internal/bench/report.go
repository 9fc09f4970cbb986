package bench

import (
	"fmt"
	"io"
	"runtime"
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
	rounds int
	window time.Duration
	rows   []*row
	tables []*Table // of what is measured besides; none in most reports
}

// row is one server in one case.
type row struct {
	placement, benchCase, server string
	results                      []*Result
}

func newReport(c CompareConfig) *Report {
	return &Report{rounds: c.Rounds, window: c.Window}
}

// add appends a result; the first server of a placement and case is the one that ratios refer to.
func (r *Report) add(placement, benchCase, server string, result *Result) {
	for _, row := range r.rows {
		if row.placement == placement && row.benchCase == benchCase && row.server == server {
			row.results = append(row.results, result)
			return
		}
	}
	r.rows = append(r.rows, &row{placement, benchCase, server, []*Result{result}})
}

// reference returns the row that another one is compared with.
func (r *Report) reference(of *row) *row {
	for _, row := range r.rows {
		if row.placement == of.placement && row.benchCase == of.benchCase {
			return row
		}
	}
	return of
}

// Write prints a table with a line for each case and server, and the other tables behind it.
func (r *Report) Write(w io.Writer) error {
	fmt.Fprintf(w, "%d rounds of %v, servers interleaved; %s/%s, %d processors\n", r.rounds, r.window, runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "placement\tcase\tserver\tops/s\tspread\tratio\tCPU us\tCPU ratio\tp50 us\tp99 us\tp99.9 us\tload\tquiet\t")
	for _, row := range r.rows {
		ref := r.reference(row)
		runs, n := quietRuns(row.results)
		of := func(f func(*Result) float64) float64 { return median(column(runs, f)) }
		mark := ""
		if n == 0 {
			mark = "~"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%.0f\t%.0f%%\t%.2f\t%.2f\t%.2f\t%.0f\t%.0f\t%.0f\t%.2f\t%s%d/%d\t\n",
			row.placement, row.benchCase, row.server,
			of(opsPerSecond), 100*spread(column(runs, opsPerSecond)), medianRatio(row.results, ref.results, opsPerSecond),
			of(serverCPU), medianRatio(ref.results, row.results, serverCPU),
			of(func(r *Result) float64 { return r.P50Micros }),
			of(func(r *Result) float64 { return r.P99Micros }),
			of(func(r *Result) float64 { return r.P999Micros }),
			of(func(r *Result) float64 { return r.LoadCores }),
			mark, n, len(row.results))
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	_, err := fmt.Fprintf(w, "Figures are medians of the quiet rounds, in which other work took at most %.2f processors; where none was quiet (~),\n"+
		"of all. spread is (max-min)/median of ops/s. Ratios are to the first server of the case, the median of the rounds'\n"+
		"own ratios, and above 1 is better: more ops/s, less server CPU for a request. load is the processors that this program used.\n", quietCores)
	if err == nil && len(r.tables) > 0 {
		text := &strings.Builder{}
		writeTables(text, r.tables)
		_, err = io.WriteString(w, text.String())
	}
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
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
func medianRatio(a, b []*Result, f func(*Result) float64) float64 {
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
		return median(quietRatios)
	}
	return median(ratios)
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
