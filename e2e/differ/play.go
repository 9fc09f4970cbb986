//go:build linux

package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// differ is the two servers.
type differ struct {
	memcached, futago *side
	further           []known // differences in replies that are on purpose here
}

func (d *differ) stop() {
	d.memcached.stop()
	d.futago.stop()
}

// check plays a stream of a seed, and returns the difference that it shows as text.
func (d *differ) check(seed, n uint64) (text string, requests int, err error) {
	s := newGenerator(seed, n).stream()
	_, what, err := d.play(s)
	if err != nil || what == "" {
		return "", len(s), err
	}
	past, what, err := d.differs(s)
	if err != nil || what == "" {
		return "", len(s), err
	}
	if p, w, err := d.differs(d.shrink(s)); err != nil {
		return "", len(s), err
	} else if w != "" { // else it comes and goes; then the whole stream is all there is
		past, what = p, w
	}
	return transcript(past, what), len(s), nil
}

// exchange is a batch and what both servers answered.
type exchange struct {
	batch             stream
	memcached, futago outcome
	m, f              []line
}

// counters are the lines of stats that must agree.
var counters = []string{
	"cmd_get", "cmd_set", "cmd_flush", "cmd_touch", "get_hits", "get_misses", "delete_misses", "delete_hits", "incr_misses",
	"incr_hits", "decr_misses", "decr_hits", "cas_misses", "cas_hits", "cas_badval", "touch_hits", "touch_misses",
}

// play sends a stream to both servers, up to the first difference. what is empty if there is none.
func (d *differ) play(s stream) (past []exchange, what string, err error) {
	for _, side := range []*side{d.memcached, d.futago} {
		if err := side.reset(s.lasts()); err != nil {
			return nil, "", err
		}
	}
	uniques := newPairing()
	counts := true
	begun, waited := time.Now(), !s.waits()
	for _, batch := range s.batches() {
		if batch[0].waits {
			time.Sleep(expiry)
			waited = true
			past = append(past, exchange{batch: batch})
			continue
		}
		x, err := d.exchange(batch)
		if err != nil {
			return past, "", err
		}
		past = append(past, x)
		switch {
		case !waited && time.Since(begun) > soon:
			return past, "", nil // too slow to say anything
		case !uniques.equal(normalise(x.m), normalise(x.f)):
			return past, "replies differ", nil
		case x.memcached.closed != x.futago.closed || x.memcached.waits != x.futago.waits:
			return past, fmt.Sprintf("memcached closed=%v waits=%v, futago closed=%v waits=%v",
				x.memcached.closed, x.memcached.waits, x.futago.closed, x.futago.waits), nil
		}
		d.memcached.learn(x.m)
		d.futago.learn(x.f)
		counts = counts && x.counts()
	}
	if counts {
		what, err = d.compareCounters()
	}
	return past, what, err
}

// exchange sends a batch to both at the same time.
func (d *differ) exchange(batch stream) (exchange, error) {
	x := exchange{batch: batch}
	done := make(chan error)
	go func() {
		var err error
		x.futago, err = d.futago.do(batch)
		done <- err
	}()
	var err error
	x.memcached, err = d.memcached.do(batch)
	if ferr := <-done; err == nil {
		err = ferr
	}
	parse := parseText
	if batch[0].conn == binaryConn {
		parse = parsePackets
	}
	x.m, x.f = parse(x.memcached.bytes), parse(x.futago.bytes)
	x.m, x.f = trim(batch, x.m), trim(batch, x.f)
	for _, k := range d.further {
		for _, lines := range [][]line{x.m, x.f} {
			for i := range lines {
				k.normalise(&lines[i])
			}
		}
	}
	if x.memcached.closed && x.futago.closed && len(x.m) < len(x.f) {
		x.f = x.f[:len(x.m)] // memcached drops them, see the table
	}
	return x, err
}

// counts reports whether the counters may be compared afterwards. Of what is refused memcached counts some as done.
func (x *exchange) counts() bool {
	refused := func(l line) bool {
		return strings.HasSuffix(l.fields[0], "ERROR") || strings.Contains(strings.Join(l.fields, " "), " status=0x")
	}
	return !x.memcached.waits && !x.memcached.closed && !slices.ContainsFunc(x.m, refused) && !slices.ContainsFunc(x.batch, quirky)
}

