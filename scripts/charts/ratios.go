package main

import (
	"fmt"
	"math"
	"strings"

	"github.com/futago/futago/internal/bench"
)

// ratios draws a bar for each case: how many times as many requests a second as the reference futago answers. It returns
// "" when there is none.
func ratios(f *bench.Figures) string {
	const (
		width, left, right = 900.0, 470.0, 60.0
		top, row           = 92.0, 22.0
	)
	var bars []bench.CaseFigure
	lo, hi := 0.5, 2.0
	for _, c := range f.Cases {
		if strings.HasPrefix(c.Server, "futago") && c.Server != c.Reference && c.Ratio > 0 {
			bars = append(bars, c)
			lo, hi = min(lo, c.Ratio), max(hi, c.Ratio)
		}
	}
	if len(bars) == 0 {
		return ""
	}
	first, last := math.Floor(math.Log2(lo)), math.Ceil(math.Log2(hi))
	at := func(ratio float64) float64 {
		return left + (math.Log2(ratio)-first)/(last-first)*(width-left-right)
	}
	bottom := top + row*float64(len(bars))
	d := newDrawing(width, bottom+52, "Requests a second, futago to other servers")
	d.text(16, 26, "start", "title", "Requests a second: futago as a multiple of another server")
	d.text(16, 46, "start", "faint", "To the right of 1 futago answers more. Logarithmic scale. ~: no quiet round.")
	for i, name := range []string{"futago is faster", "futago is slower"} {
		x := 16 + 154*float64(i)
		fmt.Fprintf(d, `<rect x="%.1f" y="56" width="12" height="12" fill="%s"/>`+"\n", x, color(i))
		d.text(x+18, 67, "start", "", name)
	}
	every := math.Ceil((last - first) / 10) // not more marks than fit
	for e := math.Ceil(first/every) * every; e <= last; e += every {
		class := "grid"
		if e == 0 {
			class = "axis"
		}
		x := at(math.Exp2(e))
		d.line(class, x, top-6, x, bottom+4)
		d.text(x, bottom+20, "middle", "faint", power(e))
	}
	d.text((left+width-right)/2, bottom+40, "middle", "faint", "ops/s of futago / ops/s of the other server")
	for i, c := range bars {
		y := top + row*float64(i)
		series, x, doubt := 0, at(c.Ratio), ""
		if c.Ratio < 1 {
			series = 1
		}
		if c.Quiet == 0 {
			doubt = "~"
		}
		d.text(left-12, y+15, "end", "", fmt.Sprintf("%s %s, %s / %s", c.Group, c.Case, c.Placement, c.Reference))
		fmt.Fprintf(d, `<rect x="%.1f" y="%.1f" width="%.1f" height="%g" fill="%s"/>`+"\n", min(x, at(1)), y+3, math.Abs(x-at(1)), row-6, color(series))
		d.text(max(x, at(1))+6, y+15, "start", "", fmt.Sprintf("%s%.2f", doubt, c.Ratio))
	}
	return d.end()
}

// power writes 2 to the e.
func power(e float64) string {
	if e < 0 {
		return fmt.Sprintf("1/%g", math.Exp2(-e))
	}
	return fmt.Sprintf("%g", math.Exp2(e))
}
