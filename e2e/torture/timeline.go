//go:build linux

package main

import (
	"fmt"
	"html/template"
	"math"
	"slices"
	"strings"
	"time"
)

// strip is the drawing of one piece of the run.
type strip struct {
	Title string
	SVG   template.HTML
}

// Geometry of a strip, in units of the drawing.
const (
	stripLength = 100 * time.Second // at most
	leftEdge    = 92
	plotWidth   = 1100
	laneHeight  = 15
	laneGap     = 4
	curveHeight = 54
	curveGap    = 16
)

// phase is a piece of time in which a node, or a part, was in one state.
type phase struct {
	span
	class string // of the drawing
	text  string
}

// strips draws the whole run.
func (r *run) strips(verdicts []verdict) []strip {
	end := r.end()
	var all []strip
	const tick = 10 * time.Second
	length := min(stripLength, (end+tick-1)/tick*tick)
	for begin := time.Duration(0); begin < end; begin += length {
		d := &drawing{span: span{begin, begin + length}}
		d.strip(r, verdicts, end)
		all = append(all, strip{fmt.Sprintf("%s to %s", minutes(begin), minutes(min(end, d.end))), template.HTML(d.b.String())})
	}
	return all
}

// drawing is one strip while it is drawn.
type drawing struct {
	span
	b strings.Builder
	y float64
}

func (d *drawing) x(t time.Duration) float64 {
	t = min(max(t, d.begin), d.end)
	return leftEdge + plotWidth*float64(t-d.begin)/float64(d.end-d.begin)
}

func (d *drawing) strip(r *run, verdicts []verdict, end time.Duration) {
	var lanes strings.Builder
	d.y = 18
	for _, n := range r.nodes {
		d.lane("node "+n.name, n.phases(r.end()))
		d.y += laneHeight + laneGap
	}
	d.y += laneGap
	for p := range parts {
		d.lane(p.String(), r.faultPhases(p))
		d.y += laneHeight + laneGap
	}
	d.y += curveGap
	bins := r.load.traffic.bins
	rate := func(count func(*bin) int) []point {
		var list []point
		for i := range bins {
			list = append(list, point{binSize*time.Duration(i) + binSize/2, float64(count(&bins[i])) / binSize.Seconds()})
		}
		return list
	}
	d.curves("ops/s", linear, "", curve{"succeeded", rate(func(b *bin) int { return b.succeeded })}, curve{"failed", rate(func(b *bin) int { return b.failed })})
	var p99 []point
	for i := range bins {
		p99 = append(p99, point{binSize*time.Duration(i) + binSize/2, bins[i].p99().Seconds() * 1000})
	}
	d.curves("p99", logarithmic, " ms", curve{"late", p99})
	var lag []curve
	for i, n := range r.nodes {
		lag = append(lag, curve{[...]string{"lag-a", "lag-b"}[i], n.lag()})
	}
	d.curves("lag", logarithmic, " entries", lag...)
	lanes.WriteString(d.b.String())
	height := d.y

	d.b.Reset()
	fmt.Fprintf(&d.b, `<svg viewBox="0 0 %d %.0f" role="img" aria-label="timeline">`, leftEdge+plotWidth+18, height)
	for _, c := range r.calm {
		if c.begin < d.end && c.end > d.begin {
			fmt.Fprintf(&d.b, `<rect class="calm" x="%.1f" y="12" width="%.1f" height="%.0f"><title>clients halted, everything healed and compared</title></rect>`, d.x(c.begin), d.x(min(c.end, end))-d.x(c.begin), height-12)
		}
	}
	for t := d.begin; t <= d.end; t += 10 * time.Second {
		fmt.Fprintf(&d.b, `<line class="tick" x1="%.1f" x2="%.1f" y1="12" y2="%.0f"/><text class="time" x="%.1f" y="9">%s</text>`, d.x(t), d.x(t), height, d.x(t), minutes(t))
	}
	d.b.WriteString(lanes.String())
	for _, v := range verdicts {
		for _, x := range v.violations {
			if x.at >= d.begin && x.at < d.end {
				fmt.Fprintf(&d.b, `<line class="violation" x1="%.1f" x2="%.1f" y1="12" y2="%.0f"><title>%s: %s</title></line>`, d.x(x.at), d.x(x.at), height, v.name, template.HTMLEscapeString(x.text))
			}
		}
	}
	d.b.WriteString("</svg>")
}

func (d *drawing) lane(label string, phases []phase) {
	fmt.Fprintf(&d.b, `<text class="label" x="%d" y="%.1f">%s</text>`, leftEdge-8, d.y+laneHeight-4, label)
	fmt.Fprintf(&d.b, `<rect class="lane" x="%d" y="%.1f" width="%d" height="%d"/>`, leftEdge, d.y, plotWidth, laneHeight)
	for _, p := range phases {
		if p.begin >= d.end || p.end <= d.begin {
			continue
		}
		x, width := d.x(p.begin), max(1, d.x(p.end)-d.x(p.begin))
		length := ""
		if p.end != never {
			length = fmt.Sprintf(", %v", (p.end - p.begin).Round(10*time.Millisecond))
		}
		fmt.Fprintf(&d.b, `<rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%d"><title>%s%s</title></rect>`, p.class, x, d.y, width, laneHeight, p.text, length)
		if strings.HasPrefix(p.class, "fault") && width > 5.6*float64(len(p.text)) {
			fmt.Fprintf(&d.b, `<text class="in" x="%.1f" y="%.1f">%s</text>`, x+3, d.y+laneHeight-4, p.text)
		}
	}
}

