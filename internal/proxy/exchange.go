package proxy

import (
	"math/bits"
	"slices"
	"time"

	"github.com/futago/futago/internal/memcache"
)

// exchange gets all calls of the round answered, and writes the replies. false: the client is gone.
func (c *client) exchange() bool {
	for i := range c.calls {
		c.calls[i].todo = c.calls[i].shape != shapeLocal
	}
	calls, broke := c.calls, false
	for asked := len(calls); ; {
		calls = c.try(calls)
		done, nowBroke, ok := c.write(calls, broke)
		if !ok {
			c.release(calls)
			return false
		}
		c.release(calls[:done])
		c.adapt(asked, done)
		if calls = calls[done:]; len(calls) == 0 {
			c.broke = nowBroke
			return true
		}
		// The client has read what there was. The rest has its own time, and no more of it is asked for than may fit.
		broke, asked = nowBroke, 0
		for i := range calls {
			if calls[i].todo = calls[i].cut && asked < c.limit; calls[i].todo {
				asked++
			}
		}
	}
}

// adapt chooses how many calls are asked for at once next, after so many were and so many were done. What is asked for
// and does not fit is fetched in vain, and whoever shares the connection waits for it.
func (c *client) adapt(asked, done int) {
	switch {
	case done < asked:
		c.limit = max(done, 1)
	case asked >= c.limit && c.round.kept.Load() < roundReplies/2:
		c.limit = min(2*c.limit, roundCalls)
	}
}

// try sends what is to do, at another upstream where one fails, until each call has its reply, was cut or has failed for
// good. While the proxy holds it waits, and that time does not count.
func (c *client) try(calls []call) []call {
	if !slices.ContainsFunc(calls, func(k call) bool { return k.todo }) {
		return calls
	}
	calls = c.enter(calls)
	defer c.p.leave(c.group)
	answerBy := c.p.clock() + int64(c.p.conf().Timeout) - 2*int64(c.p.tick())
	for c.tryOnce(calls, answerBy) {
	}
	return calls
}

// enter waits until requests may go to upstreams, and takes those of this time. Where they are others it returns new calls.
func (c *client) enter(calls []call) []call {
	g := c.p.enter()
	if g == c.group {
		return calls
	}
	c.group, c.links = g, make([]*link, len(g.upstreams))
	for i := range calls {
		calls[i].tried, calls[i].stale = 0, 0
	}
	return g.split(calls)
}

// tryOnce sends each call that is to do once, and reports whether any is to be sent again.
func (c *client) tryOnce(calls []call, answerBy int64) (again bool) {
	now, up := c.p.clock(), c.group.up()
	clear(c.links)
	c.round.waiting.Store(1) // for this goroutine, until all are sent
	kept, must := 0, true
	for i := range calls {
		kept += len(calls[i].reply)
	}
	c.round.kept.Store(int64(kept))
	for i := range calls {
		if k := &calls[i]; k.todo {
			k.todo = c.send(k, up, now, answerBy, must)
			must = must && !k.todo
		}
	}
	for _, l := range c.links {
		if l != nil {
			l.flush()
		}
	}
	if c.round.waiting.Add(-1) != 0 {
		<-c.round.wake
	}
	for i := range calls {
		if k := &calls[i]; k.todo {
			if k.err != nil && k.shape == shapeValues && k.wholePassed == len(k.keys) {
				k.err = nil // only the END was missing
			}
			if k.err == nil && k.fault() {
				// The node says that it did not do it, and another one may.
				k.refusal = append(k.refusal[:0], k.answer()...)
				k.tried |= k.bit
				again = true
				continue
			}
			k.todo = k.err != nil && (!k.sent || k.safe)
			again = again || k.todo
		}
	}
	return again
}

