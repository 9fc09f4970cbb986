// Package replication is the peer port: a Source serves this node's log and snapshots to the peers that follow it, a
// Puller follows the log of one peer. One connection carries one direction; a pair has two.
//
// A conversation, S the source, F the follower:
//
//	S greeting   who it is
//	F hello      who it is, what it holds
//	S welcome    stream or snapshot, and why; or refuse
//	S batch      entries of the log, in order          S chunk, complete   records of the snapshot, beside the batches
//	S heartbeat  each second                           F confirm           after each batch, and each second
//	F ask        about digests or records            S digest, mend    the answer
//	S bye        it is draining
//
// docs/protocol/peer.md has the frames byte by byte.
package replication

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"net"
	"time"

	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/record"
	"github.com/futago/futago/internal/ulog"
)

// A frame: size of type and payload 4, type 1, payload, CRC-32C of type and payload 4; little-endian.
type frameType byte

const (
	frameGreeting  frameType = 1
	frameHello     frameType = 2
	frameWelcome   frameType = 3
	frameRefuse    frameType = 4
	frameBatch     frameType = 5
	frameChunk     frameType = 6
	frameComplete  frameType = 7
	frameHeartbeat frameType = 8
	frameConfirm   frameType = 9
	frameBye       frameType = 10
	frameAsk       frameType = 11
	frameDigest    frameType = 12
	frameMend      frameType = 13
)

const (
	protocolVersion = 2
	protocolName    = "futago-peer"

	// maxFrame bounds any frame: the largest record and some.
	maxFrame = record.MaxValue + 1<<20
	// maxTalk bounds the frames that are not records.
	maxTalk = 64 << 10
	// batchBytes is the size from which a batch or chunk is sent.
	batchBytes = 256 << 10
	// maxRecords bounds the records of a batch: as many of the smallest as make it large enough to be sent.
	maxRecords = batchBytes/(4+record.HeaderSize) + 1
	// readStep is how much memory is taken at once for a frame whose bytes have not arrived.
	readStep = 1 << 20
)

var errFrame = errors.New("malformed frame")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// greeting is what a source says first.
type greeting struct {
	Protocol string        `json:"protocol"`
	Version  int           `json:"version"`
	Node     int           `json:"node"`
	Life     ulog.Identity `json:"life"`  // of its log
	Items    int64         `json:"items"` // records that it has
	Process  uint64        `json:"process"`
}

// hello is what a follower holds of the source.
type hello struct {
	Version  int           `json:"version"`
	Node     int           `json:"node"`
	Life     ulog.Identity `json:"life"`            // of the follower's log
	Position ulog.Position `json:"position"`        // in the source's log; zero: nothing yet
	Partial  int           `json:"partial"`         // parts that it has of an unfinished snapshot by this source, -1: none is unfinished
	Own      hlc.Stamp     `json:"own"`             // it has all its own writes up to this stamp
	Horizon  hlc.Stamp     `json:"horizon"`         // of the source, when the unfinished snapshot began
	Addr     string        `json:"addr"`            // where the follower can be followed itself; without a host: at the address that it comes from
	Items    int64         `json:"items"`           // records that it has
	Admin    string        `json:"admin,omitempty"` // its admin port; without a host: at the address that it comes from
}

// welcome says what follows.
type welcome struct {
	Mode    string        `json:"mode"`    // stream or snapshot
	Reason  string        `json:"reason"`  // of a snapshot
	Part    int           `json:"part"`    // first part of the snapshot that will come
	Start   ulog.Position `json:"start"`   // batches begin behind it
	Lost    bool          `json:"lost"`    // stream: the follower's own writes above Own come beside it, then complete
	End     uint64        `json:"end"`     // end of the source's log now: reaching it is being caught up
	Held    hlc.Stamp     `json:"held"`    // newest stamp of the follower's origin that the source holds
	Wall    int64         `json:"wall"`    // the source's clock, milliseconds since hlc.Epoch
	Ready   bool          `json:"ready"`   // the source serves clients
	Horizon hlc.Stamp     `json:"horizon"` // up to which a snapshot may lack deletes: what it lacks and is wholly older was deleted
	Born    hlc.Stamp     `json:"born"`    // up to which any node may have forgotten deletes, as far as the source heard
	// Vector are the stamps up to which the source had everything of each node's own when it said so.
	Vector map[int]hlc.Stamp `json:"vector"`
}

