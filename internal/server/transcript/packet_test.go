package transcript

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"testing"
)

func TestPacket(t *testing.T) {
	p := player{vars: map[string]string{"u": "258"}}
	zeros := func(n int) string { return strings.Repeat("\x00", n) }
	for text, want := range map[string]string{
		"noop":               "\x80\x0a" + zeros(22),
		"get key=k":          "\x80\x00\x00\x01" + zeros(7) + "\x01" + zeros(12) + "k",
		"getkq key=${k*256}": "\x80\x0d\x01\x00" + zeros(6) + "\x01\x00" + zeros(12) + strings.Repeat("k", 256),
		"set opaque=0x01020304 cas=${u} flags=7 exptime=60 key=k value=a b\\x00": "\x80\x01\x00\x01\x08" + zeros(6) + "\x0d\x01\x02\x03\x04" + zeros(6) + "\x01\x02" + zeros(3) + "\x07" + zeros(3) + "\x3cka b\x00",
		"incrq delta=1 initial=2 exptime=0xffffffff key=k":                       "\x80\x15\x00\x01\x14" + zeros(6) + "\x15" + zeros(12) + zeros(7) + "\x01" + zeros(7) + "\x02\xff\xff\xff\xffk",
		"touch exptime=1 key=k": "\x80\x1c\x00\x01\x04" + zeros(6) + "\x05" + zeros(12) + zeros(3) + "\x01k",
		"flush":                 "\x80\x08" + zeros(22),
		"flush exptime=1":       "\x80\x08\x00\x00\x04" + zeros(6) + "\x04" + zeros(12) + zeros(3) + "\x01",
		"append key=k value=v":  "\x80\x0e\x00\x01" + zeros(7) + "\x02" + zeros(12) + "kv",
		"set extras= key=k":     "\x80\x01\x00\x01" + zeros(7) + "\x01" + zeros(12) + "k",
		"0xfe extras=a1b2 magic=0x81 keysize=3 extrasize=4 bodysize=5 datatype=6 vbucket=7": "\x81\xfe\x00\x03\x04\x06\x00\x07\x00\x00\x00\x05" + zeros(12) + "\xa1\xb2",
	} {
		if got, err := p.packet(text); err != nil || got != want {
			t.Errorf("packet %q: got %q and %v\nwant %q", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"get opaque=x": "field opaque", "get extras=0": "field extras", "get key=${none}": "unknown variable", "nothing": "unknown command",
	} {
		if _, err := p.packet(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("packet %q: got error %v, want one with %q", text, err, want)
		}
	}
}

func TestReadPacket(t *testing.T) {
	reply := func(head string, rest string) string { return "\x81" + head + rest }
	for _, c := range []struct{ in, want, err string }{
		{reply("\x0a\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", "\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00"), lastReply, ""},
		{reply("\x0c\x00\x01\x04\x00\x00\x00\x00\x00\x00\x07", "\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00kv\n"), "getk opaque=5 cas=258 flags=0 key=k value=v\n", ""},
		{reply("\x05\x00\x00\x00\x00\x00\x00\x00\x00\x00\x08", "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x0a"), "incr number=10", ""},
		{reply("\x05\x00\x00\x00\x00\x00\x06\x00\x00\x00\x08", "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x0012345678"), "incr status=0x6 value=12345678", ""},
		{reply("\xfe\x00\x00\x02\x09\x01\x00\x00\x00\x00\x02", "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xa1\xb2"), "0xfe datatype=9 status=0x100 extras=a1b2", ""},
		{"\x80" + strings.Repeat("\x00", 23), "", "first byte"},
		{reply("\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x01", strings.Repeat("\x00", 13)), "", "bad sizes"},
		{reply("\x00\x00\x00\x00\x00\x00\x00\xff\xff\xff\xff", strings.Repeat("\x00", 13)), "", "bad sizes"},
		{reply("\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02", strings.Repeat("\x00", 13)), "", "read the body"},
		{"\x81", "", "unexpected EOF"},
		{"", "", "EOF"},
	} {
		got, err := readPacket(strings.NewReader(c.in))
		if string(got) != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("read %q: got %q and %v, want %q and %q", c.in, got, err, c.want, c.err)
		}
	}
}

// mirror sends each packet back as its own reply, until a quit.
func mirror(c net.Conn) {
	r := bufio.NewReader(c)
	for {
		head := make([]byte, packetHeader)
		if _, err := io.ReadFull(r, head); err != nil || head[1] == 0x07 {
			return
		}
		body := make([]byte, binary.BigEndian.Uint32(head[8:]))
		if _, err := io.ReadFull(r, body); err != nil {
			return
		}
		head[0] = 0x81
		if _, err := c.Write(bytes.Join([][]byte{head, body}, nil)); err != nil {
			return
		}
	}
}

func TestReplayPackets(t *testing.T) {
	addr := startServer(t, mirror)
	for _, c := range []struct{ name, text, want string }{
		{"packet", "> get key=k opaque=5\n< get opaque=5 key=k", ""},
		{"wrong packet", "> get key=k opaque=5\n< get opaque=6 key=k", `3: got "get opaque=5 key=k\r\n"`},
		{"two", "> get key=k\n> append key=k value=v w\n< get key=k\n< append key=k value=v w", ""},
		{"line end in a value", "> append key=k value=a\\r\\nb\n< append key=k value=a\\r\\nb", ""},
		{"raw", ">> \\x80\\x0a${\\x00*22}\n< noop", ""},
		{"reply too many", "> get key=k", `got ["get key=k"], want nothing more`},
		{"variable", "> get key=k cas=77\n<~ get cas=(?P<u>\\d+) key=k\n> noop cas=${u}\n< noop cas=77", ""},
		{"many", "> get key=a\n> get key=b\n> noop\n<& get key=b\n<* get .*\n< noop", ""},
		{"until", ">? get key=k\n< get key=k", ""},
		{"close", "> quit\n<-", ""},
		{"close that is none", "> noop\n<-", `3: got "noop\r\n"`},
		{"unknown variable", "> get key=${u}", "2: unknown variable"},
	} {
		t.Run(c.name, func(t *testing.T) { checkReplay(t, addr, "=b\n"+c.text, c.want) })
	}
}
