package server

import (
	"encoding/binary"
	"io"
	"strings"
	"testing"
)

// saslPacket is a request of the binary protocol with this opaque.
func saslPacket(opcode byte, opaque uint32, extras, key, value string) string {
	b := make([]byte, 24, 24+len(extras)+len(key)+len(value))
	b[0], b[1], b[4] = 0x80, opcode, byte(len(extras))
	binary.BigEndian.PutUint16(b[2:], uint16(len(key)))
	binary.BigEndian.PutUint32(b[8:], uint32(len(extras)+len(key)+len(value)))
	binary.BigEndian.PutUint32(b[12:], opaque)
	return string(b) + extras + key + value
}

// expectPacket wants a reply with this status, and this body behind the extras.
func (c *client) expectPacket(opcode byte, opaque uint32, status uint16, body string) {
	c.t.Helper()
	header := make([]byte, 24)
	if _, err := io.ReadFull(c.r, header); err != nil {
		c.t.Fatalf("reply to %#x, number %d: %v", opcode, opaque, err)
	}
	rest := make([]byte, binary.BigEndian.Uint32(header[8:]))
	if _, err := io.ReadFull(c.r, rest); err != nil {
		c.t.Fatal(err)
	}
	rest = rest[header[4]:]
	if header[0] != 0x81 || header[1] != opcode || binary.BigEndian.Uint32(header[12:]) != opaque || binary.BigEndian.Uint16(header[6:]) != status || string(rest) != body {
		c.t.Fatalf("got %x %q, want opcode %#x, number %d, status %#x, %q", header, rest, opcode, opaque, status, body)
	}
}

const (
	opGet, opSet, opDelete, opQuit, opFlush, opNoop, opVersion, opStat = 0x00, 0x01, 0x04, 0x07, 0x08, 0x0a, 0x0b, 0x10
	opList, opAuth, opStep                                             = 0x20, 0x21, 0x22
	flagsAndTime                                                       = "\x00\x00\x00\x00\x00\x00\x00\x00"
)

func TestSASL(t *testing.T) {
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		for _, size := range []int{1 << 20, 1, 29} {
			people, _ := openUsers(t, "foo prefix=a:", "reader rights=read")
			s := startServer(t, openStore(t, nil), func(c *Config) {
				c.Users = people
				carrier(c)
			})
			c := dial(t, s)
			input := saslPacket(opVersion, 1, "", "", "") + saslPacket(opList, 2, "", "", "") + saslPacket(opStep, 3, "", "PLAIN", "\x00foo\x00secret") +
				saslPacket(opAuth, 4, "", "CRAM-MD5", "") + saslPacket(opAuth, 5, "", "PLAIN", "\x00foo\x00wrong") + saslPacket(opAuth, 6, "", "PLAIN", "foo") +
				saslPacket(opAuth, 7, "", "PLAIN", "bar\x00foo\x00secret") + saslPacket(opAuth, 8, "", "PLAIN", "") + saslPacket(opStep, 9, "", "PLAIN", "foo\x00foo\x00secret") +
				saslPacket(opSet, 10, flagsAndTime, "a:k", "value") + saslPacket(opGet, 11, "", "a:k", "") + saslPacket(opGet, 12, "", "b:k", "") +
				saslPacket(opSet, 13, flagsAndTime, "b:k", "value") + saslPacket(opFlush, 14, "", "", "") + saslPacket(opStat, 15, "", "resetting", "") +
				saslPacket(opAuth, 16, "", "PLAIN", "\x00reader\x00secret") + saslPacket(opDelete, 17, "", "a:k", "") + saslPacket(opNoop, 18, "", "", "") + saslPacket(opQuit, 19, "", "", "")
			for rest := input; rest != ""; {
				n := min(size, len(rest))
				c.send(rest[:n])
				rest = rest[n:]
			}
			const failure, denied = "Auth failure.", "Permission denied"
			c.expectPacket(opVersion, 1, 0, "0.1.0")
			c.expectPacket(opList, 2, 0, "PLAIN")
			c.expectPacket(opStep, 3, 0x20, failure)
			c.expectPacket(opAuth, 4, 0x20, failure)
			c.expectPacket(opAuth, 5, 0x20, failure)
			c.expectPacket(opAuth, 6, 0x20, failure)
			c.expectPacket(opAuth, 7, 0x20, failure)
			c.expectPacket(opAuth, 8, 0x21, "")
			c.expectPacket(opStep, 9, 0, "Authenticated")
			c.expectPacket(opSet, 10, 0, "")
			c.expectPacket(opGet, 11, 0, "value")
			c.expectPacket(opGet, 12, 0x04, denied)
			c.expectPacket(opSet, 13, 0x04, denied)
			c.expectPacket(opFlush, 14, 0x04, denied)
			c.expectPacket(opStat, 15, 0x04, denied)
			c.expectPacket(opAuth, 16, 0, "Authenticated")
			c.expectPacket(opDelete, 17, 0x04, denied)
			c.expectPacket(opNoop, 18, 0, "")
			c.expectPacket(opQuit, 19, 0, "")
			c.expectEnd()
		}
	})
}

// Before authentication a packet is refused by its header and ends the connection, however much it announces.
func TestSASLIsDemanded(t *testing.T) {
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		people, path := openUsers(t, "foo")
		s := startServer(t, openStore(t, nil), func(c *Config) {
			c.Users = people
			carrier(c)
		})
		for _, opcode := range []byte{opGet, opSet, opFlush, opNoop, opQuit, opStat, 0x1b, 0xff} {
			c := dial(t, s)
			c.send(saslPacket(opcode, 7, flagsAndTime, "k", strings.Repeat("v", 5000))[:24])
			c.expectPacket(opcode, 7, 0x20, "Auth failure.")
			c.expectEnd()
		}
		c := dial(t, s)
		c.send(saslPacket(opAuth, 1, "", "PLAIN", "\x00foo\x00secret") + saslPacket(opNoop, 2, "", "", ""))
		c.expectPacket(opAuth, 1, 0, "Authenticated")
		c.expectPacket(opNoop, 2, 0, "")
		writeUsers(t, path, "other")
		if err := rereadUsers(people); err != nil {
			t.Fatal(err)
		}
		c.send(saslPacket(opNoop, 3, "", "", ""))
		c.expectPacket(opNoop, 3, 0x20, "Auth failure.")
		c.expectEnd()
	})
}
