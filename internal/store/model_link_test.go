package store

import (
	"math"
	"slices"

	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/record"
)

// What Source and Puller do of themselves. f is the follower, s the source.

// connect is Puller.introduce with Source.handle and follower.plan.
func (k *bench) connect(w *world, f, s int) bool {
	a, b := &w.n[f], &w.n[s]
	l := &a.link[s]
	if l.linked || b.member[f].gone && !a.disk.blank && !k.ru.anybodyJoins || a.member[s].gone && !b.disk.blank && !k.ru.anybodyJoins {
		return false
	}
	before := w.clone()
	held := b.origins[f+1]
	own := a.origins[f+1]
	if k.ru.completeIsNewest {
	} else if a.gaps[s].open {
		own = a.gaps[s].above
	} else if l.part >= 0 {
		own = math.MaxUint64
	}
	if k.ru.ownNeverBack {
		own = math.MaxUint64
	}
	if a.member[s].gone {
		k.setMember(w, f, s, false)
	}
	if b.member[f].gone {
		k.setMember(w, s, f, false)
	}
	// plan
	snapshot, part, start := false, 0, l.pos
	lost := held > own
	switch k.readAfter(&b.disk, l.pos) {
	case true:
		if l.part >= 0 {
			snapshot, part = true, l.part
			if lost || b.horizon != l.copied && !k.ru.resumeAnyway {
				part = 0
			}
		}
	case false:
		snapshot = true
		start = b.disk.position()
	}
	if !snapshot && lost {
		k.openGap(w, f, s, own)
	}
	horizon, born := b.horizon, b.born
	st := k.load(w, f)
	if st.clock.Observe(held) != nil || st.HearHorizon(max(born, horizon)) != nil {
		*w = before
		return false
	}
	k.save(w, f)
	if start.life != l.pos.life || start.seq != l.pos.seq {
		l.durable, l.pending = 0, nil
	}
	l.told, l.asked, l.awaited = horizon, 0, 0
	l.part, l.stage, l.above = -1, stageNone, own
	if snapshot {
		l.part, l.copied, l.stage = part, horizon, stageScan
	} else if lost {
		l.stage = stageScan
	}
	l.pos = start
	l.pos.life = b.disk.life
	l.linked, l.loaded, l.lost = true, true, !snapshot && lost
	k.settle(w, f, s)
	if !snapshot && !lost {
		k.closeGap(w, f, s)
	}
	return true
}

// position is ulog.Log.End.
func (d *modelDisk) position() modelPos {
	p := modelPos{life: d.life, seq: d.end}
	if n := len(d.log); n > 0 && d.log[n-1].seq == d.end {
		p.id = d.log[n-1].id
	}
	return p
}

// readAfter is ulog.Log.ReadAfter.
func (k *bench) readAfter(d *modelDisk, p modelPos) bool {
	if p.seq == 0 {
		return false
	}
	if k.ru.positionIsSequence {
		return p.seq <= d.end && p.seq > d.streamFrom
	}
	if p.life != d.life {
		i := slices.IndexFunc(d.past, func(x modelPos) bool { return x.life == p.life })
		if i < 0 || p.seq > d.past[i].seq {
			return false
		}
	}
	if p.seq > d.end || p.seq < d.streamFrom || p.seq == d.streamFrom && d.streamFrom != 0 {
		return false
	}
	i := slices.IndexFunc(d.log, func(e modelEntry) bool { return e.seq == p.seq })
	return i >= 0 && d.log[i].id == p.id
}

// settle is Puller.settleLocked.
func (k *bench) settle(w *world, f, s int) {
	l := &w.n[f].link[s]
	held := modelPromise{}
	if l.linked && (l.part < 0 && !l.lost || k.ru.holdsWithGaps) {
		held = modelPromise{l.pos.life, l.pos.seq}
	}
	w.n[f].applied[s] = held
}

// wrote is follower.wrote.
func (k *bench) wrote(f int, r *record.Record) bool {
	if r.Kind == record.Mark {
		return true
	}
	if r.Kind != record.Counter || k.ru.counterByStamp {
		return r.Stamp.Node() == f+1
	}
	all := true
	r.Stamps(func(s hlc.Stamp) { all = all && s.Node() == f+1 })
	return all
}

