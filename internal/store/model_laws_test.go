package store

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/record"
	"github.com/zeebo/xxh3"
)

// The laws. What must be there in the end is the join of all writes that were accepted and not lost with every disk that
// held them: a delete, an increment, a later set are all in it. So no write may be lost, none may come back, and every
// increment of the generation counts.

// truth is the join of the writes that a set names, and the highest floor among them that is due.
func (w *world) truth(of uint64) (r record.Record, floor hlc.Stamp) {
	of &= w.held(false)
	for i := range w.writes {
		x := &w.writes[i]
		switch {
		case x.excused || of&(1<<i) == 0:
		case x.rec.Kind == record.Floor:
			if f := x.rec.FloorStamp(); f.Millis() <= w.wall {
				floor = max(floor, f)
			}
		case r.Kind == 0:
			r = x.rec
		default:
			r = record.Merge(&r, &x.rec)
		}
	}
	return r, floor
}

// law5: what a node writes is later than all that it has taken notice of, and above every horizon in force.
func (k *bench) law5(w *world, i int, p *present, next *record.Record) {
	n := &w.n[i]
	if p.found && !p.rec.DeadBelow(n.floor) {
		if m := record.Merge(&p.rec, next); !record.Equal(&m, next) {
			k.fault = fmt.Sprintf("what %s writes is not later than what it replaces:\n\t%s\n\t%s", nodeName(i), showRecord(&p.rec), showRecord(next))
			return
		}
	}
	if known, floor := w.truth(n.has); known.Kind != 0 && !known.DeadBelow(max(floor, n.floor)) {
		if m := record.Merge(&known, next); !record.Equal(&m, next) {
			k.fault = fmt.Sprintf("what %s writes is not later than what it has known:\n\t%s\n\t%s", nodeName(i), showRecord(&known), showRecord(next))
			return
		}
	}
	for j := range w.count {
		if !w.gone(i) && !w.gone(j) && next.Stamp <= w.n[j].horizon {
			k.fault = fmt.Sprintf("%s writes %v, at or below the horizon %v of %s", nodeName(i), next.Stamp, w.n[j].horizon, nodeName(j))
			return
		}
	}
	for j := range w.writes {
		if x := &w.writes[j]; !x.excused && x.node == i && (x.rec.Stamp == next.Stamp || n.has&(1<<j) != 0 && x.rec.Stamp > next.Stamp) {
			k.fault = fmt.Sprintf("%s writes %v after %v", nodeName(i), next.Stamp, x.rec.Stamp)
			return
		}
	}
}

// heal mends all clocks and links and lets everything arrive. It returns why it does not.
func (k *bench) heal(w *world) string {
	newest := hlc.Stamp(0)
	for i := range w.count {
		w.n[i].offset = 0
		newest = max(newest, w.n[i].last)
	}
	for w.wall < newest.Millis() {
		w.wall += modelTick
	}
	for range 40 {
		moved := false
		for f := range w.count {
			for s := range w.count {
				if f == s {
					continue
				}
				moved = k.connect(w, f, s) || moved
				moved = k.beat(w, f, s) || moved
				moved = k.scan(w, f, s) || moved
				moved = k.deliver(w, f, s) || moved
				moved = k.complete(w, f, s) || moved
				moved = k.pull(w, f, s, true) || moved
			}
		}
		if k.fault != "" {
			return k.fault
		}
		for f := range w.count {
			for s := range w.count {
				moved = moved || w.damaged && f != s && k.mend(w, f, s)
			}
		}
		if !moved {
			return k.joined(w)
		}
	}
	return "nodes do not come to rest"
}

// joined reports a link that is not up or lacks something.
func (k *bench) joined(w *world) string {
	for f := range w.count {
		for s := range w.count {
			if f == s || w.gone(f) || w.gone(s) {
				continue
			}
			l := &w.n[f].link[s]
			if !l.linked || l.stage != stageNone || l.part >= 0 || l.pos.seq != w.n[s].disk.end {
				return fmt.Sprintf("%s cannot follow %s: linked %v, stage %d, part %d, position %d of %d", nodeName(f), nodeName(s), l.linked, l.stage, l.part, l.pos.seq, w.n[s].disk.end)
			}
		}
	}
	return ""
}

