package store

import (
	"slices"
	"time"

	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/record"
)

// A node of the model: what a Store, a Source and the Pullers of one process remember, for one key, as plain values, so that
// a world is copied by assignment. Slices are shared between worlds and never changed in place.

const maxModelNodes = 3

// modelTick is a step of the world's time; the horizon moves in the same steps.
const modelTick = int64(time.Hour / time.Millisecond)

// modelPos is ulog.Position; id stands for the checksum.
type modelPos struct{ life, seq, id int }

// modelMark is what one note in a log says; name tells which part counts.
type modelMark struct {
	name    string // follow, horizon, promise, gap, life
	peer    int    // follow, gap
	pos     modelPos
	part    int
	copied  hlc.Stamp
	horizon hlc.Stamp
	born    hlc.Stamp
	stamp   hlc.Stamp // promise; gap: above
	open    bool      // gap
	life    int
}

// modelEntry is a log entry.
type modelEntry struct {
	seq  int
	id   int
	rec  record.Record // of kind Mark: mark is its content
	mark modelMark
	has  uint64 // writes of which the node had taken notice, this entry included; bit i: world.writes[i]
}

// modelDisk is what a log leaves on the disk.
type modelDisk struct {
	life       int
	past       []modelPos // earlier lives and the last sequence shared with them
	log        []modelEntry
	end        int // last sequence
	durable    int
	streamFrom int
	blank      bool                         // no record was ever appended
	fresh      bool                         // wiped, and not yet filled: no client is served
	based      uint64                       // writes noticed before what is left of the log
	origins    [maxModelNodes + 1]hlc.Stamp // newest stamps in what was compacted; hints keep them
}

// modelLink is a puller, the source's half of its link included.
type modelLink struct {
	loaded  bool // the mark was read in this process
	linked  bool
	pos     modelPos
	part    int // of an unfinished snapshot: 0 without the key's part, 1 with it; -1: none is unfinished
	copied  hlc.Stamp
	lost    bool
	told    hlc.Stamp // horizon that the follower heard last
	asked   hlc.Stamp // proposal that it heard last
	awaited int
	durable int
	pending []markedAt
	marked  int  // position in the last note
	changed bool // since then
	stage   int  // of what runs beside the stream
	above   hlc.Stamp
	chunk   *modelChunk
}

type markedAt struct{ own, pos int }

// Stages of a snapshot or of the records that were lost.
const (
	stageNone     = iota
	stageScan     // the source has yet to look at the key
	stageChunk    // the chunk is on its way
	stageComplete // the end is
)

// modelChunk is a chunk on its way.
type modelChunk struct {
	preface []record.Record
	found   bool
	rec     record.Record
	has     uint64
}

type modelPromise struct{ life, seq int }

type modelMember struct {
	gone  bool
	stamp hlc.Stamp
}

type modelFloor struct {
	floor hlc.Stamp
	raw   record.Record
	seq   int
}

type modelNode struct {
	disk   modelDisk
	offset int64 // of the wall clock, milliseconds
	lives  int   // logs so far

	found   bool
	rec     record.Record
	seq     int // of its entry
	last    hlc.Stamp
	floors  []modelFloor
	floor   hlc.Stamp // active
	horizon hlc.Stamp
	born    hlc.Stamp
	origins [maxModelNodes + 1]hlc.Stamp
	has     uint64
	refuses bool // client writes, because the clock was behind the log when it was looked at
	member  [maxModelNodes]modelMember
	gaps    [maxModelNodes]struct {
		open  bool
		above hlc.Stamp
	}

	noted      int
	proposal   hlc.Stamp
	promises   [maxModelNodes]modelPromise
	applied    [maxModelNodes]modelPromise
	retained   [maxModelNodes]int
	turn       int
	deciding   int
	promised   hlc.Stamp
	promisedAt int

	link [maxModelNodes]modelLink // to the logs of the others
}

// world is a state of the model.
type world struct {
	wall    int64
	count   int
	ids     int // of log entries so far
	n       []modelNode
	writes  []modelWrite
	exact   bool // since all nodes held one number nothing happened to it but increments and touches
	base    uint64
	sum     uint64
	damaged bool       // a log lost something in its middle: only a comparison finds it
	saved   *modelDisk // copy of the disk of the last node, which restore brings back
}

func (w *world) clone() world {
	c := *w
	c.n = slices.Clone(w.n)
	return c
}

