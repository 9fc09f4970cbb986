package proxy

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/futago/futago/internal/memcache"
)

// frame builds a request.
func frame(code byte, opaque, extras, key, value string, cas uint64) string {
	b := []byte{binaryRequest, code, byte(len(key) >> 8), byte(len(key)), byte(len(extras)), 0, 0, 0}
	b = binary.BigEndian.AppendUint32(b, uint32(len(extras)+len(key)+len(value)))
	b = append(b, opaque...)
	b = binary.BigEndian.AppendUint64(b, cas)
	return string(b) + extras + key + value
}

// binarySession is the binary side of a fake node: get, set, add, delete, increment and noop.
func (n *fakeNode) binarySession(r *bufio.Reader, nc net.Conn) {
	for authenticated, logouts := false, 0; ; {
		header := make([]byte, binaryHeader)
		if _, err := io.ReadFull(r, header); err != nil {
			return
		}
		body := make([]byte, binary.BigEndian.Uint32(header[8:]))
		if _, err := io.ReadFull(r, body); err != nil {
			return
		}
		keyAt := int(header[4])
		valueAt := keyAt + int(binary.BigEndian.Uint16(header[2:]))
		key, value := string(body[keyAt:valueAt]), string(body[valueAt:])
		if n.loggedOut(&logouts) {
			authenticated = false
		}
		n.mu.Lock()
		if header[1] != byte(memcache.OpcodeNoop) && (n.login == "" || authenticated) && header[1] != byte(memcache.OpcodeSASLAuth) {
			n.seen = append(n.seen, fmt.Sprintf("%#x %s", header[1], key))
			if n.conduct == forget || n.conduct == vanish {
				n.mu.Unlock()
				return
			}
		}
		if header[1] != byte(memcache.OpcodeNoop) && n.conduct == full {
			n.mu.Unlock()
			nc.Write(memcache.AppendBinaryError(nil, echo(header[1], string(header[12:16])), memcache.BinaryOutOfMemory, diskFull))
			continue
		}
		if header[1] == byte(memcache.OpcodeSASLAuth) || n.login != "" && !authenticated {
			status := memcache.BinaryUnknown
			if n.login != "" {
				authenticated = key == memcache.SASLPlain && value == "\x00"+strings.Replace(n.login, " ", "\x00", 1)
				if status = memcache.BinaryOK; !authenticated {
					status = memcache.BinaryAuthError
				}
			}
			n.mu.Unlock()
			nc.Write(memcache.AppendBinaryError(nil, echo(header[1], string(header[12:16])), status, ""))
			continue
		}
		status, reply := memcache.BinaryOK, ""
		old, held := n.data[key]
		switch header[1] {
		case 0x00:
			if reply = "\x00\x00\x00\x00" + old; !held {
				status, reply = memcache.BinaryNotFound, "Not found"
			}
		case 0x01:
			n.data[key] = value
		case 0x02:
			if held {
				status, reply = memcache.BinaryExists, "Data exists for key."
			} else {
				n.data[key] = value
			}
		case 0x04:
			delete(n.data, key)
		case 0x08:
			clear(n.data)
		case byte(memcache.OpcodeNoop):
		default:
			status = memcache.BinaryUnknown
		}
		n.mu.Unlock()
		out := append(memcache.AppendBinary(nil, echo(header[1], string(header[12:16])), status, 0, 0, len(reply), 0), reply...)
		if status == 0 && header[1] == 0 {
			out[4] = 4
		}
		if _, err := nc.Write(out); err != nil {
			return
		}
	}
}

// reply is what a client expects.
func reply(code byte, opaque string, status memcache.BinaryStatus, extras, value string) string {
	b := memcache.AppendBinary(nil, echo(code, opaque), status, len(extras), 0, len(value), 0)
	return string(b) + extras + value
}

func echo(code byte, opaque string) memcache.Echo {
	return memcache.Echo{Opcode: memcache.Opcode(code), Opaque: binary.BigEndian.Uint32([]byte(opaque))}
}

