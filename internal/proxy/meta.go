package proxy

import (
	"encoding/base64"
	"strconv"

	"github.com/futago/futago/internal/memcache"
)

const replyMetaEnd = "MN\r\n"

// meta adds a meta command. Its flags go on as they are; only what decides about the reply, the upstream and repetition is
// looked at.
func (c *client) meta(r *memcache.Request) {
	if r.Op == memcache.OpMetaNoop {
		c.say(replyMetaEnd)
		return
	}
	m := r.Meta
	k := c.add()
	k.shape, k.meta, k.safe, k.key = shapeMeta, true, safeMeta(r), r.Key
	if m.Has('q') {
		k.shape = shapeQuiet
	}
	if m.Has('b') { // the decoder owns the key
		at := len(c.enc)
		c.enc = append(c.enc, r.Key...)
		k.key = c.enc[at:len(c.enc):len(c.enc)]
	}
	c.headAt = len(c.enc)
	c.enc = append(append(append(c.enc, r.Op.String()...), ' '), m.KeyText...)
	if r.Op == memcache.OpMetaSet {
		c.enc = strconv.AppendInt(append(c.enc, ' '), int64(len(r.Value)), 10)
		k.body, k.data = r.Value, true
	}
	for list := m.List(); ; {
		flag, token, ok := list.Next()
		if !ok {
			break
		}
		c.enc = memcache.AppendMetaToken(c.enc, flag, token)
	}
	c.endHead(k)
}

// safeMeta says whether executing the command twice does no harm. One that hands out the right to store does not: the
// second time it says that somebody else has it.
func safeMeta(r *memcache.Request) bool {
	m := r.Meta
	switch r.Op {
	case memcache.OpMetaGet:
		return !m.Has('N') && !m.Has('R')
	case memcache.OpMetaSet:
		return !m.Has('C') && (m.Mode == 0 || m.Mode == 'S' || m.Mode == 'R')
	case memcache.OpMetaDelete:
		return !m.Has('C')
	}
	return r.Op == memcache.OpMetaDebug
}

// drop adds the deletion of a key whose new value was too large. Nobody sees its reply.
func (c *client) drop(key []byte) {
	if memcache.ValidKey(string(key)) {
		c.simple(&memcache.Request{Op: memcache.OpDelete, Key: key, Noreply: true})
		return
	}
	// Only a meta command can have had such a key.
	k := c.add()
	k.shape, k.meta, k.safe, k.mute = shapeMeta, true, true, true
	at := len(c.enc)
	c.enc = append(c.enc, key...)
	k.key = c.enc[at:len(c.enc):len(c.enc)]
	c.headAt = len(c.enc)
	c.enc = append(base64.StdEncoding.AppendEncode(append(c.enc, "md "...), key), " b"...)
	c.endHead(k)
}
