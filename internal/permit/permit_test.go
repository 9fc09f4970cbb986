package permit

import (
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"github.com/futago/futago/internal/memcache"
	"github.com/futago/futago/internal/users"
)

// person returns a user of a file with this line.
func person(t *testing.T, options string) *users.User {
	t.Helper()
	table, err := users.Parse("users", []byte("foo:! "+options))
	if err != nil {
		t.Fatal(err)
	}
	return table.User("foo")
}

// rights are all sets of them but the empty one.
var rights = []string{"read", "write", "read,write", "admin", "read,admin", "write,admin", "read,write,admin"}

// Every command is let through exactly with the rights that it needs, and with a key only where that begins with a prefix.
func TestText(t *testing.T) {
	for line, needs := range map[string]users.Rights{
		"version": 0, "quit": 0, "mn": 0, "bogus": 0,
		"get a b": users.Read, "gets a": users.Read, "mg a v": users.Read, "me a": users.Read, "stats": users.Read, "stats items": users.Read,
		"gat 0 a": users.Read | users.Write, "gats 0 a": users.Read | users.Write, "incr a 1": users.Read | users.Write, "decr a 1": users.Read | users.Write,
		"mg a T1": users.Read | users.Write, "mg a N1": users.Read | users.Write, "mg a R1": users.Read | users.Write, "ma a v": users.Read | users.Write,
		"ma a": users.Write, "delete a": users.Write, "touch a 0": users.Write, "md a": users.Write, "ms a 1": users.Write, "set a 0 0 1": users.Write,
		"add a 0 0 1": users.Write, "replace a 0 0 1": users.Write, "append a 0 0 1": users.Write, "prepend a 0 0 1": users.Write, "cas a 0 0 1 1": users.Write,
		"set a 0 0 99999999": users.Write, // refused, but the old value goes
		"flush_all":          users.Admin, "verbosity 1": users.Admin, "stats reset": users.Admin, "stats conns": users.Admin, "refresh_certs": users.Admin,
		"lru_crawler metadump all": users.Admin, "cache_memlimit 64": users.Admin, "shutdown": users.Admin,
	} {
		var d memcache.Decoder
		var r memcache.Request
		if _, _, err := d.Decode([]byte(line+"\r\nx\r\n"), &r); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		for _, text := range rights {
			u := person(t, "rights="+text)
			if got, want := Text(u, &r), u.Has(needs); got != want {
				t.Errorf("%s with %s: got %v, want %v", line, text, got, want)
			}
		}
		if Text(nil, &r) {
			t.Errorf("%s by nobody: got that it is let through", line)
		}
		keyed := r.Op != memcache.OpStats && needs != 0 && needs != users.Admin
		if got := Text(person(t, "rights=read,write,admin prefix=b"), &r); got == keyed {
			t.Errorf("%s of a key without the prefix: got %v", line, got)
		}
		if !Text(person(t, "rights=read,write,admin prefix=b prefix=a"), &r) {
			t.Errorf("%s with prefixes for its keys: got that it is denied", line)
		}
	}
}

// packet is a request with these extras, key and value.
func packet(op memcache.Opcode, extras int, key, value string) []byte {
	b := make([]byte, 24+extras)
	b[0], b[1], b[3], b[4] = 0x80, byte(op), byte(len(key)), byte(extras)
	binary.BigEndian.PutUint32(b[8:], uint32(extras+len(key)+len(value)))
	return append(append(b, key...), value...)
}

