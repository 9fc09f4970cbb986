package memcache

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
)

// packet is a request as a client makes it; the lengths can be made to lie.
type packet struct {
	op                 Opcode
	extras, key, value string
	cas                uint64
	body               int // added to the true length
	keySize            int // added to the true length
}

const testOpaque = 0x01020304

func (p packet) encode() string {
	b := []byte{binaryMagicRequest, byte(p.op)}
	b = binary.BigEndian.AppendUint16(b, uint16(len(p.key)+p.keySize))
	b = append(b, byte(len(p.extras)), 7, 1, 2) // a data type and a vbucket, which mean nothing
	b = binary.BigEndian.AppendUint32(b, uint32(len(p.extras)+len(p.key)+len(p.value)+p.body))
	b = binary.BigEndian.AppendUint32(b, testOpaque)
	b = binary.BigEndian.AppendUint64(b, p.cas)
	return string(b) + p.extras + p.key + p.value
}

// extras4, extras8 and extras20 are the extras of touch, set and incr.
func extras4(exptime uint32) string { return string(binary.BigEndian.AppendUint32(nil, exptime)) }

func extras8(flags, exptime uint32) string { return extras4(flags) + extras4(exptime) }

func extras20(delta, initial uint64, exptime uint32) string {
	return string(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, delta), initial)) + extras4(exptime)
}

// describeBinary writes a request down with all fields that are not zero.
func describeBinary(r *BinaryRequest) string {
	var b strings.Builder
	if r.Close && r.Status == BinaryOK {
		return "no packet"
	}
	fmt.Fprintf(&b, "%v", r.Opcode)
	put := func(set bool, format string, v any) {
		if set {
			fmt.Fprintf(&b, " "+format, v)
		}
	}
	put(r.Op != r.Opcode, "as=%v", r.Op)
	put(r.Quiet, "%s", "quiet")
	put(r.Status != BinaryOK, "status=%#x", uint16(r.Status))
	put(r.Close, "%s", "close")
	put(r.Drop, "%s", "drop")
	put(len(r.Key) > 0, "key=%q", r.Key)
	put(len(r.Value) > 0, "value=%q", r.Value)
	put(r.CAS != 0, "cas=%d", r.CAS)
	put(r.Flags != 0, "flags=%d", r.Flags)
	put(r.Exptime != 0, "exptime=%d", r.Exptime)
	put(r.Delta != 0, "delta=%d", r.Delta)
	put(r.Initial != 0, "initial=%d", r.Initial)
	put(r.Create, "%s", "create")
	put(r.Opaque != testOpaque, "opaque=%#x", r.Opaque)
	return b.String()
}