// modelWrite is a write that a node accepted from a client: the record that it made, or a floor.
type modelWrite struct {
	rec     record.Record
	node    int
	excused bool // lost with all disks that held it, or with a node that was removed
}

// bench runs the real code of a Store on the state of a model's node.
type bench struct {
	ru    *modelRules
	st    *Store
	now   time.Time
	fault string // law broken by the last action
}

func newBench(ru *modelRules) *bench {
	return &bench{ru: ru, st: &Store{cfg: DefaultConfig()}}
}

// load puts clock, floors and horizon of a node into the store.
func (k *bench) load(w *world, i int) *Store {
	n := &w.n[i]
	k.now = hlc.Epoch.Add(time.Duration(w.wall+n.offset) * time.Millisecond)
	k.st.clock = hlc.NewClock(i+1, time.Minute, func() time.Time { return k.now })
	k.st.clock.Restore(n.last)
	f := &k.st.floors
	f.list, f.sink = f.list[:0], 0
	f.active.Store(uint64(n.floor))
	f.nextDue.Store(0)
	for _, e := range n.floors {
		f.list = append(f.list, floorEntry{floor: e.floor, raw: e.raw, loc: uint64(e.seq)})
		if e.floor > n.floor && f.nextDue.Load() == 0 {
			f.nextDue.Store(e.floor.Millis())
		}
	}
	k.st.horizon.value.Store(uint64(n.horizon))
	k.st.horizon.born.Store(uint64(n.born))
	return k.st
}

// save takes them back.
func (k *bench) save(w *world, i int) {
	n := &w.n[i]
	n.last = k.st.clock.Last()
	n.horizon, n.born = k.st.Horizon(), k.st.Born()
	same := len(k.st.floors.list) == len(n.floors)
	for j := 0; same && j < len(n.floors); j++ {
		same = k.st.floors.list[j].floor == n.floors[j].floor
	}
	n.floor = hlc.Stamp(k.st.floors.active.Load())
	if !same {
		n.floors = nil
		for _, e := range k.st.floors.list {
			n.floors = append(n.floors, modelFloor{e.floor, e.raw, int(e.loc)})
		}
	}
}

// append is ulog.Append.
func (k *bench) append(w *world, i int, r record.Record, m modelMark) int {
	n := &w.n[i]
	w.ids++
	n.disk.end++
	e := modelEntry{seq: n.disk.end, id: w.ids, rec: r, mark: m, has: n.has}
	n.disk.log = append(slices.Clip(n.disk.log), e)
	if r.Kind != record.Mark {
		r.Stamps(func(s hlc.Stamp) { n.origins[s.Node()] = max(n.origins[s.Node()], s) })
	}
	if r.Kind <= record.Tombstone {
		n.disk.blank = false
	}
	return n.disk.end
}

func (k *bench) setMark(w *world, i int, m modelMark) int {
	return k.append(w, i, record.Record{Kind: record.Mark}, m)
}

// put is Store.put.
func (k *bench) put(w *world, i int, r record.Record) {
	n := &w.n[i]
	n.found, n.rec = true, r
	n.seq = k.append(w, i, r, modelMark{})
}

// look is Store.look.
func (k *bench) look(w *world, i int) (p present) {
	n := &w.n[i]
	if p.found = n.found; p.found {
		p.rec = n.rec
		p.live = k.ru.living(&n.rec, k.st.clock.Now(), k.st.floors.current(k.st))
	}
	return p
}

var modelKey = []byte("k")

// commit is Store.Commit: an operation of a client.
func (k *bench) commit(w *world, i int, req Request) bool {
	n := &w.n[i]
	if n.disk.fresh {
		return false
	}
	st := k.load(w, i)
	if n.refuses && st.clock.Drift() != nil {
		return false
	}
	req.Key = modelKey
	p := k.look(w, i)
	if req.evaluate(&p, 1<<20) != nil {
		return false
	}
	next := req.compose(&p, st.bounds())
	if req.Op == Add {
		next.Replaced = k.ru.absence(st.bounds(), &p)
	}
	epoch := uint64(n.disk.life)
	if k.ru.oneEpoch {
		epoch = uint64(i)
	}
	stamp := st.clock.Next()
	next = k.ru.sign(&req, &p, next, record.Author{Stamp: stamp, Epoch: epoch})
	next = next.Clone()
	k.save(w, i)
	k.law5(w, i, &p, &next)
	n.has |= 1 << len(w.writes)
	w.writes = append(slices.Clip(w.writes), modelWrite{rec: next, node: i})
	k.put(w, i, next)
	if req.Op != Delete && (next.Expires == 0 || int64(next.Expires) > st.clock.Now()) {
		if p := k.look(w, i); !p.live && k.fault == "" {
			k.fault = "a write cannot be read: " + showRecord(&next)
		}
	}
	switch req.Op {
	case Incr:
		w.sum++
	case Touch:
	default:
		w.exact = false
	}
	return true
}

