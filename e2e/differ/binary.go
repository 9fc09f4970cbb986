//go:build linux

package main

import (
	"strings"
)

// quietOps are the commands that have a quiet form.
var quietOps = map[byte]byte{
	0: 9, 1: 0x11, 2: 0x12, 3: 0x13, 4: 0x14, 5: 0x15, 6: 0x16, 8: 0x18, 0x0c: 0x0d, 0x0e: 0x19, 0x0f: 0x1a, 0x1d: 0x1e, 0x23: 0x24,
}

// binary is a request of the binary protocol.
func (g *generator) binary(r *request) {
	if g.one(60) {
		r.text = pick(g, "get t0\r\n", "\x81"+strings.Repeat("\x00", 23), "\x00", "\r\n")
		return
	}
	key := g.key()
	p := &packet{opaque: uint32(g.IntN(3))}
	r.packet = p
	p.op = pick[byte](g, 0, 0, 1, 1, 1, 2, 3, 4, 5, 5, 6, 7, 8, 9, 9, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 0x10, 0x11, 0x11, 0x12, 0x13, 0x14, 0x15,
		0x16, 0x17, 0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1c, 0x1d, 0x1d, 0x1e, 0x1e, 0x1f, 0x20, 0x21, 0x22, 0x23, 0x23, 0x24, 0x24, 0x25, 0x30, 0x40, 0xff)
	if g.one(2) { // the common ones more often
		p.op = pick[byte](g, 0, 1, 2, 3, 4, 5, 9, 0x0c, 0x0d, 0x11, 0x1c, 0x1d)
	}
	if q, ok := quietOps[p.op]; ok && g.one(g.hush) {
		p.op = q
	}
	if (p.op == 7 || p.op == 0x17) && !g.one(5) {
		p.op = 0
	}
	p.key = keys[key]
	if g.one(60) {
		p.key = pick(g, strings.Repeat("k", 251), "a b", "", "x\r\n")
	}
	p.cas = pick(g, "", "", "", "", "", "${"+uniqueOf(key)+"}", "${last}", unseen, newest)
	exptime := pick[uint32](g, 0, 0, 100, 2592000, 2592001, 1<<31-1, 1<<31, 1<<32-1)
	if g.expires && g.one(2) {
		exptime = pick[uint32](g, 2, 3)
	}
	switch p.op {
	case 1, 2, 3, 0x11, 0x12, 0x13:
		p.extras = bigEndian(uint64(pick[uint32](g, 0, 1, 1<<31, 1<<32-1)), 4)
		p.extras = append(p.extras, bigEndian(uint64(exptime), 4)...)
		p.value = g.value(key)
	case 0x0e, 0x0f, 0x19, 0x1a:
		if isNumberKey(key) {
			p.key = keys[numberKeys]
		}
		p.value = g.part()
	case 5, 6, 0x15, 0x16:
		if !isNumberKey(key) && (p.op == 6 || p.op == 0x16) {
			p.key, key = keys[0], 0
		}
		delta, initial := pick[uint64](g, 0, 1), pick[uint64](g, 1, 5)
		if isNumberKey(key) {
			delta, initial = pick[uint64](g, 0, 1, 9, 10, 100, 1<<63, 1<<64-1), pick[uint64](g, 0, 1, 10, 1<<64-1)
		}
		p.extras = append(bigEndian(delta, 8), bigEndian(initial, 8)...)
		p.extras = append(p.extras, bigEndian(uint64(exptime), 4)...)
	case 0x1c, 0x1d, 0x1e, 0x23, 0x24:
		p.extras = bigEndian(uint64(exptime), 4)
	case 7, 0x17, 0x0a, 0x0b, 0x20, 0x1b, 0x1f, 0x25, 0x30, 0x40, 0xff:
		p.key = "" // unknown ones with a key are not compared
	case 8, 0x18:
		p.key = ""
		if g.expires {
			p.extras = bigEndian(pick[uint64](g, 0, 2, 3, 3, 2592000), 4)
		} else if g.one(2) {
			p.extras = bigEndian(0, 4)
		}
	case 0x10:
		p.key = pick(g, "bogus", "reset", "reset", "detail", "detail on", "detail off")
	case 0x21, 0x22:
		p.key, p.value = pick(g, "PLAIN", "X"), "\x00u\x00p"
	}
	if g.one(30) {
		p.vbucket, p.datatype = uint16(g.IntN(3)), byte(g.IntN(3))
	}
	if g.one(60) {
		switch g.IntN(6) {
		case 0:
			p.extras = append(p.extras, 0)
		case 1:
			p.extras = nil
		case 2:
			p.value += "v"
		case 3:
			p.keySize = pick(g, 1, -1, 300)
		case 4:
			p.bodySize = pick(g, 1, -1, -24)
		case 5:
			p.extrasSize = pick(g, 1, 4)
		}
	}
}

func bigEndian(v uint64, size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(v >> (8 * (size - 1 - i)))
	}
	return b
}