// shapeCases are packets of every opcode, good and bad, for a decoder that takes values of 10 bytes.
var shapeCases = []struct {
	packet packet
	want   string
}{
	{packet{op: OpcodeGet, key: "k"}, `get key="k"`},
	{packet{op: OpcodeGet, key: "a b\r\n\x00\xff"}, `get key="a b\r\n\x00\xff"`},
	{packet{op: OpcodeGet, key: "k", cas: 5}, `get key="k" cas=5`},
	{packet{op: OpcodeGetQ, key: "k"}, `getq as=get quiet key="k"`},
	{packet{op: OpcodeGetK, key: "k"}, `getk key="k"`},
	{packet{op: OpcodeGetKQ, key: "k"}, `getkq as=getk quiet key="k"`},
	{packet{op: OpcodeSet, extras: extras8(1<<32-1, 1<<32-1), key: "k", value: "v", cas: 1 << 63}, `set key="k" value="v" cas=9223372036854775808 flags=4294967295 exptime=4294967295`},
	{packet{op: OpcodeSet, extras: extras8(0, 0), key: "k"}, `set key="k"`},
	{packet{op: OpcodeSetQ, extras: extras8(0, 7), key: "k", value: "v"}, `setq as=set quiet key="k" value="v" exptime=7`},
	{packet{op: OpcodeAdd, extras: extras8(1, 2), key: "k", value: "v"}, `add key="k" value="v" flags=1 exptime=2`},
	{packet{op: OpcodeAddQ, extras: extras8(1, 2), key: "k"}, `addq as=add quiet key="k" flags=1 exptime=2`},
	{packet{op: OpcodeReplace, extras: extras8(1, 2), key: "k"}, `replace key="k" flags=1 exptime=2`},
	{packet{op: OpcodeReplaceQ, extras: extras8(1, 2), key: "k"}, `replaceq as=replace quiet key="k" flags=1 exptime=2`},
	{packet{op: OpcodeAppend, key: "k", value: "v"}, `append key="k" value="v"`},
	{packet{op: OpcodeAppendQ, key: "k"}, `appendq as=append quiet key="k"`},
	{packet{op: OpcodePrepend, key: "k", value: "v"}, `prepend key="k" value="v"`},
	{packet{op: OpcodePrependQ, key: "k", value: "v"}, `prependq as=prepend quiet key="k" value="v"`},
	{packet{op: OpcodeDelete, key: "k", cas: 3}, `delete key="k" cas=3`},
	{packet{op: OpcodeDeleteQ, key: "k"}, `deleteq as=delete quiet key="k"`},
	{packet{op: OpcodeIncr, extras: extras20(1<<64-1, 1<<64-2, 9), key: "k"}, `incr key="k" exptime=9 delta=18446744073709551615 initial=18446744073709551614 create`},
	{packet{op: OpcodeIncr, extras: extras20(1, 2, 1<<32-1), key: "k"}, `incr key="k" exptime=4294967295 delta=1 initial=2`},
	{packet{op: OpcodeIncrQ, extras: extras20(1, 0, 0), key: "k"}, `incrq as=incr quiet key="k" delta=1 create`},
	{packet{op: OpcodeDecr, extras: extras20(1, 0, 0), key: "k"}, `decr key="k" delta=1 create`},
	{packet{op: OpcodeDecrQ, extras: extras20(1, 0, 0), key: "k"}, `decrq as=decr quiet key="k" delta=1 create`},
	{packet{op: OpcodeTouch, extras: extras4(3), key: "k"}, `touch key="k" exptime=3`},
	{packet{op: OpcodeGat, extras: extras4(3), key: "k"}, `gat key="k" exptime=3`},
	{packet{op: OpcodeGatQ, extras: extras4(3), key: "k"}, `gatq as=gat quiet key="k" exptime=3`},
	{packet{op: OpcodeGatK, extras: extras4(3), key: "k"}, `gatk key="k" exptime=3`},
	{packet{op: OpcodeGatKQ, extras: extras4(3), key: "k"}, `gatkq as=gatk quiet key="k" exptime=3`},
	{packet{op: OpcodeFlush}, `flush`},
	{packet{op: OpcodeFlush, extras: extras4(60)}, `flush exptime=60`},
	{packet{op: OpcodeFlushQ, extras: extras4(0)}, `flushq as=flush quiet`},
	{packet{op: OpcodeNoop}, `noop`},
	{packet{op: OpcodeVersion}, `version`},
	{packet{op: OpcodeStat}, `stat`},
	{packet{op: OpcodeStat, key: "settings"}, `stat key="settings"`},
	{packet{op: OpcodeSASLList}, `sasllist`},
	{packet{op: OpcodeSASLAuth, key: "PLAIN", value: "\x00u\x00p"}, `saslauth key="PLAIN" value="\x00u\x00p"`},
	{packet{op: OpcodeSASLStep, key: "PLAIN"}, `saslstep key="PLAIN"`},

	// The value is swallowed.
	{packet{op: OpcodeSet, extras: extras8(0, 0), key: "k", value: "0123456789"}, `set key="k" value="0123456789"`},
	{packet{op: OpcodeSet, extras: extras8(0, 0), key: "k", value: "0123456789a"}, `set status=0x3 drop key="k"`},
	{packet{op: OpcodeSetQ, extras: extras8(0, 0), key: "k", value: "0123456789a"}, `setq as=set quiet status=0x3 drop key="k"`},
	{packet{op: OpcodeAdd, extras: extras8(0, 0), key: "k", value: strings.Repeat("v", 99)}, `add status=0x3 key="k"`},
	{packet{op: OpcodeAppend, key: "k", value: strings.Repeat("v", 99)}, `append status=0x3 key="k"`},
	{packet{op: OpcodeSASLAuth, key: "PLAIN", value: strings.Repeat("v", maxSASLData+1)}, `saslauth status=0x3 key="PLAIN"`},

	// So is the whole body of what is not known.
	{packet{op: 0x1b}, `0x1b status=0x81`},
	{packet{op: 0xff, extras: "eeee", key: "k", value: strings.Repeat("v", 99)}, `0xff status=0x81`},
}