const noExtras, setExtras, noFlags = "", "\x00\x00\x00\x00\x00\x00\x00\x00", "\x00\x00\x00\x00"

func TestBinary(t *testing.T) {
	n := newFakeNode(t)
	p := startProxy(t, func(c *Config) { c.MaxValue = 1 << 10 }, n)
	c := p.dial()
	c.talk(frame(0x01, "op01", setExtras, "k", "v", 0), reply(0x01, "op01", 0, "", ""))
	// Quiet ones answer only what is of interest, in order.
	c.talk(frame(0x09, "op02", "", "absent", "", 0)+frame(0x09, "op03", "", "k", "", 0)+frame(0x11, "op04", setExtras, "k", "w", 0)+
		frame(0x12, "op05", setExtras, "k", "x", 0)+frame(0x00, "op06", "", "absent", "", 0)+frame(byte(memcache.OpcodeNoop), "op07", "", "", "", 0),
		reply(0x09, "op03", 0, noFlags, "v")+reply(0x12, "op05", memcache.BinaryExists, "", "Data exists for key.")+reply(0x00, "op06", memcache.BinaryNotFound, "", "Not found")+reply(byte(memcache.OpcodeNoop), "op07", 0, "", ""))
	c.talk(frame(byte(memcache.OpcodeVersion), "op08", "", "", "", 0), reply(byte(memcache.OpcodeVersion), "op08", 0, "", "1.6.18 futago-9.9.9"))
	// Authentication is for nodes; a value too large is swallowed, whatever it looks like.
	c.talk(frame(0x20, "op09", "", "", "", 0)+frame(0x01, "op10", setExtras, "k", strings.Repeat(noopFrame, 60), 0)+frame(byte(memcache.OpcodeNoop), "op11", "", "", "", 0),
		reply(0x20, "op09", memcache.BinaryUnknown, "", "Unknown command")+reply(0x01, "op10", memcache.BinaryTooLarge, "", "Too large.")+reply(byte(memcache.OpcodeNoop), "op11", 0, "", ""))
	c.talk(frame(0x08, "op12", "", "", "", 0)+frame(0x00, "op13", "", "k", "", 0), reply(0x08, "op12", 0, "", "")+reply(0x00, "op13", memcache.BinaryNotFound, "", "Not found"))
	// What came before, nine with the deletion of the value that was to be replaced, and nothing else.
	if got := n.requests(); len(got) != 9 || got[6] != "0x4 k" {
		t.Errorf("the node saw %d requests, want 9: %q", len(got), got)
	}
	// A frame that a node would hang up on costs its sender the connection, and nobody else.
	other := p.dial()
	other.send(frame(0x00, "op14", "1234", "k", "", 0))
	other.want(reply(0x00, "op14", memcache.BinaryInvalid, "", "Invalid arguments"))
	other.wantClosed()
	c.talk(frame(byte(memcache.OpcodeStat), "op15", "", "bogus", "", 0), reply(byte(memcache.OpcodeStat), "op15", memcache.BinaryNotFound, "", "Not found"))
	c.talk(frame(byte(memcache.OpcodeQuit), "op16", "", "", "", 0), reply(byte(memcache.OpcodeQuit), "op16", 0, "", ""))
	c.wantClosed()
}

// A node in trouble says so in a frame, too; another one may do it.
func TestBinaryFault(t *testing.T) {
	first, second := newFakeNode(t), newFakeNode(t)
	p := startProxy(t, nil, first, second)
	c := p.dial()
	first.behave(full, "")
	c.talk(frame(0x02, "op01", setExtras, "k", "v", 0), reply(0x02, "op01", memcache.BinaryOK, "", ""))
	if got := second.value("k"); got != "v" {
		t.Errorf("second node: %q", got)
	}
	second.behave(full, "")
	c.talk(frame(0x0e, "op02", "", "k", "v", 0), reply(0x0e, "op02", memcache.BinaryOutOfMemory, "", diskFull))
}

