package main

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/futago/futago/internal/bench"
)

// series is one server's values for each place on the x axis.
type series struct {
	name   string
	values []float64
}

// lines draws ops/s and p99 of a group's servers side by side, by what x says of a case. It returns "" when the group was not
// measured.
func lines(f *bench.Figures, group, xName string, x func(*bench.CaseFigure) string) string {
	const width, height, gap = 900.0, 360.0, 20.0
	var places []string
	var ops, p99 []series
	for _, c := range f.Cases {
		if c.Group != group {
			continue
		}
		if place := x(&c); !slices.Contains(places, place) {
			places = append(places, place)
		}
		i := slices.IndexFunc(ops, func(s series) bool { return s.name == c.Server })
		if i < 0 {
			i = len(ops)
			ops, p99 = append(ops, series{name: c.Server}), append(p99, series{name: c.Server})
		}
		ops[i].values = append(ops[i].values, c.OpsPerSecond)
		p99[i].values = append(p99[i].values, c.P99Micros/1000)
	}
	if len(places) == 0 {
		return ""
	}
	d := newDrawing(width, height, "Requests a second and latency by "+xName)
	// The first colour is futago's, as in the other chart.
	slices.Reverse(ops)
	slices.Reverse(p99)
	half := (width - gap) / 2
	d.panel(0, 0, half, height, "Requests a second", "ops/s", xName, places, ops)
	d.panel(half+gap, 0, half, height, "Latency: 99 % of the requests are faster", "p99, ms", xName, places, p99)
	d.legend(60, height-14, 160, ops)
	return d.end()
}

// legend names series side by side.
func (d *drawing) legend(left, y, width float64, all []series) {
	for i, s := range all {
		at := left + width*float64(i)
		d.marker(i, at, y-4)
		d.text(at+12, y, "start", "", s.name)
	}
}

// panel draws lines with a logarithmic y axis, and leaves room for a legend below.
func (d *drawing) panel(left, top, width, height float64, title, yName, xName string, places []string, all []series) {
	lo, hi := math.Inf(1), 0.0
	for _, s := range all {
		for _, v := range s.values {
			if v > 0 {
				lo, hi = min(lo, v), max(hi, v)
			}
		}
	}
	if hi == 0 {
		return // nothing was measured
	}
	ticks := logTicks(lo, hi)
	x0, x1, y0, y1 := left+70, left+width-20, top+height-82, top+64
	lo, hi = ticks[0], ticks[len(ticks)-1]
	yAt := func(v float64) float64 { return y0 - (math.Log(v)-math.Log(lo))/(math.Log(hi)-math.Log(lo))*(y0-y1) }
	xAt := func(i int) float64 {
		if len(places) == 1 {
			return (x0 + x1) / 2
		}
		return x0 + 20 + float64(i)/float64(len(places)-1)*(x1-x0-40)
	}
	d.text(left+16, top+26, "start", "title", title)
	d.text(left+16, top+46, "start", "faint", yName+", logarithmic scale")
	for _, tick := range ticks {
		d.line("grid", x0, yAt(tick), x1, yAt(tick))
		d.text(x0-8, yAt(tick)+4, "end", "faint", short(tick))
	}
	for i, place := range places {
		d.text(xAt(i), y0+20, "middle", "faint", place)
	}
	d.text((x0+x1)/2, y0+40, "middle", "faint", xName)
	for i, s := range all {
		var points []string
		for j, v := range s.values {
			if v > 0 {
				points = append(points, fmt.Sprintf("%.1f,%.1f", xAt(j), yAt(v)))
				d.marker(i, xAt(j), yAt(v))
			}
		}
		fmt.Fprintf(d, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", strings.Join(points, " "), color(i))
	}
}

// logTicks returns numbers 1, 2 or 5 times a power of ten, from at most lo to at least hi; only powers when they are many.
func logTicks(lo, hi float64) (ticks []float64) {
	steps := []float64{1, 2, 5}
	if hi/lo > 200 {
		steps = steps[:1]
	}
	for e := math.Floor(math.Log10(lo)); ; e++ {
		for _, step := range steps {
			tick := step * math.Pow(10, e)
			if tick <= lo {
				ticks = ticks[:0]
			}
			ticks = append(ticks, tick)
			if tick >= hi && len(ticks) > 1 {
				return ticks
			}
		}
	}
}

// short writes 20000 as 20 k.
func short(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%g M", v/1e6)
	case v >= 1e3:
		return fmt.Sprintf("%g k", v/1e3)
	default:
		return fmt.Sprintf("%.4g", v)
	}
}
