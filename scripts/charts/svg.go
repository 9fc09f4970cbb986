package main

import (
	"fmt"
	"html"
	"strings"
)

// style follows the reader's choice of a light or a dark page; each chart has a background of its own. Series differ in
// shape as well as in colour.
const style = `<style>
svg { --paper: #ffffff; --ink: #1f2328; --faint: #59636e; --grid: #d1d9e0; --a: #0969da; --b: #bc4c00; --c: #1a7f37; --d: #8250df }
@media (prefers-color-scheme: dark) {
svg { --paper: #0d1117; --ink: #f0f6fc; --faint: #9198a1; --grid: #3d444d; --a: #4493f8; --b: #f0883e; --c: #3fb950; --d: #ab7df8 }
}
text { fill: var(--ink) }
.faint { fill: var(--faint) }
.title { font-weight: 600 }
.grid { stroke: var(--grid) }
.axis { stroke: var(--faint) }
</style>
`

// drawing is an SVG document under construction.
type drawing struct{ strings.Builder }

func newDrawing(width, height float64, title string) *drawing {
	d := &drawing{}
	fmt.Fprintf(d, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" width="%[1]g" height="%[2]g" role="img" `+
		`font-family="system-ui, sans-serif" font-size="13">`+"\n<title>%s</title>\n%s", width, height, html.EscapeString(title), style)
	fmt.Fprintf(d, `<rect width="%g" height="%g" rx="6" fill="var(--paper)"/>`+"\n", width, height)
	return d
}

func (d *drawing) end() string {
	d.WriteString("</svg>\n")
	return d.String()
}

// text writes at a place. anchor is start, middle or end; class one of the style, or "".
func (d *drawing) text(x, y float64, anchor, class, s string) {
	fmt.Fprintf(d, `<text x="%.1f" y="%.1f" text-anchor="%s" class="%s">%s</text>`+"\n", x, y, anchor, class, html.EscapeString(s))
}

func (d *drawing) line(class string, x1, y1, x2, y2 float64) {
	fmt.Fprintf(d, `<line class="%s" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`+"\n", class, x1, y1, x2, y2)
}

// marker draws the shape of series i.
func (d *drawing) marker(i int, x, y float64) {
	switch i % 4 {
	case 0:
		fmt.Fprintf(d, `<circle cx="%.1f" cy="%.1f" r="4.5" fill="%s"/>`+"\n", x, y, color(i))
	case 1:
		fmt.Fprintf(d, `<rect x="%.1f" y="%.1f" width="8" height="8" fill="%s"/>`+"\n", x-4, y-4, color(i))
	case 2:
		fmt.Fprintf(d, `<path d="M%.1f %.1fl5 9h-10z" fill="%s"/>`+"\n", x, y-5, color(i))
	default:
		fmt.Fprintf(d, `<path d="M%.1f %.1fl5 5-5 5-5-5z" fill="%s"/>`+"\n", x, y-5, color(i))
	}
}

// color is that of series i.
func color(i int) string { return fmt.Sprintf("var(--%c)", 'a'+i%4) }