// judge compares all nodes with the truth, after heal.
func (k *bench) judge(w *world) string {
	truth, floor := w.truth(^uint64(0))
	st := k.load(w, 0)
	now := st.clock.Now()
	alive := truth.Kind != 0 && living(&truth, now, floor)
	if v, _ := truth.Number(); alive && w.exact && v != w.base+w.sum {
		return fmt.Sprintf("%d and %d increments make %d: %s", w.base, w.sum, v, showRecord(&truth))
	}
	for i := range w.count {
		if w.gone(i) {
			continue
		}
		n := &w.n[i]
		st := k.load(w, i)
		live := n.found && k.ru.living(&n.rec, now, st.floors.current(st))
		switch {
		case alive && !live:
			return fmt.Sprintf("%s lacks %s%s", nodeName(i), showRecord(&truth), w.dump())
		case !alive && live:
			return fmt.Sprintf("%s has %s, which is dead by %s%s", nodeName(i), showRecord(&n.rec), showRecord(&truth), w.dump())
		case live && !record.Equal(&n.rec, &truth):
			return fmt.Sprintf("%s has %s, not %s%s", nodeName(i), showRecord(&n.rec), showRecord(&truth), w.dump())
		}
	}
	return ""
}

// check heals a copy and judges it; with later it also lets time pass until everything that may be forgotten is.
func (k *bench) check(w *world, later bool) string {
	c := w.clone()
	if why := k.heal(&c); why != "" {
		return why
	}
	if why := k.judge(&c); why != "" || !later {
		return why
	}
	for range 3 {
		k.tick(&c)
		for range 8 {
			for i := range c.count {
				k.advance(&c, i)
			}
			if why := k.heal(&c); why != "" {
				return "later: " + why
			}
		}
		for i := range c.count {
			k.sweep(&c, i)
			k.drop(&c, i)
		}
		if why := k.judge(&c); why != "" {
			return "later: " + why
		}
	}
	for i := range c.count {
		want := hlc.Make(c.wall/modelTick*modelTick-modelTick, 0, 0)
		if n := &c.n[i]; !c.gone(i) && n.horizon < want {
			return fmt.Sprintf("horizon of %s stays at %v, %v is due%s", nodeName(i), n.horizon, want, c.dump())
		}
	}
	return ""
}

// tick lets an hour pass, in which every log is synced.
func (k *bench) tick(w *world) bool {
	for i := range w.count {
		k.sync(w, i)
	}
	w.wall += modelTick
	for i := range w.count {
		k.judgeClock(w, i)
	}
	return true
}

func nodeName(i int) string { return string(rune('A' + i)) }

func showRecord(r *record.Record) string {
	if r.Kind == 0 {
		return "nothing"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%v @%s gen %s", r.Kind, showStamp(r.Stamp), showStamp(r.Gen().Stamp))
	if r.Created {
		b.WriteString(" created")
	}
	if r.Kind == record.Counter {
		c, _ := record.DecodeCounter(r.Value)
		fmt.Fprintf(&b, " %q@%s", c.Base, showStamp(c.BaseStamp))
		for i := range c.N() {
			fmt.Fprintf(&b, " %+d@%s(%x)", c.At(i).Sum, showStamp(c.At(i).Stamp), c.At(i).Epoch)
		}
	} else if r.Kind == record.Value {
		fmt.Fprintf(&b, " %q", r.Value)
	} else if r.Kind == record.Floor {
		fmt.Fprintf(&b, " %s", showStamp(r.FloorStamp()))
	}
	if r.Expires != 0 {
		fmt.Fprintf(&b, " expires %s", showStamp(hlc.Make(int64(r.Expires), 0, 0)))
	}
	return b.String()
}

// showStamp gives a stamp in hours, milliseconds and counts.
func showStamp(s hlc.Stamp) string {
	if s == 0 {
		return "0"
	}
	t := fmt.Sprintf("%dh", s.Millis()/modelTick)
	if ms := s.Millis() % modelTick; ms != 0 {
		t += fmt.Sprintf("%d", ms)
	}
	if s.Counter() != 0 {
		t += fmt.Sprintf(".%d", s.Counter())
	}
	if s.Node() != 0 {
		t += nodeName(s.Node() - 1)
	}
	return t
}

func (w *world) dump() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n\twall %dh", w.wall/modelTick)
	for i := range w.count {
		n := &w.n[i]
		fmt.Fprintf(&b, "\n\t%s holds %s, last %s, floor %s, horizon %s, born %s, life %x, log %d..%d durable %d", nodeName(i), showRecord(&n.rec), showStamp(n.last), showStamp(n.floor), showStamp(n.horizon), showStamp(n.born), n.disk.life, n.disk.streamFrom, n.disk.end, n.disk.durable)
		fmt.Fprintf(&b, "\n\t   proposal %s turn %d deciding %d promises %v applied %v retained %v promised %s", showStamp(n.proposal), n.turn, n.deciding, n.promises, n.applied, n.retained, showStamp(n.promised))
	}
	return b.String()
}