// judgeClock is Store.judge.
func (k *bench) judgeClock(w *world, i int) { w.n[i].refuses = k.load(w, i).clock.Drift() != nil }

// flush is Store.FlushAll.
func (k *bench) flush(w *world, i int, at int64) bool {
	n := &w.n[i]
	if n.disk.fresh {
		return false
	}
	st := k.load(w, i)
	if n.refuses && st.clock.Drift() != nil {
		return false
	}
	stamp := st.clock.Next()
	floor := stamp
	if at != 0 {
		floor = max(hlc.Make(at, 0, 0), stamp)
	}
	r := record.NewFloor(stamp, floor)
	n.has |= 1 << len(w.writes)
	w.writes = append(slices.Clip(w.writes), modelWrite{rec: r, node: i})
	n.last = st.clock.Last()
	w.exact = false
	seq := k.append(w, i, r, modelMark{})
	st.floors.insertLocked(floorEntry{floor, uint64(seq), r})
	st.floors.settleLocked(st)
	k.save(w, i)
	return true
}

// sweep is Store.sweepFloor.
func (k *bench) sweep(w *world, i int) bool {
	n := &w.n[i]
	st := k.load(w, i)
	if !n.found || !n.rec.DeadBelow(st.floors.current(st)) {
		return false
	}
	k.save(w, i)
	n.found, n.rec, n.seq = false, record.Record{}, 0
	return true
}

// apply is Store.apply of what a peer sent; false when a stamp is refused.
func (k *bench) apply(w *world, i int, r *record.Record, has uint64) bool {
	n := &w.n[i]
	if r.Kind == record.Mark {
		return true
	}
	st := k.load(w, i)
	refused := false
	r.Stamps(func(s hlc.Stamp) { refused = refused || st.clock.Observe(s) != nil })
	if refused {
		return false
	}
	switch r.Kind {
	case record.Floor:
		k.applyFloor(w, i, r, has)
		return true
	case record.Member:
		k.save(w, i)
		k.applyMember(w, i, r)
		return true
	}
	p := k.look(w, i)
	next, v := k.ru.accept(st.bounds(), &p, r)
	k.save(w, i)
	n.has |= has
	if v == merged || v == replace {
		k.put(w, i, next.Clone())
	}
	return true
}

func (k *bench) applyFloor(w *world, i int, r *record.Record, has uint64) {
	n := &w.n[i]
	st := k.st
	n.has |= has
	if st.floors.insertLocked(floorEntry{floor: r.FloorStamp(), raw: *r}) {
		n.last = st.clock.Last()
		seq := k.append(w, i, *r, modelMark{})
		for j := range st.floors.list {
			if st.floors.list[j].floor == r.FloorStamp() {
				st.floors.list[j].loc = uint64(seq)
			}
		}
		st.floors.settleLocked(st)
	}
	k.save(w, i)
}

func (k *bench) applyMember(w *world, i int, r *record.Record) {
	n := &w.n[i]
	m := &n.member[r.Key[0]-'1']
	if m.stamp >= r.Stamp {
		return
	}
	*m = modelMember{string(r.Value) == "gone", r.Stamp}
	k.append(w, i, *r, modelMark{})
}

// setMember is Store.SetMember.
func (k *bench) setMember(w *world, i, of int, gone bool) {
	n := &w.n[i]
	st := k.load(w, i)
	value := "here"
	if gone {
		value = "gone"
	}
	r := record.Record{Kind: record.Member, Stamp: st.clock.Next(), Key: []byte{byte('1' + of)}, Value: []byte(value)}
	k.save(w, i)
	k.append(w, i, r, modelMark{})
	n.member[of] = modelMember{gone, r.Stamp}
}

func (w *world) others(i int) (list []int) {
	for j := range w.count {
		if j != i && !w.n[i].member[j].gone {
			list = append(list, j)
		}
	}
	return list
}

// sync notes the positions and makes the log durable: Puller.note and Log.Sync.
func (k *bench) sync(w *world, i int) bool {
	n := &w.n[i]
	for j := range w.count {
		k.note(w, i, j)
	}
	if n.disk.durable == n.disk.end {
		return false
	}
	n.disk.durable = n.disk.end
	return true
}

