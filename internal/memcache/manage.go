package memcache

import (
	"bytes"
	"strconv"
)

// DumpFormat is how a list of all keys is written.
type DumpFormat uint8

// The formats of lru_crawler; cachedump is an argument of stats. The zero DumpFormat is none of them.
const (
	DumpMeta  DumpFormat = iota + 1 // metadump: a line of attributes for each key, AppendMetaDump
	DumpMg                          // mgdump, of versions after 1.6.18: an mg command for each key, AppendMgDump
	DumpItems                       // stats cachedump: AppendItem
)

// SlabClass is the one of memcached's slab classes that all records are said to be in, MaxSlabClass the highest number that a
// class may have.
const (
	SlabClass    = 1
	MaxSlabClass = 63
)

// crawlerMaxSleep is in microseconds. Source: process_lru_crawler_command of memcached 1.6.18, like the rest of the rules here.
const crawlerMaxSleep = 1_000_000

// tune makes r the answer to a command that changes nothing here.
func tune(r *Request, reply string, noreply bool) {
	fail(r, reply, noreply)
	r.Op = OpTune
}

func decodeCrawler(rest []byte, r *Request) {
	var args argList
	n := args.split(rest)
	sub, arg := string(args[0]), args[1]
	switch {
	case n == 1 && (sub == "enable" || sub == "disable"):
		tune(r, ReplyOK, false)
	case n == 2 && (sub == "sleep" || sub == "tocrawl"):
		number, ok := parseUint(arg)
		switch {
		case !ok:
			fail(r, ReplyBadFormat, false)
		case sub == "sleep" && number > crawlerMaxSleep:
			fail(r, ReplyCrawlerSleep, false)
		default:
			tune(r, ReplyOK, false)
		}
	case n == 2 && sub == "crawl" && string(arg) == "hash":
		fail(r, ReplyCrawlerUnknown, false)
	case n == 2 && sub == "crawl":
		if _, ok := hasClass(arg); !ok {
			fail(r, ReplyBadClass, false)
			return
		}
		tune(r, ReplyOK, false)
	case n == 2 && sub == "metadump":
		decodeDump(DumpMeta, ReplyEnd, arg, r)
	case n == 2 && sub == "mgdump":
		decodeDump(DumpMg, ReplyMetaEnd, arg, r)
	default:
		fail(r, ReplyError, false)
	}
}

// decodeDump decodes the classes of a dump, of which none but SlabClass has records.
func decodeDump(format DumpFormat, end string, classes []byte, r *Request) {
	listed, ok := true, true
	if string(classes) != "hash" {
		listed, ok = hasClass(classes)
	}
	switch {
	case !ok:
		fail(r, ReplyBadClass, false)
	case !listed:
		tune(r, end, false)
	default:
		*r = Request{Op: OpDump, Dump: format}
	}
}

// hasClass reports whether SlabClass is in a list of classes, or in all; ok is false when the list has what is no class.
func hasClass(list []byte) (has, ok bool) {
	if string(list) == "all" {
		return true, true
	}
	for len(list) > 0 {
		var class []byte
		class, list, _ = bytes.Cut(list, []byte(","))
		if len(class) == 0 {
			continue
		}
		n, ok := parseUint(class)
		if !ok || n < 1 || n > MaxSlabClass {
			return false, false
		}
		has = has || n == SlabClass
	}
	return has, true
}

// decodeLRU checks what memcached checks.
func decodeLRU(rest []byte, r *Request) {
	var args argList
	n := args.split(rest)
	noreply := n > 0 && isNoreply(args[n-1])
	ok := false
	switch string(args[0]) {
	case "tune":
		if n < 5 {
			break
		}
		hot, hotOK := parseUint(args[1])
		warm, warmOK := parseUint(args[2])
		hotAge, hotAgeOK := parseFloat(args[3])
		warmAge, warmAgeOK := parseFloat(args[4])
		if ok = hotOK && warmOK && hotAgeOK && warmAgeOK; !ok {
			break
		}
		switch {
		case hot > 80 || warm > 80 || hot+warm > 80:
			fail(r, ReplyLRUPercent, noreply)
			return
		case hotAge <= 0 || warmAge <= 0:
			fail(r, ReplyLRUAge, noreply)
			return
		}
	case "mode":
		ok = n > 1 && (string(args[1]) == "flat" || string(args[1]) == "segmented")
	case "temp_ttl":
		_, ok = parseInt(args[1])
	}
	answerTune(r, ok, noreply)
}

func decodeSlabs(rest []byte, r *Request) {
	var args argList
	n := args.split(rest)
	switch sub := string(args[0]); {
	case sub == "reassign" && n == 3:
		decodeReassign(args[1], args[2], r)
	case sub == "automove" && n > 1:
		noreply := isNoreply(args[n-1])
		if string(args[1]) == "ratio" {
			_, ok := parseFloat(args[2])
			answerTune(r, ok, noreply)
			return
		}
		level, ok := parseUint(args[1])
		if !ok {
			fail(r, ReplyBadFormat, noreply)
			return
		}
		answerTune(r, level <= 2, noreply)
	default:
		fail(r, ReplyError, false)
	}
}

// decodeReassign refuses every move, as memcached does when a class has no page to spare.
func decodeReassign(from, to []byte, r *Request) {
	src, srcOK := parseInt(from)
	dst, dstOK := parseInt(to)
	reply := ReplySlabsNoSpare
	switch {
	case !srcOK || !dstOK:
		reply = ReplyBadFormat
	case src == dst:
		reply = ReplySlabsSame
	case src < 0 || src > MaxSlabClass || dst < 0 || dst > MaxSlabClass:
		reply = ReplySlabsBadClass
	}
	fail(r, reply, false)
}

// decodeExtstore takes the settings of a disk tier that is not there, as memcached does without one.
func decodeExtstore(rest []byte, r *Request) {
	var args argList
	n := args.split(rest)
	noreply := n > 0 && isNoreply(args[n-1])
	ok := n > 1
	switch string(args[0]) {
	case "free_memchunks":
		ok = n > 2
	case "item_size", "item_age", "low_ttl", "recache_rate", "compact_under", "drop_under":
		_, isNumber := parseUint(args[1])
		ok = ok && isNumber
	case "max_frag":
		_, isNumber := parseFloat(args[1])
		ok = ok && isNumber
	case "drop_unread":
		_, isNumber := parseUint(args[1])
		ok = ok && isNumber
	default:
		ok = false
	}
	answerTune(r, ok, noreply)
}

func answerTune(r *Request, ok, noreply bool) {
	if !ok {
		fail(r, ReplyError, noreply)
		return
	}
	tune(r, ReplyOK, noreply)
}

// decodeMemLimit leaves it to the server which limits are possible.
func decodeMemLimit(rest []byte, r *Request) {
	var args argList
	n := args.split(rest)
	noreply := n > 0 && isNoreply(args[n-1])
	megabytes, ok := parseUint(args[0])
	if n < 1 || n > 2 || !ok {
		fail(r, ReplyError, noreply)
		return
	}
	*r = Request{Op: OpMemLimit, Delta: megabytes, Noreply: noreply}
}

// decodeWatch answers as memcached does when it was started without watchers.
func decodeWatch(rest []byte, r *Request) {
	var args argList
	n := args.split(rest)
	tune(r, ReplyWatchNotAllowed, n > 0 && isNoreply(args[n-1]))
}

func parseFloat(b []byte) (float64, bool) {
	v, err := strconv.ParseFloat(string(b), 64)
	return v, err == nil
}
