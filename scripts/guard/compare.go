package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/futago/futago/internal/guard"
)

// margin is how many times the time of the baseline is still no regression. It leaves room for another processor, where
// the parts of the work weigh otherwise than those of the calibration.
const margin = 2.0

// background is how many bytes for each operation may come from other goroutines, which run more often while a machine is
// busy, where the operation itself allocates nothing.
const background = 64

// A problem is one figure of a benchmark that is not as in the baseline.
type problem struct {
	name      name
	what      string // the unit, or what is missing
	want, got float64
}

const (
	notInBaseline = "is not in the baseline"
	notMeasured   = "is in the baseline and was not measured"
)

// mayPass says whether another measurement can make the problem go away.
func (p problem) mayPass() bool { return p.what != notInBaseline && p.what != notMeasured }

func (p problem) String() string {
	switch {
	case !p.mayPass():
		return fmt.Sprintf("%s %s", p.name, p.what)
	case p.what == guard.TimeUnit:
		return fmt.Sprintf("%s takes %.1f times as long as in the baseline, at most %.1f is allowed (%.4g %s, was %.4g)", p.name, p.got/p.want, margin, p.got, p.what, p.want)
	case p.got < p.want:
		return fmt.Sprintf("%s is better than the baseline: %g %s, was %g", p.name, p.got, p.what, p.want)
	}
	return fmt.Sprintf("%s is worse than the baseline: %g %s, was %g", p.name, p.got, p.what, p.want)
}

// compare returns what differs: allocations in any way, times when they are beyond the margin.
func compare(want, got figures) (problems []problem) {
	for n, w := range want {
		g, ok := got[n]
		if !ok {
			problems = append(problems, problem{name: n, what: notMeasured})
			continue
		}
		if g.allocs != w.allocs {
			problems = append(problems, problem{n, "allocs/op", w.allocs, g.allocs})
		}
		if g.bytes != w.bytes && (g.allocs+w.allocs > 0 || g.bytes > w.bytes+background) {
			problems = append(problems, problem{n, "B/op", w.bytes, g.bytes})
		}
		if g.time > margin*w.time {
			problems = append(problems, problem{n, guard.TimeUnit, w.time, g.time})
		}
	}
	for n := range got {
		if _, ok := want[n]; !ok {
			problems = append(problems, problem{name: n, what: notInBaseline})
		}
	}
	slices.SortFunc(problems, func(a, b problem) int { return strings.Compare(a.String(), b.String()) })
	return problems
}

// suspects returns the packages and the names of the benchmarks that another measurement may clear.
func suspects(problems []problem) (packages, benches []string) {
	pkgs, names := map[string]bool{}, map[string]bool{}
	for _, p := range problems {
		if p.mayPass() {
			pkgs[p.name.pkg], names[p.name.bench] = true, true
		}
	}
	return slices.Sorted(maps.Keys(pkgs)), slices.Sorted(maps.Keys(names))
}

// slowest names the benchmark that is the slowest in comparison.
func slowest(want, got figures) string {
	var most float64
	var which name
	for n, w := range want {
		if g, ok := got[n]; ok && g.time/w.time > most {
			most, which = g.time/w.time, n
		}
	}
	if most == 0 {
		return "none"
	}
	return fmt.Sprintf("%s, %.2f times", which, most)
}