// closeCases are packets after which the connection ends.
var closeCases = []struct {
	packet packet
	want   string
}{
	{packet{op: OpcodeGet}, `get status=0x4 close`},
	{packet{op: OpcodeGet, key: "k", value: "v"}, `get status=0x4 close`},
	{packet{op: OpcodeGet, key: "k", extras: extras4(0)}, `get status=0x4 close`},
	{packet{op: OpcodeGetKQ}, `getkq as=getk quiet status=0x4 close`},
	{packet{op: OpcodeSet, key: "k", value: "v"}, `set status=0x4 close`},
	{packet{op: OpcodeSet, extras: extras4(0), key: "k", value: "v"}, `set status=0x4 close`},
	{packet{op: OpcodeSetQ, extras: extras8(0, 0), value: "v"}, `setq as=set quiet status=0x4 close`},
	{packet{op: OpcodeAppend, extras: extras8(0, 0), key: "k", value: "v"}, `append status=0x4 close`},
	{packet{op: OpcodeDelete, key: "k", value: "v"}, `delete status=0x4 close`},
	{packet{op: OpcodeIncr, key: "k"}, `incr status=0x4 close`},
	{packet{op: OpcodeIncr, extras: extras20(1, 1, 1), key: "k", value: "v"}, `incr status=0x4 close`},
	{packet{op: OpcodeTouch, key: "k"}, `touch status=0x4 close`},
	{packet{op: OpcodeTouch, extras: extras4(0)}, `touch status=0x4 close`},
	{packet{op: OpcodeGat, extras: extras4(0), key: "k", value: "v"}, `gat status=0x4 close`},
	{packet{op: OpcodeFlush, key: "k"}, `flush status=0x4 close`},
	{packet{op: OpcodeFlush, extras: extras8(0, 0)}, `flush status=0x4 close`},
	{packet{op: OpcodeFlush, extras: extras4(0), value: "v"}, `flush status=0x4 close`},
	{packet{op: OpcodeNoop, value: "v"}, `noop status=0x4 close`},
	{packet{op: OpcodeVersion, key: "k"}, `version status=0x4 close`},
	{packet{op: OpcodeQuit, extras: "e"}, `quit status=0x4 close`},
	{packet{op: OpcodeQuitQ, value: "v"}, `quitq as=quit quiet status=0x4 close`},
	{packet{op: OpcodeStat, extras: extras4(0)}, `stat status=0x4 close`},
	{packet{op: OpcodeStat, key: "items", value: "v"}, `stat status=0x4 close`},
	{packet{op: OpcodeSASLList, key: "k"}, `sasllist status=0x4 close`},
	{packet{op: OpcodeSASLAuth, value: "v"}, `saslauth status=0x4 close`},
	{packet{op: OpcodeGet, key: strings.Repeat("k", 251)}, `get status=0x4 close`},
	{packet{op: 0xff, key: strings.Repeat("k", 251)}, `0xff status=0x4 close`},
	{packet{op: OpcodeSet, extras: extras8(0, 0), key: "k", body: 1 << 30}, `set status=0x4 close`},
	{packet{op: 0xff, body: 1<<30 + 1}, `0xff status=0x4 close`},
	{packet{op: OpcodeSet, extras: extras8(0, 0), key: "k", body: -1}, `set status=0x81 close`},
	{packet{op: OpcodeGet, key: "k", keySize: 1}, `get status=0x81 close`},
	{packet{op: OpcodeGet, key: "k", keySize: 1<<16 - 2}, `get status=0x81 close`},
	{packet{op: 0xff, extras: "e", body: -1}, `0xff status=0x81 close`},
}

func TestOpcodeString(t *testing.T) {
	names := map[string]Opcode{}
	for op := range 256 {
		name := Opcode(op).String()
		if other, ok := names[name]; ok {
			t.Errorf("opcodes %#x and %#x are both called %s", op, uint8(other), name)
		}
		names[name] = Opcode(op)
		s := shapes[op]
		if quiet := s.op != Opcode(op); s.name != "" && (quiet != strings.HasSuffix(name, "q") || quiet && name != s.op.String()+"q") {
			t.Errorf("opcode %#x is called %s, and its loud form %v", op, name, s.op)
		}
	}
	if got := Opcode(0x1b).String(); got != "0x1b" {
		t.Errorf("an opcode that is not served: got %s, want 0x1b", got)
	}
}

func TestBinaryStatusText(t *testing.T) {
	texts := map[string]bool{}
	for _, s := range []BinaryStatus{
		BinaryOK, BinaryNotFound, BinaryExists, BinaryTooLarge, BinaryInvalid, BinaryNotStored, BinaryNotNumeric, BinaryAuthError, BinaryUnknown, BinaryOutOfMemory,
	} {
		if texts[s.Text()] {
			t.Errorf("status %#x: %q is the text of another one too", uint16(s), s.Text())
		}
		texts[s.Text()] = true
	}
}