// refuse is a source's no.
type refuse struct {
	Reason  string `json:"reason"`
	Outcast bool   `json:"outcast"` // the follower is no part of the mesh: it must not serve in its name
}

// heartbeat is a source's sign of life.
type heartbeat struct {
	End      uint64 // of its log
	Wall     int64
	Ready    bool
	Joined   uint64    // nothing behind this position is acknowledged without the follower; notJoined: the source is solo
	Horizon  hlc.Stamp // up to which the source may have forgotten deletes
	Proposal hlc.Stamp // horizon that it asks the follower to promise, 0 = none
	Awaited  uint64    // position that it waits for the follower to hold durably, 0 = none
}

// notJoined is the position of a source that acknowledges without the follower.
const notJoined = math.MaxUint64

// confirm is a follower's sign of life.
type confirm struct {
	Applied  uint64 // position that it has applied and written
	Durable  uint64 // position that it will ask for after a crash
	Wall     int64
	Whole    bool      // no snapshot is under way: it holds everything before the position as well
	Promised hlc.Stamp // it writes nothing at or below this any more, 0 = no promise is asked for
	End      uint64    // of its own log, not before it promised
}

const (
	heartbeatSize = 49
	confirmSize   = 41
)

func (h heartbeat) append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint64(b, h.End)
	b = binary.LittleEndian.AppendUint64(b, uint64(h.Wall))
	b = binary.LittleEndian.AppendUint64(appendBool(b, h.Ready), h.Joined)
	b = binary.LittleEndian.AppendUint64(b, uint64(h.Horizon))
	b = binary.LittleEndian.AppendUint64(b, uint64(h.Proposal))
	return binary.LittleEndian.AppendUint64(b, h.Awaited)
}

func decodeHeartbeat(b []byte) (heartbeat, error) {
	if len(b) != heartbeatSize || b[16] > 1 {
		return heartbeat{}, fmt.Errorf("%w: heartbeat of %d bytes", errFrame, len(b))
	}
	u := func(at int) uint64 { return binary.LittleEndian.Uint64(b[at:]) }
	return heartbeat{u(0), int64(u(8)), b[16] == 1, u(17), hlc.Stamp(u(25)), hlc.Stamp(u(33)), u(41)}, nil
}

func (c confirm) append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint64(b, c.Applied)
	b = binary.LittleEndian.AppendUint64(b, c.Durable)
	b = binary.LittleEndian.AppendUint64(b, uint64(c.Wall))
	b = binary.LittleEndian.AppendUint64(appendBool(b, c.Whole), uint64(c.Promised))
	return binary.LittleEndian.AppendUint64(b, c.End)
}

func decodeConfirm(b []byte) (confirm, error) {
	if len(b) != confirmSize || b[24] > 1 {
		return confirm{}, fmt.Errorf("%w: confirm of %d bytes", errFrame, len(b))
	}
	u := func(at int) uint64 { return binary.LittleEndian.Uint64(b[at:]) }
	return confirm{u(0), u(8), int64(u(16)), b[24] == 1, hlc.Stamp(u(25)), u(33)}, nil
}

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

// batchHeader precedes the records of a batch: the position behind them 8 + 4. A chunk has the parts that are complete
// with it in the first 8. A mend has the number of the question there, and behind it 1 when it is the last one.
const batchHeader = 12

func putBatchHeader(b []byte, seq uint64, crc uint32) {
	binary.LittleEndian.PutUint64(b, seq)
	binary.LittleEndian.PutUint32(b[8:], crc)
}

// appendRecord appends size 4 and the record.
func appendRecord(b []byte, raw []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(len(raw)))
	return append(b, raw...)
}