// pull takes the entries of the stream up to and including the next that is sent, or all of them.
func (k *bench) pull(w *world, f, s int, all bool) bool {
	l, d := &w.n[f].link[s], &w.n[s].disk
	if !l.linked {
		return false
	}
	if l.pos.seq < d.streamFrom { // Reader.Gone
		return k.unlink(w, f, s)
	}
	moved, took, d2 := false, 0, &w.n[f].disk
	i, _ := slices.BinarySearchFunc(d.log, l.pos.seq+1, func(e modelEntry, seq int) int { return e.seq - seq })
	for ; i < len(d.log); i++ {
		e := &d.log[i]
		if !k.wrote(f, &e.rec) {
			if took == 1 && !all {
				break
			}
			was := d2.end
			if !k.apply(w, f, &e.rec, e.has) {
				break
			}
			took++
			l.changed = l.changed || d2.end != was
		}
		l.pos.seq, l.pos.id = e.seq, e.id
		moved = true
	}
	k.settle(w, f, s)
	return moved
}

// scan is the source's side of follower.snapshot, deliver the follower's of a chunk, complete of the end.
func (k *bench) scan(w *world, f, s int) bool {
	l, b := &w.n[f].link[s], &w.n[s]
	if !l.linked || l.stage != stageScan {
		return false
	}
	c := &modelChunk{}
	l.stage, l.chunk = stageChunk, c
	if !k.ru.noFloorInSnapshot {
		for _, e := range b.floors {
			c.preface = append(c.preface, e.raw)
		}
	}
	for j := range w.count {
		if m := b.member[j]; m.stamp != 0 {
			value := "here"
			if m.gone {
				value = "gone"
			}
			c.preface = append(c.preface, record.Record{Kind: record.Member, Stamp: m.stamp, Key: []byte{byte('1' + j)}, Value: []byte(value)})
		}
	}
	if l.part != 1 && b.found && (l.part == 0 || needs(&b.rec, f, l.above)) {
		c.found, c.rec = true, b.rec
	}
	c.has = b.has
	return true
}

// needs is follower.needs.
func needs(r *record.Record, f int, above hlc.Stamp) bool {
	lost := false
	r.Stamps(func(s hlc.Stamp) { lost = lost || s.Node() == f+1 && s > above })
	return lost
}

func (k *bench) deliver(w *world, f, s int) bool {
	n := &w.n[f]
	l := &n.link[s]
	if !l.linked || l.stage != stageChunk {
		return false
	}
	c, was := l.chunk, n.disk.end
	for i := range c.preface {
		if !k.apply(w, f, &c.preface[i], w.floorBit(&c.preface[i])) {
			return false
		}
	}
	if c.found && !k.apply(w, f, &c.rec, c.has) {
		return false
	}
	if l.part == 0 {
		n.has |= c.has
		// removeForgotten
		if l.copied != 0 && (!c.found || k.ru.removeSeen) && n.found && k.ru.removable(&n.rec, l.copied) {
			k.put(w, f, removal(&n.rec, l.copied))
		}
		l.part = 1
	}
	l.stage, l.chunk = stageComplete, nil
	l.changed = l.changed || n.disk.end != was
	k.settle(w, f, s)
	return true
}

// floorBit is the write that made a floor.
func (w *world) floorBit(r *record.Record) uint64 {
	for i := range w.writes {
		if r.Kind == record.Floor && w.writes[i].rec.Kind == record.Floor && w.writes[i].rec.Stamp == r.Stamp {
			return 1 << i
		}
	}
	return 0
}

// complete is Puller.complete.
func (k *bench) complete(w *world, f, s int) bool {
	n := &w.n[f]
	l := &n.link[s]
	if !l.linked || l.stage != stageComplete {
		return false
	}
	before := w.clone()
	k.closeGap(w, f, s)
	if l.part >= 0 && l.copied > n.horizon && !k.ru.noAdoption { // AdoptHorizon
		st := k.load(w, f)
		if st.HearHorizon(l.copied) != nil {
			*w = before
			return false
		}
		k.save(w, f)
		n.noted = k.setMark(w, f, modelMark{name: "horizon", horizon: l.copied})
		n.horizon = l.copied
	}
	l.changed = true
	n.disk.fresh = n.disk.fresh && l.part < 0
	l.part, l.lost, l.copied, l.stage = -1, false, 0, stageNone
	k.settle(w, f, s)
	return true
}

