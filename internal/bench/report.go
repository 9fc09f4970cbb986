package bench

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"text/tabwriter"
	"time"
)

// disturbedCores of other work make a run doubtful.
const disturbedCores = 0.15

// Report collects the results of a comparison.
type Report struct {
	rounds int
	window time.Duration
	rows   []*row
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

// Write prints a table with a line for each case and server.
func (r *Report) Write(w io.Writer) error {
	fmt.Fprintf(w, "%d rounds of %v, servers interleaved; %s/%s, %d processors\n", r.rounds, r.window, runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "placement\tcase\tserver\tops/s\tspread\tratio\tCPU us\tCPU ratio\tp50 us\tp99 us\tp99.9 us\tload\tother\t")
	for _, row := range r.rows {
		ref := r.reference(row)
		ops := column(row.results, func(r *Result) float64 { return r.OpsPerSecond })
		other := median(column(row.results, func(r *Result) float64 { return r.OtherCores }))
		mark := ""
		if other > disturbedCores {
			mark = "~"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%.0f\t%.0f%%\t%.2f\t%.2f\t%.2f\t%.0f\t%.0f\t%.0f\t%.2f\t%s%.2f\t\n",
			row.placement, row.benchCase, row.server,
			median(ops), 100*spread(ops),
			medianRatio(row.results, ref.results, func(r *Result) float64 { return r.OpsPerSecond }),
			median(column(row.results, func(r *Result) float64 { return r.ServerCPUMicros })),
			medianRatio(ref.results, row.results, func(r *Result) float64 { return r.ServerCPUMicros }),
			median(column(row.results, func(r *Result) float64 { return r.P50Micros })),
			median(column(row.results, func(r *Result) float64 { return r.P99Micros })),
			median(column(row.results, func(r *Result) float64 { return r.P999Micros })),
			median(column(row.results, func(r *Result) float64 { return r.LoadCores })),
			mark, other)
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	_, err := fmt.Fprintf(w, "Every figure is the median of the rounds; spread is (max-min)/median of ops/s. Ratios are to the first server of\n"+
		"the case, the median of the rounds' own ratios, and above 1 is better: more ops/s, less server CPU for a request.\n"+
		"load and other are processors used by this program and by neither; ~ marks a case that other work disturbed.\n")
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

// medianRatio is the median of a's values divided by b's of the same round; rounds without a value of b are left out.
func medianRatio(a, b []*Result, f func(*Result) float64) float64 {
	var ratios []float64
	for i := range min(len(a), len(b)) {
		if d := f(b[i]); d > 0 {
			ratios = append(ratios, f(a[i])/d)
		}
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
