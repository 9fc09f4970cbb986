package proxy

import (
	"bytes"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/futago/futago/internal/memcache"
)

// shape says how a reply is told from the next one.
type shape uint8

const (
	// shapeLocal is a reply of the proxy's own; it is there already.
	shapeLocal shape = iota
	// shapeLine is one line.
	shapeLine
	// shapeValues is any number of VALUE lines with data, and END or an error line.
	shapeValues
	// shapeMeta is one line, and a data block after VA.
	shapeMeta
	// shapeQuiet is what a quiet meta command answers, up to the MN of the mn behind it.
	shapeQuiet
	// shapeBinary is one frame of the binary protocol.
	shapeBinary
)

// keysFirst is how many keys of a get are asked for at first. If there is no room for the values fewer are, else more.
const keysFirst = 100

// protocol numbers the protocols: a connection of a node speaks one of them only.
type protocol uint8

const (
	text protocol = iota
	binaryProtocol
	protocols
)

// call is one request to one upstream: a request of a client, or with parts one of its pieces.
type call struct {
	round *round
	shape shape

	// head, keys and body are what is sent: head; with keys each after a space; unless it is a frame the end of the
	// line; body, and after a body of text another end of line. They alias what the client owns until its round is over.
	head []byte
	keys [][]byte
	body []byte
	data bool // there is a body; it may be empty
	// key chooses the upstream; nil takes the first.
	key []byte
	// safe: executing it twice does no harm.
	safe bool
	// meta: only a server that knows meta commands may see it.
	meta bool
	// mute: the client wants no reply, not even an error.
	mute bool
	// part: the reply goes on with that of the next call.
	part bool
	// echo and quiet are those of a binary request, as the client sent it.
	echo  memcache.Echo
	quiet bool

	// tried are the upstreams at which it failed, stale those that closed an old connection on it.
	tried, stale uint64
	up           *upstream // the last one
	bit          uint64    // of up in those sets
	sentAt       int64     // when it was handed over, in nanoseconds of the proxy's clock
	deadline     int64     // when its link counts as hung
	came         int64     // bytes that its link had received when it took the call
	todo         bool      // it is to be sent (again)

	refusal []byte // the error line of a node in trouble, for the case that no other one takes the call

	// The result, written by the link before round.finish.
	reply              []byte
	held               int64 // of Config.MaxPending
	passed             int   // how many of keys are answered
	asked              int   // how many of keys were asked for: no more than may be expected to fit
	whole, wholePassed int   // reply and passed at the end of the last complete value
	broke              bool  // the reply is, or ends in, an error line
	cut                bool  // there was no room for the (whole) reply: ask again for the rest
	err                error // why there is no reply
	sent               bool  // with err: it may have been executed
	before             int   // passed when it was sent the last time
	cutBefore          bool  // it was cut once
	must               bool  // it is not cut before something of it was kept
	kept               bool  // something was kept since it was sent
}

// protocol returns the one that its link must speak.
func (c *call) protocol() protocol {
	if c.shape == shapeBinary {
		return binaryProtocol
	}
	return text
}

// appendTo appends the bytes that an upstream gets.
func (c *call) appendTo(dst []byte) []byte {
	dst = append(dst, c.head...)
	if c.shape == shapeBinary {
		return append(dst, c.body...)
	}
	for _, key := range c.keys[c.passed:c.asked] {
		dst = append(append(dst, ' '), key...)
	}
	dst = append(dst, '\r', '\n')
	if c.data {
		dst = append(append(dst, c.body...), '\r', '\n')
	}
	if c.shape == shapeQuiet {
		dst = append(dst, "mn\r\n"...)
	}
	return dst
}

// begin forgets the result of an earlier try, but for the complete values of a get.
func (c *call) begin() {
	c.cutBefore = c.cutBefore || c.cut
	c.err, c.sent, c.cut, c.kept, c.broke = nil, false, false, false, false
	if c.shape != shapeValues {
		c.whole, c.wholePassed = 0, 0
	}
	c.reply, c.passed = c.reply[:c.whole], c.wholePassed
	c.asked = min(c.passed+keysFirst, len(c.keys))
	if answered := c.passed - c.before; c.cutBefore {
		c.asked = min(c.passed+max(2*answered, 1), len(c.keys))
	}
	c.before = c.passed
}

// faults are the answers of a node that is in trouble itself and has not done what was asked. Another node may.
var faults = [][]byte{
	[]byte("disk is nearly full"),
	[]byte("store stopped accepting writes"),
	[]byte("store is closed"),
	[]byte("record is damaged"),
}

func isFault(text []byte) bool {
	return slices.ContainsFunc(faults, func(f []byte) bool { return bytes.HasPrefix(text, f) })
}

// answer is what came after the complete values of a get, and everything that came to another request.
func (c *call) answer() []byte {
	if c.shape == shapeBinary {
		return c.reply
	}
	return c.reply[c.whole:]
}

// fault says whether the reply is one of faults.
func (c *call) fault() bool {
	if c.shape == shapeBinary {
		return c.binaryFault()
	}
	text, failed := bytes.CutPrefix(c.answer(), []byte("SERVER_ERROR "))
	return failed && isFault(text)
}

// failure is what the client is told about c.err.
func (c *call) failure() string {
	switch {
	case c.sent && !c.safe:
		return fmt.Sprintf("effect unknown: upstream %s: %v", c.up.Addr, c.err)
	case c.up == nil:
		return c.err.Error()
	}
	return fmt.Sprintf("%v: upstream %s: %v", errNoUpstream, c.up.Addr, c.err)
}

// round counts the calls of a client that are on their way.
type round struct {
	waiting atomic.Int32
	kept    atomic.Int64 // bytes of replies that were kept and not yet written
	wake    chan struct{}
}

// finish counts a call down that has its result. The call must not be touched afterwards.
func (r *round) finish() {
	if r.waiting.Add(-1) == 0 {
		r.wake <- struct{}{}
	}
}
