package main

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// minCap is the least memory in which a cache can choose what to give up, in bytes.
const minCap = 16 << 20

// openDatabase turns the name of the database with its options, name#key=value#..., into settings.
func (o *ttserver) openDatabase() {
	elements := strings.Split(o.database, "#")
	name := elements[0]
	inMemory := name == "*" || name == "+"
	switch suffix := strings.ToLower(filepath.Ext(name)); {
	case inMemory:
		o.set("dbname", "none")
		if name == "+" {
			o.warn("dbname", "%s: in memory, and the iterator does not go in the order of the keys; fwmkeys and range do", name)
		}
	case slices.Contains([]string{".tch", ".hdb"}, suffix):
		o.info("dbname", "%s is a folder", name)
		o.folder(name)
	case slices.Contains([]string{".tcb", ".bdb"}, suffix):
		o.warn("dbname", "%s is a folder; a key has one value, and the iterator does not go in the order of the keys; fwmkeys and range do", name)
		o.folder(name)
	case slices.Contains([]string{".tcf", ".fdb"}, suffix):
		o.refuse("database %s: there are no fixed-length databases; take a .tch, with the numbers as keys", name)
	case slices.Contains([]string{".tct", ".tdb"}, suffix):
		o.refuse("database %s: there are no table databases; keep this one on ttserver, or store each row in a .tch as one value", name)
	default:
		o.refuse("database %q: want * for memory, or a folder whose name ends in .tch", name)
	}

	options := map[string]string{}
	for _, e := range elements[1:] {
		key, value, _ := strings.Cut(e, "=")
		key = strings.ToLower(key)
		options[key] = value
		if key != "capsiz" && key != "capnum" || !inMemory {
			o.info("dbname#"+key, "ignored: there is nothing to tune so")
		}
	}
	if inMemory {
		o.cap(options["capnum"], options["capsiz"])
	}
}

func (o *ttserver) folder(name string) {
	o.set("dbname", name)
	o.path("dbname", name)
}

// cap bounds a database in memory. Numbers below 1 are no bound.
func (o *ttserver) cap(number, size string) {
	bytes := tyrantSize(size)
	records := tyrantSize(number)
	switch {
	case bytes == 0 && records == 0:
		return
	case bytes == 0:
		o.refuse("capnum=%s: memory is bounded in bytes, not in records; say capsiz=, such as capsiz=1g", number)
		return
	case records > 0:
		o.warn("dbname#capnum", "ignored: capsiz alone is the bound")
	}
	if bytes < minCap {
		o.warn("dbname#capsiz", "%d bytes are too few to choose from; 16 MiB are taken", bytes)
		bytes = minCap
	}
	o.info("dbname#capsiz", "the bound of all memory for records; those that were not read or written for long go first")
	o.set("dbname#capsiz", strconv.FormatInt(bytes, 10))
	o.set("dbname#evict", "true")
}
