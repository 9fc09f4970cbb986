package futago

import (
	"context"
	"strconv"
	"time"

	"github.com/futago/futago/internal/memcache"
)

// coded says that a key on the wire is one that only meta commands can name. Without AnyKey there is none.
func (c *Client) coded(wire string) bool { return c.cfg.AnyKey && !memcache.ValidKey(wire) }

// metaRequest is the request of one meta command. line appends it without the end of the line; value is nil for none, and not nil
// where it may be empty.
func metaRequest(repeatable bool, value []byte, line func(dst []byte) []byte, take func(memcache.MetaReply)) request {
	return request{repeatable: repeatable, data: value != nil, run: func(c *conn) (answer, err error) {
		if value != nil { // a server that does not know ms would run the value as commands
			if err := c.write(append(c.out, "mn\r\n"...), nil); err != nil {
				return nil, err
			}
			if err := c.replies.ReadMetaNoop(); err != nil {
				return nil, err
			}
		}
		if err := c.write(append(line(c.out), '\r', '\n'), value); err != nil {
			return nil, err
		}
		reply, err := c.replies.ReadMeta()
		if err != nil {
			return nil, err
		}
		switch reply.Code {
		case "EN", "NF":
			return ErrCacheMiss, nil
		case "NS":
			return ErrNotStored, nil
		case "EX":
			return ErrCASConflict, nil
		}
		if take != nil {
			take(reply)
		}
		return nil, nil
	}}
}

func appendExptime(dst []byte, expiration time.Duration) []byte {
	return memcache.AppendMetaToken(dst, 'T', strconv.AppendInt(nil, exptime(expiration, time.Now()), 10))
}

// metaGet is get for such a key.
func (c *Client) metaGet(ctx context.Context, op memcache.Op, key, wire string, expiration time.Duration) (*Item, error) {
	var item *Item
	req := metaRequest(true, nil, func(line []byte) []byte {
		line = append(memcache.AppendMetaRequest(line, memcache.OpMetaGet, wire, -1), " v f c"...)
		if op == memcache.OpGats {
			line = appendExptime(line, expiration)
		}
		return line
	}, func(m memcache.MetaReply) {
		item = &Item{Key: key, Value: m.Data, Flags: m.Flags}
		if op != memcache.OpGet {
			item.CAS = m.CAS
		}
	})
	r := c.pool.route(wire)
	s, err := c.call(ctx, &r, req)
	if err != nil {
		return nil, named(op.String(), key, err)
	}
	if op == memcache.OpGats {
		c.copy(ctx, &r, s, metaTouch(wire, expiration))
	}
	return item, nil
}

func metaTouch(wire string, expiration time.Duration) request {
	return metaRequest(true, nil, func(line []byte) []byte {
		return appendExptime(memcache.AppendMetaRequest(line, memcache.OpMetaGet, wire, -1), expiration)
	}, nil)
}

func metaDelete(wire string) request {
	return metaRequest(true, nil, func(line []byte) []byte { return memcache.AppendMetaRequest(line, memcache.OpMetaDelete, wire, -1) }, nil)
}

// metaModes are the modes of ms by command.
var metaModes = map[memcache.Op]byte{
	memcache.OpSet: 'S', memcache.OpCAS: 'S', memcache.OpAdd: 'E', memcache.OpReplace: 'R', memcache.OpAppend: 'A', memcache.OpPrepend: 'P',
}

func metaStore(op memcache.Op, wire string, item *Item) request {
	value := item.Value
	if value == nil {
		value = []byte{}
	}
	return metaRequest(op == memcache.OpSet || op == memcache.OpReplace, value, func(line []byte) []byte {
		line = memcache.AppendMetaRequest(line, memcache.OpMetaSet, wire, len(value))
		line = memcache.AppendMetaToken(line, 'M', []byte{metaModes[op]})
		if op == memcache.OpCAS {
			line = memcache.AppendMetaNumber(line, 'C', item.CAS)
		}
		if op != memcache.OpAppend && op != memcache.OpPrepend {
			line = appendExptime(memcache.AppendMetaNumber(line, 'F', uint64(item.Flags)), item.Expiration)
		}
		return line
	}, nil)
}

func metaCount(op memcache.Op, wire string, delta uint64, number *uint64) request {
	mode := byte('I')
	if op == memcache.OpDecr {
		mode = 'D'
	}
	var digits []byte
	req := metaRequest(false, nil, func(line []byte) []byte {
		line = append(memcache.AppendMetaRequest(line, memcache.OpMetaArith, wire, -1), " v"...)
		return memcache.AppendMetaNumber(memcache.AppendMetaToken(line, 'M', []byte{mode}), 'D', delta)
	}, func(m memcache.MetaReply) { digits = m.Data })
	run := req.run
	req.run = func(c *conn) (answer, err error) {
		if answer, err = run(c); answer != nil || err != nil {
			return answer, err
		}
		if *number, err = strconv.ParseUint(string(digits), 10, 64); err != nil {
			return nil, &memcache.SyntaxError{Reason: "no number", Line: string(digits[:min(len(digits), 64)])}
		}
		return nil, nil
	}
	return req
}