type point struct {
	at    time.Duration
	value float64
}

type curve struct {
	class  string
	points []point
}

func linear(v float64) float64      { return v }
func logarithmic(v float64) float64 { return math.Log10(1 + v) }

// curves draws values over time. The scale is that of the strip.
func (d *drawing) curves(label string, scale func(float64) float64, unit string, curves ...curve) {
	top := 1.0
	for _, c := range curves {
		for _, p := range c.points {
			if p.at >= d.begin && p.at < d.end {
				top = max(top, p.value)
			}
		}
	}
	fmt.Fprintf(&d.b, `<text class="label" x="%d" y="%.1f">%s</text>`, leftEdge-8, d.y+curveHeight/2, label)
	fmt.Fprintf(&d.b, `<text class="scale" x="%d" y="%.1f">%s%s</text><text class="scale" x="%d" y="%.1f">0</text>`,
		leftEdge-8, d.y+8, short(top), unit, leftEdge-8, d.y+curveHeight)
	fmt.Fprintf(&d.b, `<line class="base" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/>`, leftEdge, leftEdge+plotWidth, d.y+curveHeight, d.y+curveHeight)
	for _, c := range curves {
		var line strings.Builder
		var last time.Duration
		for _, p := range c.points {
			if p.at < d.begin || p.at >= d.end {
				continue
			}
			move := "L"
			if line.Len() == 0 || p.at-last > 2*time.Second {
				move = "M"
			}
			last = p.at
			fmt.Fprintf(&line, "%s%.1f %.1f", move, d.x(p.at), d.y+curveHeight*(1-scale(p.value)/scale(top)))
		}
		if line.Len() > 0 {
			fmt.Fprintf(&d.b, `<path class="curve %s" d="%s"/>`, c.class, line.String())
		}
	}
	d.y += curveHeight + curveGap
}

// minutes writes a time as on a clock.
func minutes(t time.Duration) string {
	s := int(t.Round(time.Second) / time.Second)
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}

// short writes a number with few digits.
func short(v float64) string {
	if v >= 10000 {
		return fmt.Sprintf("%.0fk", v/1000)
	}
	return fmt.Sprintf("%.0f", v)
}

// lag is how many entries the node was behind its peer.
func (n *node) lag() []point {
	var list []point
	for _, s := range n.seen.samples {
		list = append(list, point{s.received, float64(s.Peer.Lag)})
	}
	return list
}

// phases are the states of a node, as far as samples tell.
func (n *node) phases(end time.Duration) []phase {
	var list []phase
	add := func(begin, end time.Duration, class, text string) {
		if last := len(list) - 1; last >= 0 && list[last].class == class && list[last].text == text && begin-list[last].end < 10*time.Millisecond {
			list[last].end = end
			return
		}
		list = append(list, phase{span{begin, end}, class, text})
	}
	const answered = time.Second // a sample speaks for so long at most
	for _, life := range n.seen.lives {
		at := life.begin
		lifeEnd := min(life.end, end)
		i, _ := slices.BinarySearchFunc(n.seen.samples, life.begin, func(s sample, t time.Duration) int { return int(s.received - t) })
		for ; i < len(n.seen.samples) && n.seen.samples[i].received < lifeEnd; i++ {
			s := &n.seen.samples[i]
			if s.received > at {
				add(at, s.received, "silent", "does not answer")
			}
			next := lifeEnd
			if i+1 < len(n.seen.samples) {
				next = min(next, n.seen.samples[i+1].received)
			}
			next = min(next, s.received+answered)
			class, text := s.look()
			add(s.received, next, class, text)
			at = next
		}
		if at < lifeEnd {
			add(at, lifeEnd, "silent", "does not answer")
		}
	}
	for _, f := range n.seen.frozen {
		list = append(list, phase{f, "frozen", "frozen"})
	}
	for _, h := range n.seen.hollow {
		list = append(list, phase{span{h.begin, min(h.end, end)}, "hollow", "lost its data, not refilled yet"})
	}
	return list
}

// look is how a state is drawn.
func (s *status) look() (class, text string) {
	switch {
	case s.Store.Refusal != "":
		return "refusing", "refuses writes"
	case s.State == "ready" && s.Acknowledgement.Solo:
		return "solo", "ready, solo"
	case s.State == "ready" && s.Ready:
		return "ready", "ready"
	case s.State == "draining":
		return "draining", "draining"
	}
	return "waking", template.HTMLEscapeString(s.State)
}

// faultPhases are the faults that worked on a part.
func (r *run) faultPhases(p part) []phase {
	class := [...]string{"fault-process", "fault-process", "fault-link", "fault-disk", "fault-disk"}[p]
	var list []phase
	for _, e := range r.events {
		if !slices.Contains(e.parts, p) {
			continue
		}
		text := e.fault
		if e.fault == "one-way cut" {
			text += ", nothing leaves " + e.node
		}
		list = append(list, phase{e.span, class, text})
	}
	return list
}