func TestBinaryFailover(t *testing.T) {
	first, second := newFakeNode(t), newFakeNode(t)
	second.put("k", "2")
	p := startProxy(t, nil, first, second)
	c := p.dial()
	c.talk(frame(0x00, "warm", "", "k", "", 0), reply(0x00, "warm", memcache.BinaryNotFound, "", "Not found"))
	first.behave(vanish, "")
	c.talk(frame(0x09, "op01", "", "k", "", 0)+frame(byte(memcache.OpcodeNoop), "op02", "", "", "", 0), reply(0x09, "op01", 0, noFlags, "2")+reply(byte(memcache.OpcodeNoop), "op02", 0, "", ""))
	p.waitUp(2)
	c.send(frame(0x02, "op03", setExtras, "k", "x", 0))
	b := make([]byte, binaryHeader)
	if _, err := io.ReadFull(c.r, b); err != nil {
		t.Fatal(err)
	}
	text := make([]byte, binary.BigEndian.Uint32(b[8:]))
	io.ReadFull(c.r, text)
	if b[0] != binaryReply || b[1] != 0x02 || string(b[12:16]) != "op03" || frameStatus(b) != statusInternal || !strings.HasPrefix(string(text), "effect unknown: ") {
		t.Errorf("got %q %q, want that the effect is unknown", b, text)
	}
	if got := second.value("k"); got != "2" {
		t.Errorf("second node: %q", got)
	}
}

// FuzzReplies: whatever an upstream sends, and in whatever pieces, the replies to calls are the same, or the link ends.
func FuzzReplies(f *testing.F) {
	for _, s := range []string{
		"STORED\r\nVALUE a 0 1\r\nx\r\nVALUE b 0 0\r\n\r\nEND\r\nHD\r\nVA 2 f1\r\nhi\r\nEN\r\nMN\r\n",
		"SERVER_ERROR x\r\nEND\r\nVA 1\r\nx\r\nVA 3\r\nabc\r\nMN\r\n", "5\r\nVALUE c 0 1\r\nx\r\nEND\r\n", "NOT_FOUND\r\nERROR\r\nEN\r\nERROR\r\nERROR\r\n",
		"OK\r\nVALUE a 0 99999999999\r\n", "STORED\r\nVALUE a 0 3\r\nabcd\r\nEND\r\n",
	} {
		f.Add([]byte(s), uint8(1))
		f.Add([]byte(s), uint8(7))
	}
	p := offlineProxy(f, nil)
	run := func(input []byte, step int) string {
		r := &round{wake: make(chan struct{}, 1)}
		keys := [][]byte{[]byte("a"), []byte("b")}
		calls := []*call{
			{shape: shapeLine}, {shape: shapeValues, keys: keys, asked: 2}, {shape: shapeMeta}, {shape: shapeQuiet},
			{shape: shapeBinary, head: []byte(noopFrame)},
		}
		l := &link{up: p.group.Load().upstreams[0]}
		for _, c := range calls {
			c.round = r
			l.pending = append(l.pending, c)
		}
		r.waiting.Store(int32(len(calls)))
		b, end := []byte(nil), "open"
		for len(input) > 0 && end == "open" {
			n := min(step, len(input))
			b = append(b, input[:n]...)
			input = input[n:]
			used, err := l.take(b)
			if err != nil {
				end = "bad"
			}
			b = b[used:]
		}
		// Of a link that ends only the calls count that had their reply.
		text := end
		for _, c := range calls[:l.popped] {
			text += fmt.Sprintf(" %v %q", c.broke, c.reply)
		}
		return text
	}
	f.Fuzz(func(t *testing.T, input []byte, step uint8) {
		whole, parts := run(input, len(input)+1), run(input, int(step)+1)
		if whole != parts {
			t.Fatalf("whole: %s\nin pieces of %d: %s", whole, step+1, parts)
		}
	})
}
