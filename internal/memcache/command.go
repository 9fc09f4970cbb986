package memcache

import "bytes"

// maxDataSize is the largest number of <bytes> that counts as a number at all: one more is a format error instead
// of a value too large. Source: process_update_command of memcached 1.6.18, which needs two more for CRLF.
const maxDataSize = 1<<31 - 3

// decodeLine decodes a command line without its end. data is what follows the line end. size is the size of the
// data block with its CRLF, 0 for commands without; ok is false when data is shorter than that.
func (d *Decoder) decodeLine(line, data []byte, r *Request) (size int, ok bool) {
	cmd, rest := nextToken(line)
	switch string(cmd) {
	case "get":
		d.decodeGet(OpGet, line, rest, r)
	case "gets":
		d.decodeGet(OpGets, line, rest, r)
	case "gat":
		d.decodeGat(OpGat, rest, r)
	case "gats":
		d.decodeGat(OpGats, rest, r)
	case "set":
		return d.decodeStorage(OpSet, rest, data, r)
	case "add":
		return d.decodeStorage(OpAdd, rest, data, r)
	case "replace":
		return d.decodeStorage(OpReplace, rest, data, r)
	case "append":
		return d.decodeStorage(OpAppend, rest, data, r)
	case "prepend":
		return d.decodeStorage(OpPrepend, rest, data, r)
	case "cas":
		return d.decodeStorage(OpCAS, rest, data, r)
	case "delete":
		d.decodeDelete(rest, r)
	case "incr":
		d.decodeArith(OpIncr, rest, r)
	case "decr":
		d.decodeArith(OpDecr, rest, r)
	case "touch":
		d.decodeTouch(rest, r)
	case "flush_all":
		decodeFlushAll(rest, r)
	case "verbosity":
		decodeVerbosity(rest, r)
	case "version":
		*r = Request{Op: OpVersion}
	case "quit":
		*r = Request{Op: OpQuit}
	case "mg":
		d.decodeMeta(OpMetaGet, rest, r)
	case "ms":
		return d.decodeMetaSet(rest, data, r)
	case "md":
		d.decodeMeta(OpMetaDelete, rest, r)
	case "ma":
		d.decodeMeta(OpMetaArith, rest, r)
	case "me":
		d.decodeMeta(OpMetaDebug, rest, r)
	case "mn":
		*r = Request{Op: OpMetaNoop}
	case "refresh_certs":
		*r = Request{Op: OpRefreshCerts}
	case "stats":
		*r = Request{Op: OpStats, Arg: bytes.Trim(rest, " ")}
	case "lru_crawler":
		decodeCrawler(rest, r)
	case "lru":
		decodeLRU(rest, r)
	case "slabs":
		decodeSlabs(rest, r)
	case "extstore":
		decodeExtstore(rest, r)
	case "cache_memlimit":
		decodeMemLimit(rest, r)
	case "shutdown":
		*r = Request{Op: OpShutdown, Arg: bytes.Trim(rest, " ")}
	case "watch":
		decodeWatch(rest, r)
	default:
		refuseUnknown(cmd, line, r)
	}
	return 0, true
}

// refuseUnknown hangs up on what looks like HTTP, whose body must not be executed as commands.
func refuseUnknown(cmd, line []byte, r *Request) {
	line = bytes.TrimRight(line, " ")
	last := line[bytes.LastIndexByte(line, ' ')+1:]
	if len(cmd) > 1 && bytes.HasPrefix(last, []byte("HTTP/")) {
		fail(r, "", false)
		r.Close = true
		return
	}
	fail(r, ReplyError, false)
}

func (d *Decoder) decodeGet(op Op, line, rest []byte, r *Request) {
	if len(line) > d.MaxGetLine {
		fail(r, ReplyLineTooLong, false)
		r.Close = true
		return
	}
	key, more := nextToken(rest)
	if len(key) == 0 {
		fail(r, ReplyError, false)
		return
	}
	if !d.validKey(key) || !d.validKeys(more) {
		fail(r, ReplyBadFormat, false)
		return
	}
	*r = Request{Op: op, Keys: KeyList{rest}}
}

// decodeGat takes an exptime without keys for a request that finds nothing, as memcached 1.6.18 does.
func (d *Decoder) decodeGat(op Op, rest []byte, r *Request) {
	arg, keys := nextToken(rest)
	if len(arg) == 0 {
		fail(r, ReplyError, false)
		return
	}
	exptime, ok := parseExptime(arg)
	if !ok {
		fail(r, ReplyBadExptime, false)
		return
	}
	if !d.validKeys(keys) {
		fail(r, ReplyBadFormat, false)
		return
	}
	*r = Request{Op: op, Keys: KeyList{keys}, Exptime: exptime}
}

