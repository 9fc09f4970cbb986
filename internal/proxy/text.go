package proxy

import (
	"bytes"
	"strconv"

	"github.com/futago/futago/internal/memcache"
	"github.com/futago/futago/internal/permit"
)

// decodeText makes calls of the request at the front of b. false: it is not complete, or the connection ends.
func (c *client) decodeText(b []byte) bool {
	r := &c.request
	if n := min(c.decoder.Swallowing(), len(b)); n > 0 {
		c.decoder.Decode(b[:n], r)
		c.read += n
		return true
	}
	if c.locked() {
		return c.decodeLogin(b)
	}
	n, need, err := c.decoder.Decode(b, r)
	if err != nil {
		c.read += n
		c.need = need
		return false
	}
	if r.Op == memcache.OpFlushAll && len(c.calls) > 0 {
		c.stop = true // what came before must be done first; then the line is decoded again
		return false
	}
	c.read += n
	c.need = 0
	if line, _, _ := bytes.Cut(b, []byte("\n")); r.Op != memcache.OpError && bytes.IndexByte(line, 0) >= 0 {
		// memcached 1.6.18 takes it for the end of the line, and the data behind it for commands.
		if !r.Noreply {
			c.say(memcache.ReplyBadFormat)
		}
		return true
	}
	if c.users != nil && !permit.Text(c.user, r) {
		if !r.Noreply {
			c.say(permit.ReplyDenied)
		}
		return true
	}
	switch r.Op {
	case memcache.OpGet, memcache.OpGets, memcache.OpGat, memcache.OpGats:
		c.get(pendingGet{r.Op, r.Exptime, r.Keys})
	case memcache.OpSet, memcache.OpAdd, memcache.OpReplace, memcache.OpAppend, memcache.OpPrepend, memcache.OpCAS:
		c.store(r)
	case memcache.OpDelete, memcache.OpTouch, memcache.OpIncr, memcache.OpDecr, memcache.OpFlushAll:
		c.simple(r)
	case memcache.OpVersion:
		k := c.add()
		k.reply = memcache.AppendVersion(k.reply, c.p.clientVersion())
	case memcache.OpVerbosity:
		if !r.Noreply {
			c.say(memcache.ReplyOK)
		}
	case memcache.OpStats:
		c.stats(string(r.Arg))
	case memcache.OpError:
		c.refuse(r)
	case memcache.OpQuit:
		c.closing = true
	default:
		if r.Op.IsMeta() {
			c.meta(r)
		} else if !r.Noreply {
			c.say(memcache.ReplyError) // what concerns one node is asked of that node
		}
	}
	return !c.closing
}

// pendingGet is a get, gets, gat or gats, or what is left of one.
type pendingGet struct {
	op      memcache.Op
	exptime int64
	keys    memcache.KeyList // still to ask for
}

// get adds a get. Where the key chooses, neighbours with the same upstream are one call. What would be too much for a round is
// left for the next one.
func (c *client) get(g pendingGet) {
	at := len(c.enc)
	c.enc = append(c.enc, g.op.String()...)
	if g.op == memcache.OpGat || g.op == memcache.OpGats {
		c.enc = strconv.AppendInt(append(c.enc, ' '), g.exptime, 10)
	}
	head := c.enc[at:len(c.enc):len(c.enc)]
	first, home, parts := len(c.keys), -1, 0
	emit := func(part bool) {
		k := c.add()
		k.shape, k.head, k.keys, k.safe, k.part = shapeValues, head, c.keys[first:len(c.keys):len(c.keys)], true, part
		if len(k.keys) > 0 {
			k.key = k.keys[0]
		} else {
			k.shape, k.reply = shapeLocal, append(k.reply, replyEnd...) // a gat without keys finds nothing
		}
		first = len(c.keys)
	}
	for {
		left := g.keys
		key, ok := g.keys.Next()
		if !ok {
			emit(false)
			return
		}
		at, full := c.p.group.Load().home(key), len(c.keys) >= roundKeys
		if home >= 0 && (at != home || full) {
			emit(true)
			if parts++; full || parts == roundCalls {
				rest := g // a copy: g must stay off the heap
				rest.keys = left
				c.rest, c.stop = &rest, true
				return
			}
		}
		home = at
		c.keys = append(c.keys, key)
	}
}

// store adds a command with a data block.
func (c *client) store(r *memcache.Request) {
	k := c.keyed(r)
	c.enc = strconv.AppendUint(append(c.enc, ' '), uint64(r.Flags), 10)
	c.enc = strconv.AppendInt(append(c.enc, ' '), r.Exptime, 10)
	c.enc = strconv.AppendInt(append(c.enc, ' '), int64(len(r.Value)), 10)
	if r.Op == memcache.OpCAS {
		c.enc = strconv.AppendUint(append(c.enc, ' '), r.CAS, 10)
	}
	k.body, k.data = r.Value, true
	k.safe = r.Op == memcache.OpSet || r.Op == memcache.OpReplace
	c.endHead(k)
}

// simple adds a command of one line with a reply of one line.
func (c *client) simple(r *memcache.Request) {
	k := c.keyed(r)
	switch r.Op {
	case memcache.OpTouch:
		c.enc = strconv.AppendInt(append(c.enc, ' '), r.Exptime, 10)
	case memcache.OpIncr, memcache.OpDecr:
		c.enc = strconv.AppendUint(append(c.enc, ' '), r.Delta, 10)
	case memcache.OpFlushAll:
		if r.Exptime != 0 {
			c.enc = strconv.AppendInt(append(c.enc, ' '), r.Exptime, 10)
		}
		c.stop = true
	}
	k.safe = r.Op != memcache.OpIncr && r.Op != memcache.OpDecr
	c.endHead(k)
}

// keyed adds a call and begins its line with command and key. endHead must follow.
func (c *client) keyed(r *memcache.Request) *call {
	k := c.add()
	k.shape, k.key, k.mute = shapeLine, r.Key, r.Noreply
	c.headAt = len(c.enc)
	c.enc = append(c.enc, r.Op.String()...)
	if len(r.Key) > 0 {
		c.enc = append(append(c.enc, ' '), r.Key...)
	}
	return k
}

func (c *client) endHead(k *call) { k.head = c.enc[c.headAt:len(c.enc):len(c.enc)] }

// refuse answers a line that is no valid command.
func (c *client) refuse(r *memcache.Request) {
	if r.Drop {
		// A value too large must not leave the old one readable.
		c.drop(r.Key)
	}
	if r.Reply != "" {
		c.say(r.Reply)
	}
	c.closing = r.Close
}