// send gives a call to its next upstream. false: there is none, or no time, and the call has failed.
func (c *client) send(k *call, up uint64, now, answerBy int64, must bool) bool {
	failed := k.err
	k.begin()
	candidates := up &^ k.tried
	switch {
	case candidates == 0 && failed == nil && k.refusal != nil:
		k.reply, k.broke = append(k.reply, k.refusal...), true
		return false
	case candidates == 0:
		if k.err = failed; failed == nil {
			k.err = errNoUpstream
		}
		c.group.hurry()
		return false
	}
	if failed != nil {
		// Its link had more time than it was given, for large replies before it; that does not count.
		answerBy += max(now-k.deadline-2*int64(c.p.tick()), 0)
	}
	if now >= answerBy {
		k.err = errTimeout
		return false
	}
	at := c.group.choose(k.key, candidates)
	u := c.group.upstreams[at]
	if k.up != nil && k.up != u {
		u.failovers.Add(1)
	}
	u.requests.Add(1)
	k.up, k.bit, k.sentAt, k.must = u, 1<<at, now, must
	k.deadline = now + (answerBy-now)/int64(bits.OnesCount64(candidates))
	if c.links[at] == nil {
		c.links[at] = u.link(k.protocol(), c.slot)
	}
	c.round.waiting.Add(1)
	if !c.links[at].enqueue(k) {
		k.err = errLinkEnded
		c.round.waiting.Add(-1)
	}
	return true
}

// write sends the replies of calls in order, up to the first that was cut, and returns how many are done. broke says, in
// and out, that the request of which the next call is a part was answered with an error already.
func (c *client) write(calls []call, broke bool) (done int, stillBroke, ok bool) {
	w := clientWriter{c: c, out: c.out[:0]}
	for done < len(calls) {
		k := &calls[done]
		if broke {
			k.cut = false // nobody wants the rest
		}
		if k.err != nil {
			c.fail(k)
		}
		if !broke && !k.mute && !k.hidden() {
			w.add(k.reply)
		}
		if k.cut {
			if k.shape == shapeValues {
				k.whole, k.wholePassed, k.reply = 0, k.passed, k.reply[:0]
				c.release(calls[done : done+1])
			}
			break
		}
		if k.shape == shapeValues && !broke && !k.broke && !k.part {
			w.add(replyEnd)
		}
		broke = k.part && (broke || k.broke)
		done++
	}
	w.flush()
	c.out = w.out[:0]
	return done, broke, w.err == nil
}

var replyEnd = []byte("END\r\n")

// clientWriter puts small replies together. After an error it drops everything.
type clientWriter struct {
	c   *client
	out []byte
	err error
}

func (w *clientWriter) add(b []byte) {
	if len(b) <= writeTogether {
		if w.out = append(w.out, b...); len(w.out) < writeTogether {
			return
		}
		b = nil
	}
	w.flush()
	w.send(b)
}

func (w *clientWriter) flush() {
	w.send(w.out)
	w.out = w.out[:0]
}

func (w *clientWriter) send(b []byte) {
	if len(b) == 0 || w.err != nil {
		return
	}
	w.c.nc.SetWriteDeadline(time.Now().Add(w.c.p.conf().WriteTimeout))
	_, w.err = w.c.nc.Write(b)
}

// fail makes the reply to a call that has failed.
func (c *client) fail(k *call) {
	if k.sent && !k.safe {
		k.up.unknown.Add(1)
	}
	k.broke = true
	if k.shape == shapeBinary {
		k.reply = memcache.AppendBinaryError(k.reply[:0], k.echo, k.status(), k.failure())
		return
	}
	// The values that a get has got stand before the error, as in memcached.
	k.reply = append(append(append(k.reply[:k.whole], "SERVER_ERROR "...), k.failure()...), '\r', '\n')
}

// release gives back what replies took of the memory for all clients.
func (c *client) release(calls []call) {
	for i := range calls {
		if k := &calls[i]; k.held > 0 {
			c.p.reserve(-k.held)
			k.held, k.reply = 0, nil
		}
	}
}