// beat is a heartbeat that arrives.
func (k *bench) beat(w *world, f, s int) bool {
	n, b := &w.n[f], &w.n[s]
	l := &n.link[s]
	if !l.linked || l.told == b.horizon && l.asked == b.proposal && l.awaited == b.turn {
		return false
	}
	st := k.load(w, f)
	if st.HearHorizon(b.horizon) != nil {
		return false
	}
	if b.proposal > n.promised { // Store.Promise
		if st.clock.Observe(b.proposal) != nil {
			return false
		}
		k.save(w, f)
		n.promised = b.proposal
		n.promisedAt = k.setMark(w, f, modelMark{name: "promise", stamp: b.proposal})
	}
	k.save(w, f)
	l.told, l.asked, l.awaited = b.horizon, b.proposal, b.turn
	k.settle(w, f, s)
	return true
}

// confirm is Puller.confirm and follower.confirmed.
func (k *bench) confirm(w *world, f, s int) bool {
	n, b := &w.n[f], &w.n[s]
	l := &n.link[s]
	if !l.linked {
		return false
	}
	for len(l.pending) > 0 && l.pending[0].own <= n.disk.durable {
		l.durable = l.pending[0].pos
		l.pending = l.pending[1:]
	}
	durable := min(l.durable, l.pos.seq)
	if k.ru.retainApplied {
		durable = l.pos.seq
	}
	if l.part >= 0 {
		durable = 0
	}
	moved := durable > b.retained[f]
	b.retained[f] = max(b.retained[f], durable)
	if l.asked != 0 && n.promised != 0 && (n.disk.durable >= n.promisedAt || k.ru.promiseVolatile) {
		// HearPromise
		if b.proposal != 0 && n.promised >= b.proposal && b.promises[f].life != n.disk.life {
			b.promises[f] = modelPromise{n.disk.life, n.disk.end}
			moved = true
		}
	}
	return moved
}

// step is Store.stepHorizon.
func (k *bench) step(w *world, i int) bool {
	n := &w.n[i]
	if n.deciding != 0 {
		if n.disk.durable >= n.deciding || k.ru.horizonVolatile {
			n.horizon, n.born = max(n.horizon, n.proposal), max(n.born, n.proposal)
			n.noted = n.deciding
			n.proposal, n.turn, n.deciding = 0, 0, 0
			n.promises = [maxModelNodes]modelPromise{}
			return true
		}
		return false
	}
	st := k.load(w, i)
	next := hlc.Make(max((st.clock.Now()-modelTick)/modelTick*modelTick, 0), 0, 0) // nextHorizon, with a retention of one tick
	if next <= n.horizon {
		return false
	}
	moved := false
	if next != n.proposal && n.turn == 0 {
		if st.clock.Observe(next) != nil {
			return false
		}
		k.save(w, i)
		n.proposal = next
		n.promises = [maxModelNodes]modelPromise{}
		moved = true
	}
	if n.turn == 0 {
		for _, j := range w.others(i) {
			p, a := n.promises[j], n.applied[j]
			if (p.life == 0 && !k.ru.noPromise) || (a.life != p.life || a.seq < p.seq) && !k.ru.noApplied {
				return moved
			}
		}
		n.turn = n.disk.end
		moved = true
	}
	for _, j := range w.others(i) {
		if n.retained[j] < n.turn && !k.ru.noDurable {
			return moved
		}
	}
	n.deciding = k.setMark(w, i, modelMark{name: "horizon", horizon: n.proposal, born: n.proposal})
	return true
}

// advance is one turn of a node's horizon with all that are linked.
func (k *bench) advance(w *world, i int) bool {
	moved := k.step(w, i)
	for _, j := range w.others(i) {
		if w.n[j].link[i].linked {
			moved = k.beat(w, j, i) || moved
			moved = k.sync(w, j) || moved
			moved = k.confirm(w, j, i) || moved
		}
	}
	return k.sync(w, i) || moved
}

// forget is Store.ForgetOnce.
func (k *bench) forget(w *world, i int) bool {
	n := &w.n[i]
	st := k.load(w, i)
	if w.scanned(i) && !k.ru.lateScan || n.horizon == 0 || n.disk.durable < n.noted && !k.ru.horizonVolatile || !n.found || n.seq > n.disk.durable || !k.ru.forgettable(&n.rec, st.clock.Now(), n.horizon) {
		return false
	}
	for _, e := range n.disk.log { // ulog.Log.Oldest
		if e.rec.Kind <= record.Tombstone && e.seq < n.seq && !k.ru.forgetEarly {
			return false
		}
	}
	n.found, n.rec, n.seq = false, record.Record{}, 0
	return true
}