func (d *differ) compareCounters() (what string, err error) {
	m, err := d.memcached.counters()
	if err != nil {
		return "", err
	}
	f, err := d.futago.counters()
	if err != nil {
		return "", err
	}
	for _, name := range counters {
		if m[name] != f[name] {
			what += fmt.Sprintf("; %s is %s on memcached, %s on futago", name, m[name], f[name])
		}
	}
	return strings.TrimPrefix(what, "; "), nil
}

func (s *side) counters() (map[string]string, error) {
	text, err := s.ask("stats\r\n")
	if err != nil {
		return nil, err
	}
	all := map[string]string{}
	for l := range strings.SplitSeq(text, "\r\n") {
		if f := strings.Fields(l); len(f) == 3 {
			all[f[1]] = f[2]
		}
	}
	return all, nil
}

// again is how often a difference must come.
const again = 3

// differs reports whether a stream differs each time it is played.
func (d *differ) differs(s stream) (past []exchange, what string, err error) {
	for range again {
		if past, what, err = d.play(s); err != nil || what == "" {
			return past, "", err
		}
	}
	return past, what, nil
}

// shrink leaves out requests and ties as long as the rest still differs.
func (d *differ) shrink(s stream) stream {
	try := func(c stream) bool {
		_, what, err := d.differs(c)
		return err == nil && what != ""
	}
	for size := len(s) / 2; size > 0; {
		smaller := false
		for at := 0; at+size <= len(s); {
			c := append(append(stream{}, s[:at]...), s[at+size:]...)
			if len(c) > 0 && c.waits() == s.waits() && try(c) {
				s, smaller = c, true
			} else {
				at += size
			}
		}
		if !smaller {
			size /= 2
		}
	}
	for i := range s {
		for _, change := range []func(r *request){
			func(r *request) { r.joined = false }, func(r *request) { r.cut = 0 }, func(r *request) {
				if r.conn != binaryConn {
					r.conn = 0
				}
			},
		} {
			c := append(stream{}, s...)
			if change(&c[i]); c[i] != s[i] && try(c) {
				s = c
			}
		}
	}
	return s
}

// transcript is what was said as a section of a transcript.
func transcript(past []exchange, what string) string {
	var b strings.Builder
	seen := map[string]string{}
	conn, title := 0, ""
	for _, x := range past {
		if x.batch[0].waits {
			fmt.Fprintf(&b, "# wait %v\n", expiry)
			continue
		}
		binary := x.batch[0].conn == binaryConn
		if t := map[bool]string{false: "==", true: "=b"}[binary]; t != title {
			title = t
			fmt.Fprintf(&b, "%s a difference: %s\n", t, what)
			conn = 0
		}
		if x.batch[0].conn != conn && !binary {
			conn = x.batch[0].conn
			fmt.Fprintf(&b, "@ %d\n", conn+1)
		}
		for i := range x.batch {
			r := &x.batch[i]
			if r.cut > 0 {
				fmt.Fprintf(&b, "# in writes of %d\n", r.cut)
			}
			if r.joined && i > 0 {
				b.WriteString("# in one write:\n")
			}
			b.WriteString(r.line(seen) + "\n")
		}
		p := newPairing()
		if p.equal(normalise(x.m), normalise(x.f)) && x.memcached.closed == x.futago.closed && x.memcached.waits == x.futago.waits {
			writeLines(&b, "", x.m, x.memcached, binary, seen)
			continue
		}
		b.WriteString("# the reason\n")
		writeLines(&b, "m", x.m, x.memcached, binary, seen)
		writeLines(&b, "f", x.f, x.futago, binary, seen)
	}
	return b.String()
}

func writeLines(b *strings.Builder, server string, lines []line, o outcome, binary bool, seen map[string]string) {
	for i := range lines {
		text := lines[i].text(binary, seen)
		for part := range strings.SplitSeq(text, "\n< ") {
			if strings.HasPrefix(part, " ") || strings.HasPrefix(part, "~ ") {
				fmt.Fprintf(b, "<%s%s\n", server, part)
			} else {
				fmt.Fprintf(b, "<%s %s\n", server, part)
			}
		}
	}
	if o.closed {
		fmt.Fprintf(b, "<%s-\n", server)
	}
	if o.waits {
		b.WriteString("# waits for more\n")
	}
}