// key is equal for worlds that behave alike, as far as it is cheap to tell: stamps are taken by their order and by how far
// they are from the wall, positions by how far they are from the ends.
func (w *world) key(buf []byte, stamps []hlc.Stamp) (xxh3.Uint128, []byte, []hlc.Stamp) {
	e := encoder{b: buf[:0], at: nil, stamps: stamps[:0]}
	// Writes that nobody needs any more are left out.
	alive := uint64(0)
	for i := range w.writes {
		if !w.writes[i].excused && !w.outdone(i) {
			alive |= 1 << i
		}
	}
	e.has = alive
	for i := range w.writes {
		if alive&(1<<i) != 0 {
			e.record(&w.writes[i].rec)
			e.int(w.writes[i].node)
		}
	}
	for i := range w.count {
		e.node(w, i)
	}
	e.bool(w.saved != nil)
	e.bool(w.exact)
	e.bool(w.damaged)
	if w.exact {
		e.int(int(w.sum))
	}
	// Stamps by rank and distance.
	e.stamps = append(e.stamps, e.at2...)
	sorted := slices.Clone(e.stamps)
	slices.Sort(sorted)
	sorted = slices.Compact(sorted)
	for i, s := range e.stamps {
		r, _ := slices.BinarySearch(sorted, s)
		binary.LittleEndian.PutUint16(e.b[e.at[i]:], uint16(r))
	}
	for _, s := range sorted {
		far := int64(-8)
		if s != 0 {
			far = min(max((s.Millis()-w.wall)*2/modelTick, -8), 8)
		}
		e.b = append(e.b, byte(far), byte(s.Node()))
	}
	return xxh3.Hash128(e.b), e.b, e.stamps
}

// outdone reports whether another write contains this one wherever it is held.
func (w *world) outdone(i int) bool {
	x := &w.writes[i]
	for j := range w.writes {
		y := &w.writes[j]
		if i == j || y.excused || (x.rec.Kind == record.Floor) != (y.rec.Kind == record.Floor) {
			continue
		}
		if x.rec.Kind == record.Floor {
			continue
		}
		if m := record.Merge(&x.rec, &y.rec); !record.Equal(&m, &y.rec) || record.Equal(&x.rec, &y.rec) {
			continue
		}
		all := true
		for a := range w.count {
			n := &w.n[a]
			d := n.disk.hasAt(n.disk.durable)
			all = all && (n.has&(1<<i) == 0 || n.has&(1<<j) != 0) && (d&(1<<i) == 0 || d&(1<<j) != 0)
		}
		if all {
			return true
		}
	}
	return false
}

// hasAt are the writes noticed up to a position.
func (d *modelDisk) hasAt(seq int) uint64 {
	has := d.based
	for i := range d.log {
		if d.log[i].seq > seq {
			break
		}
		has = d.log[i].has
	}
	return has
}

type encoder struct {
	b      []byte
	at     []int // of stamps in b
	at2    []hlc.Stamp
	stamps []hlc.Stamp
	has    uint64
}

func (e *encoder) int(v int) { e.b = binary.AppendVarint(e.b, int64(v)) }
func (e *encoder) stamp(s hlc.Stamp) {
	e.at, e.at2 = append(e.at, len(e.b)), append(e.at2, s)
	e.b = append(e.b, 0, 0)
}

func (e *encoder) bool(v bool) {
	if v {
		e.b = append(e.b, 1)
	} else {
		e.b = append(e.b, 0)
	}
}

func (e *encoder) record(r *record.Record) {
	e.b = append(e.b, byte(r.Kind))
	if r.Kind == 0 {
		return
	}
	e.stamp(r.Stamp)
	e.bool(r.Created)
	e.stamp(r.Gen().Stamp)
	e.stamp(hlc.Make(int64(r.Expires), 0, 0))
	switch r.Kind {
	case record.Counter:
		c, _ := record.DecodeCounter(r.Value)
		e.stamp(c.BaseStamp)
		e.b = append(e.b, c.Base...)
		for i := range c.N() {
			x := c.At(i)
			e.stamp(x.Stamp)
			e.int(int(x.Epoch))
			e.int(int(x.Sum))
		}
	case record.Floor:
		e.stamp(r.FloorStamp())
	default:
		e.b = append(append(e.b, r.Value...), 0)
	}
}

