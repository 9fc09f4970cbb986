package migrate

import (
	"bytes"
	"time"

	"github.com/futago/futago/internal/tyrant"
)

// effect is what an entry of a log says of records.
type effect uint8

const (
	noEffect effect = iota
	changesKeys
	clearsAll
	unknownKeys // it changes records, and does not say which
)

// change is what is to be known of an entry of a log.
type change struct {
	effect
	at   int64    // its time in microseconds; 0: nothing has come for a while
	keys [][]byte // that may have changed
	mark string   // of an import
	name string   // of what has unknown keys
	// arrived is when it was received here.
	arrived time.Time
}

// changeOf keeps nothing of the entry's memory.
func changeOf(e *tyrant.Entry) change {
	c := change{at: e.Time, arrived: time.Now()}
	if e.Payload == nil {
		c.at = 0
		return c
	}
	var r tyrant.Request
	ok, err := tyrant.DecodePayload(e.Payload, &r)
	if err != nil {
		c.effect, c.name = unknownKeys, "an entry that cannot be read"
		return c
	}
	if r.Command == tyrant.Misc && string(r.Name) == markFunction && len(r.Args) == 1 {
		c.mark = string(r.Args[0])
		return c
	}
	var keys [][]byte
	c.effect, keys = effectOf(&r, ok)
	if c.effect == unknownKeys {
		c.name = "misc " + string(r.Name)
	}
	for _, key := range keys {
		c.keys = append(c.keys, bytes.Clone(key))
	}
	return c
}

// effectOf tells what a logged request may have changed; ok is its result. Of what has failed addint, adddouble and lists may have
// changed something nevertheless.
func effectOf(r *tyrant.Request, ok bool) (effect, [][]byte) {
	switch r.Command {
	case tyrant.AddInt, tyrant.AddDouble:
		return changesKeys, [][]byte{r.Key}
	case tyrant.Put, tyrant.PutKeep, tyrant.PutCat, tyrant.PutShl, tyrant.Out:
		if ok {
			return changesKeys, [][]byte{r.Key}
		}
	case tyrant.Vanish:
		if ok {
			return clearsAll, nil
		}
	case tyrant.Misc:
		return miscEffect(string(r.Name), r.Args, ok)
	}
	return noEffect, nil
}

func miscEffect(name string, args [][]byte, ok bool) (effect, [][]byte) {
	switch name {
	case "get", "getlist", "getpart", "iterinit", "iternext", "regex", "range", "sync", "optimize", "error", "cacheclear", "defrag", "setindex", "genuid",
		"metasearch":
		return noEffect, nil
	case "put", "putkeep", "putcat", "putdup", "putdupback", "out":
		if ok && len(args) > 0 {
			return changesKeys, args[:1]
		}
		return noEffect, nil
	case "outlist":
		return changesKeys, args
	case "putlist":
		var keys [][]byte
		for i := 0; i+1 < len(args); i += 2 {
			keys = append(keys, args[i])
		}
		return changesKeys, keys
	case "vanish":
		if ok {
			return clearsAll, nil
		}
		return noEffect, nil
	case "search":
		for _, a := range args { // a search may end with out: it deletes what it finds
			if string(a) == "out" {
				return unknownKeys, nil
			}
		}
		return noEffect, nil
	}
	if ok { // functions that nobody has fail
		return unknownKeys, nil
	}
	return noEffect, nil
}