// decodeStorage follows process_update_command, except that it swallows the data block of every refused line whose
// <bytes> is a number, as later versions do: 1.6.18 swallows it only for a value too large and executes it else.
func (d *Decoder) decodeStorage(op Op, rest, data []byte, r *Request) (size int, ok bool) {
	var args argList
	want := 4
	if op == OpCAS {
		want = 5
	}
	n := args.split(rest)
	if n < want || n > want+1 {
		fail(r, ReplyError, false)
		return 0, true
	}
	noreply := isNoreply(args[n-1])
	length, lengthOK := parseInt(args[3])
	if !lengthOK || length < 0 || length > maxDataSize {
		fail(r, ReplyBadFormat, noreply)
		return 0, true
	}
	size = int(length) + 2
	flags, flagsOK := parseUint(args[1])
	exptime, exptimeOK := parseExptime(args[2])
	cas, casOK := uint64(0), true
	if op == OpCAS {
		cas, casOK = parseUint(args[4])
	}
	if !flagsOK || !exptimeOK || !casOK || !d.validKey(args[0]) {
		fail(r, ReplyBadFormat, noreply)
		d.swallow = size
		return 0, true
	}
	if length > int64(d.MaxValue) {
		fail(r, ReplyTooLarge, noreply)
		if op == OpSet {
			r.Key, r.Drop = args[0], true
		}
		d.swallow = size
		return 0, true
	}
	if len(data) < size {
		return size, false
	}
	if data[size-2] != '\r' || data[size-1] != '\n' {
		fail(r, ReplyBadChunk, noreply)
		return size, true
	}
	*r = Request{
		Op: op, Key: args[0], Value: data[: size-2 : size-2], Flags: uint32(flags), Exptime: exptime, CAS: cas, Noreply: noreply,
	}
	return size, true
}

// decodeDelete takes the second argument 0 of old clients, and no other number.
func (d *Decoder) decodeDelete(rest []byte, r *Request) {
	var args argList
	n := args.split(rest)
	if n < 1 || n > 3 {
		fail(r, ReplyError, false)
		return
	}
	noreply := n > 1 && isNoreply(args[n-1])
	isZero := string(args[1]) == "0"
	if (n == 2 && !isZero && !noreply) || (n == 3 && !(isZero && noreply)) {
		fail(r, ReplyDeleteUsage, noreply)
		return
	}
	if !d.validKey(args[0]) {
		fail(r, ReplyBadFormat, noreply)
		return
	}
	*r = Request{Op: OpDelete, Key: args[0], Noreply: noreply}
}

func (d *Decoder) decodeArith(op Op, rest []byte, r *Request) {
	key, arg, noreply, ok := d.keyAndNumber(rest, r)
	if !ok {
		return
	}
	delta, ok := parseUint(arg)
	if !ok {
		fail(r, ReplyBadDelta, noreply)
		return
	}
	*r = Request{Op: op, Key: key, Delta: delta, Noreply: noreply}
}

func (d *Decoder) decodeTouch(rest []byte, r *Request) {
	key, arg, noreply, ok := d.keyAndNumber(rest, r)
	if !ok {
		return
	}
	exptime, ok := parseExptime(arg)
	if !ok {
		fail(r, ReplyBadExptime, noreply)
		return
	}
	*r = Request{Op: OpTouch, Key: key, Exptime: exptime, Noreply: noreply}
}

// keyAndNumber splits the arguments that incr, decr and touch share. A third one is ignored unless it is noreply.
// When ok is false r is filled with the error.
func (d *Decoder) keyAndNumber(rest []byte, r *Request) (key, number []byte, noreply, ok bool) {
	var args argList
	n := args.split(rest)
	if n < 2 || n > 3 {
		fail(r, ReplyError, false)
		return nil, nil, false, false
	}
	noreply = isNoreply(args[n-1])
	if !d.validKey(args[0]) {
		fail(r, ReplyBadFormat, noreply)
		return nil, nil, false, false
	}
	return args[0], args[1], noreply, true
}

func decodeFlushAll(rest []byte, r *Request) {
	var args argList
	n := args.split(rest)
	if n > 2 {
		fail(r, ReplyError, false)
		return
	}
	noreply := n > 0 && isNoreply(args[n-1])
	var delay int64
	if n == 2 || (n == 1 && !noreply) {
		var ok bool
		if delay, ok = parseExptime(args[0]); !ok {
			fail(r, ReplyBadExptime, noreply)
			return
		}
	}
	*r = Request{Op: OpFlushAll, Exptime: delay, Noreply: noreply}
}

// decodeVerbosity refuses "verbosity noreply", and without a reply, as memcached 1.6.18 does.
func decodeVerbosity(rest []byte, r *Request) {
	var args argList
	n := args.split(rest)
	if n < 1 || n > 2 {
		fail(r, ReplyError, false)
		return
	}
	noreply := isNoreply(args[n-1])
	if _, ok := parseUint(args[0]); !ok {
		fail(r, ReplyBadFormat, noreply)
		return
	}
	*r = Request{Op: OpVerbosity, Noreply: noreply}
}

// fail makes r the refusal of a line. memcached suppresses errors too once it has seen noreply.
func fail(r *Request, reply string, noreply bool) {
	if noreply {
		reply = ""
	}
	*r = Request{Op: OpError, Reply: reply, Noreply: noreply}
}

// parseExptime cuts the number to 32 bits with sign, as memcached does: 2147483648 is negative and so expired.
func parseExptime(b []byte) (exptime int64, ok bool) {
	v, ok := parseInt(b)
	return int64(int32(v)), ok
}
