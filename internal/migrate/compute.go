package migrate

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/futago/futago/internal/tyrant"
)

// cell is the value of a key after a part of a log.
type cell struct {
	value  []byte
	exists bool
	// touched says that the log has changed it.
	touched bool
}

// cells are the keys that a part of a log names. Those of which nothing is known are not in it.
type cells map[string]*cell

// result is what came of an entry.
type result uint8

const (
	applied  result = iota
	cleared         // vanish
	ignored         // it has failed, or changes nothing
	unknown         // it changes something that is not in the log
	doubtful        // it has succeeded, and could not have with the value that is there: something before it is lacking
	results
)

// computed is what came of a step.
type computed struct {
	cells
	// clear says that everything is removed before the cells are stored.
	clear   bool
	entries int
	counts  [results]int
	notes   []string // about what is unknown
}

// maxNotes is how many entries of a step are told about.
const maxNotes = 20

// computeStep computes entries from what there was before, which must hold the keys that needed has named.
func computeStep(entries []entry, before []Before) *computed {
	t := &computed{cells: cells{}, entries: len(entries)}
	for _, b := range before {
		t.cells[string(b.Key)] = &cell{value: b.Value, exists: b.Exists}
	}
	for i := range entries {
		var r tyrant.Request
		ok, err := tyrant.DecodePayload(entries[i].payload, &r)
		got, name := unknown, "an entry that cannot be read"
		if err == nil {
			got, name = t.apply(&r, ok), "misc "+string(r.Name)
		}
		if got == cleared {
			t.clear, t.cells = true, cells{}
		}
		if t.counts[got]++; got == unknown && len(t.notes) < maxNotes {
			t.notes = append(t.notes, fmt.Sprintf("%s at %v: what it changed is not known and not replayed", name, time.UnixMicro(entries[i].at).UTC()))
		}
	}
	return t
}

// needed returns the keys whose value before a step matters: those that it changes before it stores or removes them.
func needed(entries []entry) (keys [][]byte) {
	known := map[string]bool{}
	for i := range entries {
		var r tyrant.Request
		ok, err := tyrant.DecodePayload(entries[i].payload, &r)
		if err != nil || !computable(&r, ok) {
			continue
		}
		e, changed := effectOf(&r, ok)
		if e == clearsAll {
			return keys // behind it there is nothing before
		}
		for _, key := range changed {
			if !known[string(key)] && changesValue(&r) {
				keys = append(keys, bytes.Clone(key))
			}
			known[string(key)] = true
		}
	}
	return keys
}

// computable reports whether apply makes something of a request.
func computable(r *tyrant.Request, ok bool) bool {
	if r.Command == tyrant.AddInt || r.Command == tyrant.AddDouble {
		return true
	}
	return ok && (r.Command != tyrant.Misc || !strings.HasPrefix(string(r.Name), "putdup"))
}

// changesValue reports whether the outcome of a request depends on the value that is there.
func changesValue(r *tyrant.Request) bool {
	switch r.Command {
	case tyrant.PutCat, tyrant.PutShl, tyrant.AddInt, tyrant.AddDouble:
		return true
	case tyrant.Misc:
		return string(r.Name) == "putcat"
	}
	return false
}

// apply computes a logged request as the original does; ok is its logged result.
func (c cells) apply(r *tyrant.Request, ok bool) result {
	if !ok && !computable(r, ok) {
		return ignored // what a list has done before it failed is not known, but lists do not fail
	}
	switch r.Command {
	case tyrant.Put, tyrant.PutKeep: // that it was kept says that there was nothing
		c.set(r.Key, r.Value)
	case tyrant.PutCat:
		c.set(r.Key, c.old(r.Key).value, r.Value)
	case tyrant.PutShl:
		return c.shift(r)
	case tyrant.Out:
		c.remove(r.Key)
	case tyrant.AddInt:
		return c.addInt(r, ok)
	case tyrant.AddDouble:
		return c.addDouble(r, ok)
	case tyrant.Misc:
		return c.misc(string(r.Name), r.Args)
	case tyrant.Vanish:
		return cleared
	default:
		return ignored
	}
	return applied
}

func (c cells) old(key []byte) cell {
	if old := c[string(key)]; old != nil {
		return *old
	}
	return cell{}
}

func (c cells) set(key []byte, parts ...[]byte) {
	c[string(key)] = &cell{value: bytes.Join(parts, nil), exists: true, touched: true}
}

func (c cells) remove(key []byte) { c[string(key)] = &cell{touched: true} }

func (c cells) shift(r *tyrant.Request) result {
	old := c.old(r.Key)
	if !old.exists {
		c.set(r.Key, r.Value) // whole, whatever the width
		return applied
	}
	all := append(bytes.Clone(old.value), r.Value...)
	c.set(r.Key, all[max(len(all)-int(r.Width), 0):])
	return applied
}

// addInt wraps. The lowest number is stored although the original answers that it has failed.
func (c cells) addInt(r *tyrant.Request, ok bool) result {
	old, sum := c.old(r.Key), uint32(r.Num)
	switch {
	case old.exists && len(old.value) != 4 && ok:
		return doubtful
	case old.exists && len(old.value) != 4:
		return ignored
	case old.exists:
		sum += binary.LittleEndian.Uint32(old.value)
	}
	if !ok && int32(sum) != math.MinInt32 {
		return ignored
	}
	c.set(r.Key, binary.LittleEndian.AppendUint32(nil, sum))
	return applied
}

// addDouble stores what is no number, too, although the original answers that it has failed.
func (c cells) addDouble(r *tyrant.Request, ok bool) result {
	old, sum := c.old(r.Key), r.Double.Float64()
	switch {
	case old.exists && len(old.value) != 8 && ok:
		return doubtful
	case old.exists && len(old.value) != 8:
		return ignored
	case old.exists:
		sum += math.Float64frombits(binary.LittleEndian.Uint64(old.value))
	}
	if !ok && !math.IsNaN(sum) {
		return ignored
	}
	c.set(r.Key, binary.LittleEndian.AppendUint64(nil, math.Float64bits(sum)))
	return applied
}

func (c cells) misc(name string, args [][]byte) result {
	switch {
	case (name == "put" || name == "putkeep") && len(args) >= 2:
		c.set(args[0], args[1])
	case name == "putcat" && len(args) >= 2:
		c.set(args[0], c.old(args[0]).value, args[1])
	case name == "out" && len(args) >= 1:
		c.remove(args[0])
	case name == "putlist":
		for i := 0; i+1 < len(args); i += 2 {
			c.set(args[i], args[i+1])
		}
	case name == "outlist":
		for _, key := range args {
			c.remove(key)
		}
	default:
		switch e, _ := miscEffect(name, args, true); e {
		case noEffect:
			return ignored
		case clearsAll:
			return cleared
		}
		return unknown
	}
	return applied
}