// decodeRecords reads the records of a batch or chunk into recs; they alias b.
func decodeRecords(b []byte, recs []record.Record) (seq uint64, crc uint32, _ []record.Record, _ error) {
	if len(b) < batchHeader {
		return 0, 0, nil, fmt.Errorf("%w: batch of %d bytes", errFrame, len(b))
	}
	seq, crc = binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint32(b[8:])
	for b = b[batchHeader:]; len(b) > 0; {
		if len(b) < 4 {
			return 0, 0, nil, fmt.Errorf("%w: record size is cut", errFrame)
		}
		if len(recs) == maxRecords {
			return 0, 0, nil, fmt.Errorf("%w: batch of more than %d records", errFrame, maxRecords)
		}
		n := binary.LittleEndian.Uint32(b)
		if uint64(n) > uint64(len(b)-4) {
			return 0, 0, nil, fmt.Errorf("%w: record of %d bytes in a rest of %d", errFrame, n, len(b)-4)
		}
		r, err := record.Decode(b[4 : 4+n : 4+n])
		if err != nil {
			return 0, 0, nil, fmt.Errorf("%w: %w", errFrame, err)
		}
		recs = append(recs, r)
		b = b[4+n:]
	}
	return seq, crc, recs, nil
}

// appendFrame frames what build appends.
func appendFrame(b []byte, t frameType, payload []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(1+len(payload)))
	at := len(b)
	b = append(append(b, byte(t)), payload...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[at:], castagnoli))
}

func appendJSON(b []byte, t frameType, v any) []byte {
	payload, err := json.Marshal(v)
	if err != nil {
		panic("replication: message does not marshal: " + err.Error())
	}
	return appendFrame(b, t, payload)
}

// aliveConn is a connection on which every read has time of its own: a large frame may take long on a slow line, the peer
// is alive while bytes come.
type aliveConn struct {
	net.Conn
	timeout time.Duration // 0: the deadline of the connection stands
}

func (c *aliveConn) Read(b []byte) (int, error) {
	if c.timeout > 0 {
		c.SetReadDeadline(time.Now().Add(c.timeout))
	}
	return c.Conn.Read(b)
}

// frameReader reads frames; a payload is valid until the next read.
type frameReader struct {
	r   *bufio.Reader
	buf []byte
}

func newFrameReader(r io.Reader) *frameReader {
	return &frameReader{r: bufio.NewReaderSize(r, 128<<10)}
}

// next reads a frame of at most limit bytes. Memory is taken as bytes arrive.
func (f *frameReader) next(limit int) (frameType, []byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(f.r, head[:]); err != nil {
		return 0, nil, err
	}
	size := int64(binary.LittleEndian.Uint32(head[:]))
	if size < 1 || size > int64(limit) {
		return 0, nil, fmt.Errorf("%w: %d bytes, allowed are 1 to %d: is this the peer port?", errFrame, size, limit)
	}
	total := size + 4
	if cap(f.buf) > 4<<20 && total < 1<<20 {
		f.buf = nil // a huge record went by
	}
	f.buf = f.buf[:0]
	for int64(len(f.buf)) < total {
		at := len(f.buf)
		step := int(min(total-int64(at), max(readStep, int64(at))))
		if cap(f.buf) < at+step {
			grown := make([]byte, at, at+step)
			copy(grown, f.buf)
			f.buf = grown
		}
		f.buf = f.buf[:at+step]
		if _, err := io.ReadFull(f.r, f.buf[at:]); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return 0, nil, err
		}
	}
	if got, want := crc32.Checksum(f.buf[:size], castagnoli), binary.LittleEndian.Uint32(f.buf[size:]); got != want {
		return 0, nil, fmt.Errorf("%w: bad checksum: got %08x want %08x", errFrame, got, want)
	}
	return frameType(f.buf[0]), f.buf[1:size], nil
}

// expect reads one message of a kind; a refusal becomes an error.
func (f *frameReader) expect(want frameType, v any) error {
	t, payload, err := f.next(maxTalk)
	switch {
	case err != nil:
		return err
	case t == frameRefuse:
		var no refuse
		if err := json.Unmarshal(payload, &no); err != nil {
			return fmt.Errorf("%w: %w", errFrame, err)
		}
		return &RefusedError{Reason: no.Reason, Outcast: no.Outcast}
	case t != want:
		return fmt.Errorf("%w: type %d where %d is due", errFrame, t, want)
	}
	if err := json.Unmarshal(payload, v); err != nil {
		return fmt.Errorf("%w: %w", errFrame, err)
	}
	return nil
}

// RefusedError is a peer's no.
type RefusedError struct {
	Reason   string
	SameNode bool // both nodes have one id: neither may serve beside the other
	Self     bool // it is no peer, but this very process
	Outcast  bool // the mesh does not take this node with the data that it has: it must not serve
}

func (e *RefusedError) Error() string { return "peer refused: " + e.Reason }