func TestBinary(t *testing.T) {
	for _, x := range []struct {
		op     memcache.Opcode
		extras int
		key    string
		value  string
		needs  users.Rights
	}{
		{memcache.OpcodeVersion, 0, "", "", 0}, {memcache.OpcodeNoop, 0, "", "", 0}, {memcache.OpcodeQuit, 0, "", "", 0},
		{memcache.OpcodeSASLList, 0, "", "", 0}, {memcache.OpcodeSASLAuth, 0, "PLAIN", "x", 0}, {memcache.OpcodeSASLStep, 0, "PLAIN", "x", 0},
		{memcache.OpcodeGet, 0, "a", "", users.Read}, {memcache.OpcodeGetKQ, 0, "a", "", users.Read}, {memcache.OpcodeStat, 0, "", "", users.Read}, {memcache.OpcodeStat, 0, "items", "", users.Read},
		{memcache.OpcodeGat, 4, "a", "", users.Read | users.Write}, {memcache.OpcodeIncr, 20, "a", "", users.Read | users.Write}, {memcache.OpcodeDecr, 20, "a", "", users.Read | users.Write},
		{memcache.OpcodeSet, 8, "a", "x", users.Write}, {memcache.OpcodeAdd, 8, "a", "x", users.Write}, {memcache.OpcodeReplace, 8, "a", "x", users.Write},
		{memcache.OpcodeAppend, 0, "a", "x", users.Write}, {memcache.OpcodePrepend, 0, "a", "x", users.Write}, {memcache.OpcodeDelete, 0, "a", "", users.Write}, {memcache.OpcodeTouch, 4, "a", "", users.Write},
		{memcache.OpcodeFlush, 0, "", "", users.Admin}, {memcache.OpcodeStat, 0, "reset", "", users.Admin},
	} {
		var d memcache.BinaryDecoder
		var r memcache.BinaryRequest
		if _, _, err := d.Decode(packet(x.op, x.extras, x.key, x.value), &r); err != nil || r.Status != memcache.BinaryOK {
			t.Fatalf("opcode %#x: %v, status %#x", x.op, err, r.Status)
		}
		for _, text := range rights {
			u := person(t, "rights="+text)
			if got, want := Binary(u, &r), u.Has(x.needs); got != want {
				t.Errorf("opcode %#x, key %q with %s: got %v, want %v", x.op, x.key, text, got, want)
			}
		}
		if Binary(nil, &r) {
			t.Errorf("opcode %#x by nobody: got that it is let through", x.op)
		}
		if got, keyed := Binary(person(t, "rights=read,write,admin prefix=b"), &r), x.key == "a"; got == keyed {
			t.Errorf("opcode %#x, key %q without the prefix: got %v", x.op, x.key, got)
		}
	}
}

func TestSASL(t *testing.T) {
	const ok, more, bad = memcache.BinaryOK, memcache.BinaryAuthContinue, memcache.BinaryAuthError
	var s SASL
	for i, x := range []struct {
		op              memcache.Opcode
		mechanism, data string
		want            memcache.BinaryStatus
	}{
		{memcache.OpcodeSASLStep, "PLAIN", "\x00foo\x00bar", bad}, {memcache.OpcodeSASLAuth, "CRAM-MD5", "", bad}, {memcache.OpcodeSASLAuth, "PLAIN", "foo", bad},
		{memcache.OpcodeSASLAuth, "PLAIN", "you\x00foo\x00bar", bad}, {memcache.OpcodeSASLAuth, "PLAIN", "\x00foo\x00bar", ok},
		{memcache.OpcodeSASLAuth, "PLAIN", "", more}, {memcache.OpcodeSASLStep, "PLAIN", "foo\x00foo\x00bar", ok}, {memcache.OpcodeSASLStep, "PLAIN", "\x00foo\x00bar", bad},
	} {
		name, password, status := s.Read(&memcache.BinaryRequest{Op: x.op, Key: []byte(x.mechanism), Value: []byte(x.data)})
		if status != x.want || status == ok && (string(name) != "foo" || string(password) != "bar") {
			t.Errorf("packet %d: got %q, %q and status %#x, want %#x", i, name, password, status, x.want)
		}
	}
}

func TestAnswers(t *testing.T) {
	for _, x := range []struct {
		err    error
		line   string
		status memcache.BinaryStatus
	}{
		{nil, "STORED\r\n", memcache.BinaryOK},
		{users.ErrWrong, "CLIENT_ERROR authentication failure\r\n", memcache.BinaryAuthError},
		{fmt.Errorf("look: %w", users.ErrWrong), "CLIENT_ERROR authentication failure\r\n", memcache.BinaryAuthError},
		{errors.New("busy"), "SERVER_ERROR busy\r\n", memcache.BinaryOutOfMemory},
	} {
		if got := string(AppendLogin(nil, x.err)); got != x.line {
			t.Errorf("%v: got %q, want %q", x.err, got, x.line)
		}
		if b := AppendSASL(nil, memcache.Echo{}, x.err); memcache.BinaryStatus(binary.BigEndian.Uint16(b[6:])) != x.status {
			t.Errorf("%v: got %x, want status %#x", x.err, b, x.status)
		}
	}
}