// note is Puller.note: after a change, or when the source waits for it.
func (k *bench) note(w *world, i, j int) {
	n := &w.n[i]
	l := &n.link[j]
	if i == j || !l.changed && !(l.marked < l.awaited && l.awaited <= l.pos.seq) {
		return
	}
	own := k.setMark(w, i, modelMark{name: "follow", peer: j, pos: l.pos, part: l.part, copied: l.copied})
	l.pending = append(slices.Clip(l.pending), markedAt{own, l.pos.seq})
	l.marked, l.changed = l.pos.seq, false
}

// open is Store.Open: everything in memory is made from the log.
func (k *bench) open(w *world, i int, renewed bool) {
	n := &w.n[i]
	old := *n
	*n = modelNode{disk: old.disk, offset: old.offset, lives: old.lives, has: old.disk.based}
	for j := range n.link {
		n.link[j].part = -1
	}
	var follow [maxModelNodes]modelMark
	var horizon, promise modelMark
	life := 0
	st := k.load(w, i)
	n.origins = n.disk.origins
	for _, e := range n.disk.log {
		n.has = e.has
		if e.rec.Kind != record.Mark {
			e.rec.Stamps(func(s hlc.Stamp) { n.origins[s.Node()] = max(n.origins[s.Node()], s) })
		}
		switch e.rec.Kind {
		case record.Floor:
			st.clock.Restore(e.rec.Stamp)
			if st.floors.insertLocked(floorEntry{e.rec.FloorStamp(), uint64(e.seq), e.rec}) {
				st.floors.settleLocked(st)
			}
		case record.Member:
			n.member[e.rec.Key[0]-'1'] = modelMember{string(e.rec.Value) == "gone", e.rec.Stamp}
		case record.Mark:
			switch m := e.mark; m.name {
			case "follow":
				follow[m.peer] = m
			case "horizon":
				horizon = m
			case "promise":
				promise = m
			case "gap":
				n.gaps[m.peer].open, n.gaps[m.peer].above = m.open, m.stamp
			case "life":
				life = m.life
			}
		default:
			if n.found && k.ru.recoverByStamp && n.rec.Stamp > e.rec.Stamp {
				continue
			}
			n.found, n.rec, n.seq = true, e.rec, e.seq
		}
	}
	for _, s := range n.origins {
		st.clock.Restore(s)
	}
	k.save(w, i)
	// openAfterLoss and openHorizon
	whole := !renewed && len(n.disk.past) == 0 || life == n.disk.life
	if promise.name != "" {
		n.promised = promise.stamp
		n.last = max(n.last, promise.stamp)
	}
	if horizon.name != "" {
		n.born = max(horizon.horizon, horizon.born)
		n.last = max(n.last, horizon.horizon)
		if whole || k.ru.horizonStays {
			n.horizon = horizon.horizon
		} else if horizon.horizon != 0 {
			k.setMark(w, i, modelMark{name: "horizon", born: n.born})
		}
	}
	if !whole {
		newest := n.origins[i+1]
		behind := n.last
		if k.ru.ownMargin {
			behind = newest
		}
		n.last = max(n.last, hlc.Make(behind.Millis()+modelMargin.Milliseconds(), 0, i+1))
		for _, j := range w.others(i) {
			k.openGap(w, i, j, newest)
		}
		k.setMark(w, i, modelMark{name: "life", life: n.disk.life})
	}
	for j := range w.count {
		n.link[j].marked = follow[j].pos.seq
		n.link[j].pos, n.link[j].part, n.link[j].copied = follow[j].pos, follow[j].part, follow[j].copied
		if follow[j].name == "" {
			n.link[j].part = -1
		}
		n.link[j].durable = follow[j].pos.seq
		if k.ru.markAhead && j != i {
			n.link[j].pos = old.link[j].pos
			n.link[j].part = old.link[j].part
		}
		n.link[j].loaded = true
	}
	k.judgeClock(w, i)
}

func (k *bench) openGap(w *world, i, j int, above hlc.Stamp) {
	n := &w.n[i]
	if !n.gaps[j].open {
		n.gaps[j].open, n.gaps[j].above = true, above
		k.setMark(w, i, modelMark{name: "gap", peer: j, open: true, stamp: above})
	}
}

