package gateway

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"time"
)

// drop implements carrier.
func (c *plainConn) drop() { c.release(false) }

// release gives the upstream's connection back. whole says that the reply was read to its end, and nothing else.
func (c *plainConn) release(whole bool) {
	up := c.up
	if up == nil {
		return
	}
	c.up, c.web = nil, nil
	if whole {
		up.pool.put(up, time.Now())
	} else {
		up.pool.discard(up)
	}
}

// pass implements carrier. A body that fits into the buffer leaves with its head in one write; of a larger one each
// piece leaves when it comes.
func (c *plainConn) pass() (whole bool) {
	defer c.drop()
	if c.web != nil {
		return c.passWeb()
	}
	buf := copyBuffers.Get().(*[copyBufferSize]byte)
	defer copyBuffers.Put(buf)
	up := c.up
	out := appendStatusLine(buf[:0], c.reply.Status)
	out = append(out, c.reply.Before...)
	out = append(out, c.reply.After...)
	out = c.appendOwnLines(out, c.reply.Dated)
	c.ex.bytes = -int64(len(out))

	n := int(min(c.reply.Length, int64(up.w-up.r)))
	out = append(out, up.in[up.r:up.r+n]...)
	up.r += n
	for left := c.reply.Length - int64(n); left > 0; left -= int64(n) {
		if left > int64(cap(out)-len(out)) {
			if _, err := c.Write(out); err != nil {
				return false
			}
			out = out[:0]
		}
		var err error
		room := out[len(out):min(int64(cap(out)), int64(len(out))+left)]
		if n, err = up.conn.read(room, time.Now().Add(c.g.conf().BodyTimeout)); n == 0 && err != nil {
			c.Write(out) // what came is the client's, as with nginx
			c.g.noteCut(err, &c.ex)
			return false
		}
		out = out[:len(out)+n]
	}
	// Before the client has it, which may take long: others can use the connection meanwhile.
	c.release(!c.reply.Close && up.r == up.w)
	_, err := c.Write(out)
	return err == nil
}

// passWeb passes a reply that net/http has read, as net/http's server does.
func (c *plainConn) passWeb() (whole bool) {
	web, up := c.web, c.up
	streamed := web.ContentLength < 0 && !c.req.Head // each piece may be an event that somebody waits for
	removeHopByHop(web.Header)
	switch web.StatusCode {
	case http.StatusNotModified:
		web.Header.Del("Content-Type")
		fallthrough
	case http.StatusNoContent:
		web.Header.Del("Content-Length")
		streamed = false
	}
	if streamed {
		web.Header.Set("Transfer-Encoding", "chunked")
	}
	var head bytes.Buffer
	head.Write(appendStatusLine(nil, web.StatusCode))
	web.Header.Write(&head) // a buffer takes everything
	out := c.appendOwnLines(head.Bytes(), web.Header["Date"] != nil)
	c.ex.bytes = -int64(len(out))

	buf := copyBuffers.Get().(*[copyBufferSize]byte)
	defer copyBuffers.Put(buf)
	for {
		up.until = time.Now().Add(c.g.conf().BodyTimeout)
		n, err := web.Body.Read(buf[:])
		framed := len(out)
		if streamed && n > 0 {
			out = strconv.AppendInt(out, int64(n), 16)
			out = append(out, "\r\n"...)
			out = append(out, buf[:n]...)
			out = append(out, "\r\n"...)
		} else {
			out = append(out, buf[:n]...)
		}
		if streamed && err == io.EOF {
			out = append(out, "0\r\n\r\n"...)
		}
		c.ex.bytes -= int64(len(out) - framed - n)
		if err == io.EOF {
			c.release(web.ended(up))
		}
		if _, err := c.Write(out); err != nil {
			return false
		}
		switch {
		case err == io.EOF:
			return true
		case err != nil:
			c.g.noteCut(err, &c.ex)
			return false
		}
		out = out[:0]
	}
}