func (e *encoder) node(w *world, i int) {
	n := &w.n[i]
	e.record(&n.rec)
	e.int(int(n.offset / 1000))
	for _, s := range []hlc.Stamp{n.last, n.floor, n.horizon, n.born, n.proposal, n.promised} {
		e.stamp(s)
	}
	// What it would write next may be a stamp that is there already.
	next := hlc.NewClock(i+1, time.Minute, func() time.Time { return hlc.Epoch.Add(time.Duration(w.wall+n.offset) * time.Millisecond) })
	next.Restore(n.last)
	e.stamp(next.Next())
	for _, s := range n.origins[1 : w.count+1] {
		e.stamp(s)
	}
	for _, f := range n.floors {
		e.stamp(f.floor)
	}
	e.b = append(e.b, 0xff)
	d := &n.disk
	end := d.end
	e.int(d.life)
	for _, p := range d.past {
		e.int(p.life)
		e.int(p.seq - end)
	}
	e.bool(d.blank)
	e.bool(d.fresh)
	e.bool(n.refuses)
	e.int(end - n.turn)
	e.int(end - n.deciding)
	e.bool(d.durable >= n.noted)
	e.bool(d.durable >= n.promisedAt)
	e.int(int(n.has & e.has))
	// The log: what a follower has yet to take, what may be lost, what a restart finds.
	from := d.durable
	for j := range w.count {
		if j == i {
			continue
		}
		l := &w.n[j].link[i]
		switch {
		case l.pos.life != d.life && !slices.ContainsFunc(d.past, func(p modelPos) bool { return p.life == l.pos.life }), l.pos.seq > end, l.pos.seq < d.streamFrom:
			e.int(-1)
		default:
			e.int(end - l.pos.seq)
			from = min(from, l.pos.seq)
		}
		from = min(from, max(l.durable, d.streamFrom))
		e.bool(l.linked)
		e.bool(l.loaded)
		e.int(l.part)
		e.bool(l.lost)
		e.stamp(l.copied)
		e.stamp(l.told)
		e.stamp(l.asked)
		e.int(end - l.awaited)
		e.int(end - l.durable)
		e.bool(l.changed)
		e.bool(l.marked < l.awaited)
		for _, p := range l.pending {
			e.int(end - p.pos)
			e.int(w.n[j].disk.end - p.own)
		}
		e.int(l.stage)
		if l.stage == stageScan || l.stage == stageChunk {
			e.stamp(l.above)
		}
		if l.stage == stageChunk {
			e.record(&l.chunk.rec)
			e.int(int(l.chunk.has & e.has))
			e.int(len(l.chunk.preface))
		}
		e.bool(n.member[j].gone)
		e.bool(n.gaps[j].open)
		e.stamp(n.gaps[j].above)
		for _, p := range []modelPromise{n.promises[j], n.applied[j]} {
			e.int(p.life)
			e.int(w.n[j].disk.end - p.seq)
		}
		e.int(end - n.retained[j])
	}
	e.int(end - from)
	e.int(end - d.durable)
	newest := record.Record{}
	older := false
	for j := range d.log {
		x := &d.log[j]
		if x.rec.Kind <= record.Tombstone && x.rec.Kind != 0 {
			older = older || newest.Kind != 0
		}
		if x.seq <= from {
			if x.rec.Kind <= record.Tombstone && x.rec.Kind != 0 {
				newest = x.rec
			}
			continue
		}
		e.record(&x.rec)
		if x.rec.Kind == record.Mark {
			e.b = append(append(e.b, x.mark.name...), byte(x.mark.peer))
			for _, s := range []hlc.Stamp{x.mark.copied, x.mark.horizon, x.mark.born, x.mark.stamp} {
				e.stamp(s)
			}
			e.bool(x.mark.open)
			if x.mark.name == "follow" {
				e.int(w.n[x.mark.peer].disk.end - x.mark.pos.seq)
				e.bool(w.n[x.mark.peer].disk.life == x.mark.pos.life)
			}
			e.int(x.mark.part)
		}
		e.int(int(x.has & e.has))
	}
	e.record(&newest)
	e.bool(older)
	e.int(int(d.hasAt(d.durable) & e.has))
}