func (k *bench) closeGap(w *world, i, j int) {
	n := &w.n[i]
	if n.gaps[j].open {
		n.gaps[j].open, n.gaps[j].above = false, 0
		k.setMark(w, i, modelMark{name: "gap", peer: j})
	}
}

// part ends all links of a node.
func (k *bench) part(w *world, i int) {
	for j := range w.count {
		if j != i {
			k.unlink(w, j, i)
		}
	}
}

// unlink is the end of a link; the puller notes its position.
func (k *bench) unlink(w *world, f, s int) bool {
	l := &w.n[f].link[s]
	if !l.linked {
		return false
	}
	l.linked, l.stage, l.chunk, l.asked = false, stageNone, nil, 0
	k.note(w, f, s)
	return true
}

// modelMargin is Store.lostMargin with the longest policy.
const modelMargin = 10 * time.Second

// startTime is how long a node is away at least, milliseconds: longer than modelMargin.
const startTime = 11_000

// kill is the death of the process: everything that was written stays, and is synced at the start.
func (k *bench) kill(w *world, i int) {
	n := &w.n[i]
	k.part(w, i)
	w.wall += startTime
	n.disk.durable = n.disk.end
	k.open(w, i, false)
}

func (k *bench) newLife(w *world, i int) {
	n := &w.n[i]
	n.lives++
	n.disk.past = append(slices.Clip(n.disk.past), modelPos{life: n.disk.life, seq: n.disk.end})
	past := slices.Clone(n.disk.past)
	for j := range past {
		past[j].seq = min(past[j].seq, n.disk.end)
	}
	n.disk.past = past
	n.disk.life = (i+1)<<8 | n.lives
}

// power is the loss of power: what was not synced is lost.
func (k *bench) power(w *world, i int) {
	n := &w.n[i]
	k.part(w, i)
	w.wall += startTime
	log := n.disk.log
	for len(log) > 0 && log[len(log)-1].seq > n.disk.durable {
		log = log[:len(log)-1]
	}
	n.disk.log, n.disk.end = log, n.disk.durable
	if !k.ru.sameLife {
		k.newLife(w, i)
	}
	k.open(w, i, !k.ru.sameLife)
	w.excuse()
}

// damage is the repair of a log that lost the entry of the key in its middle.
func (k *bench) damage(w *world, i int) bool {
	n := &w.n[i]
	if !n.found || n.seq > n.disk.durable {
		return false
	}
	k.part(w, i)
	w.wall += startTime
	n.disk.origins = n.origins
	n.disk.log = slices.DeleteFunc(slices.Clone(n.disk.log), func(e modelEntry) bool { return e.rec.Kind != record.Mark && e.rec.Kind <= record.Tombstone })
	n.disk.durable = n.disk.end
	n.disk.based = 0
	for j := range n.disk.log {
		n.disk.log[j].has = 0
	}
	k.newLife(w, i)
	k.open(w, i, true)
	w.damaged = true
	w.excuse()
	return true
}

// wipe is the loss of the disk.
func (k *bench) wipe(w *world, i int) {
	n := &w.n[i]
	k.part(w, i)
	w.wall += startTime
	n.lives++
	n.disk = modelDisk{life: (i+1)<<8 | n.lives, blank: true, fresh: true}
	k.open(w, i, false)
	w.excuse()
}

// restore brings an old copy of the disk back.
func (k *bench) restore(w *world) bool {
	if w.saved == nil {
		return false
	}
	i := w.count - 1
	n := &w.n[i]
	k.part(w, i)
	w.wall += startTime
	n.disk = *w.saved
	w.saved = nil
	k.open(w, i, false)
	w.excuse()
	return true
}

// excuse finds the writes that no disk holds any more.
func (w *world) excuse() {
	held := w.held(true)
	if w.saved != nil {
		held |= w.saved.hasAt(w.saved.end)
	}
	for i := range w.writes {
		if held&(1<<i) == 0 && !w.writes[i].excused {
			w.writes = slices.Clone(w.writes)
			w.writes[i].excused, w.exact = true, false
		}
	}
}

// held are the writes that some node has taken notice of; removed nodes count when asked for.
func (w *world) held(removed bool) (held uint64) {
	for i := range w.count {
		if removed || !w.gone(i) {
			held |= w.n[i].has
		}
	}
	return held
}

// gone reports whether any other node knows that this one was removed.
func (w *world) gone(i int) bool {
	for j := range w.count {
		if j != i && w.n[j].member[i].gone {
			return true
		}
	}
	return false
}