// scanned reports whether a scan of the node is on: nothing is forgotten or compacted meanwhile.
func (w *world) scanned(i int) bool {
	for f := range w.count {
		if l := &w.n[f].link[i]; f != i && (l.stage == stageScan || l.stage == stageChunk) {
			return true
		}
	}
	return false
}

// compact is Store.CompactOnce of everything up to what the peers need, or with giveUp of the whole log.
func (k *bench) compact(w *world, i int, giveUp bool) bool {
	n := &w.n[i]
	if w.scanned(i) && !k.ru.lateScan {
		return false
	}
	if !k.ru.compactUnsynced && (n.found || !k.ru.horizonVolatile) { // the sync makes the horizon durable, too
		n.disk.durable = n.disk.end
	}
	point := n.disk.end
	for _, j := range w.others(i) {
		if !giveUp {
			point = min(point, n.retained[j]-1)
		}
	}
	type name struct {
		of   string
		peer int
	}
	last := map[name]int{}
	for _, e := range n.disk.log {
		switch e.rec.Kind {
		case record.Mark:
			last[name{e.mark.name, e.mark.peer}] = e.seq
		case record.Member:
			last[name{"member", int(e.rec.Key[0])}] = e.seq
		}
	}
	var kept []modelEntry
	from := 0
	based := n.disk.based
	for _, e := range n.disk.log {
		live := e.seq > point
		switch e.rec.Kind {
		case record.Mark:
			live = live || last[name{e.mark.name, e.mark.peer}] == e.seq
		case record.Member:
			live = live || last[name{"member", int(e.rec.Key[0])}] == e.seq
		case record.Floor:
			live = live || slices.ContainsFunc(n.floors, func(f modelFloor) bool { return f.seq == e.seq })
		default:
			live = live || n.found && n.seq == e.seq
		}
		if live {
			kept = append(kept, e)
		} else {
			from, based = e.seq, based|e.has
		}
	}
	if from <= n.disk.streamFrom {
		return false
	}
	n.disk.log, n.disk.streamFrom, n.disk.based, n.disk.origins = kept, from, based, n.origins
	return true
}

// squeeze is a compaction that meets the newest dead entry of the key alone.
func (k *bench) squeeze(w *world, i int) bool {
	n := &w.n[i]
	n.disk.durable = n.disk.end
	for a := len(n.disk.log) - 1; a >= 0; a-- {
		e := &n.disk.log[a]
		if e.rec.Kind > record.Tombstone || n.found && e.seq == n.seq {
			continue
		}
		n.disk.based, n.disk.origins = n.disk.based|e.has, n.origins
		n.disk.streamFrom = max(n.disk.streamFrom, e.seq)
		n.disk.log = slices.Delete(slices.Clone(n.disk.log), a, a+1)
		return true
	}
	return false
}

// decide lets the horizon of a node rise as far as it can.
func (k *bench) decide(w *world, i int) bool {
	before := w.n[i].horizon
	for range 8 {
		k.advance(w, i)
		for f := range w.count {
			for s := range w.count {
				if f != s {
					k.pull(w, f, s, true)
				}
			}
		}
	}
	return w.n[i].horizon != before
}

// drop forgets and gives the space back, as the workers do in time.
func (k *bench) drop(w *world, i int) bool {
	moved := k.compact(w, i, false)
	moved = k.forget(w, i) || moved
	return k.compact(w, i, false) || moved
}

// mend is what Puller.compare and Puller.mend do when both nodes are idle and hold something else.
func (k *bench) mend(w *world, f, s int) bool {
	a, b := &w.n[f], &w.n[s]
	l, back := &a.link[s], &b.link[f]
	if !l.linked || !back.linked || l.part >= 0 || back.part >= 0 || l.lost || back.lost || l.pos.seq != b.disk.end || back.pos.seq != a.disk.end {
		return false
	}
	counts := func(n *modelNode) bool { return n.found && n.rec.Kind != record.Tombstone && n.rec.Expires == 0 }
	if a.floor != b.floor || !counts(a) && !counts(b) || counts(a) && counts(b) && record.Equal(&a.rec, &b.rec) {
		return false
	}
	seen, was := b.found, a.disk.end
	if b.found && !k.apply(w, f, &b.rec, b.has) {
		return false
	}
	if !seen && l.told != 0 && a.found && k.ru.removable(&a.rec, l.told) {
		k.put(w, f, removal(&a.rec, l.told))
	}
	l.changed = l.changed || a.disk.end != was
	return a.disk.end != was
}
