package tyrant

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestImportCall(t *testing.T) {
	items := []Item{{Key: k, Value: v, Flags: 7, Expires: 5, Type: []byte("t")}, {Key: []byte("b"), Value: v}}
	request := AppendRequest(nil, &Request{Command: Misc, Name: []byte(MiscImport), Args: list("set", string(k), string(v), "7", "5", "t", "b", string(v), "0", "0", "")})
	reply := func(elements ...string) []byte {
		b := AppendList(nil, true, len(elements))
		for _, e := range elements {
			b = AppendElement(b, []byte(e))
		}
		return b
	}
	for _, tt := range []struct {
		reply    []byte
		outcomes int
		fault    string
		code     Code
	}{
		{reply("100", "stored", "kept"), 2, "", CodeSuccess},
		{reply("100", "stored", "fault: disk is full"), 1, "disk is full", CodeSuccess},
		{reply("100", "stored"), 0, "", CodeRecv},
		{reply("100", "stored", "kept", "kept"), 0, "", CodeRecv},
		{reply("-1", "stored", "kept"), 0, "", CodeRecv},
		{reply(), 0, "", CodeRecv},
		{[]byte(tooLittle), 0, "", CodeMisc},
	} {
		outcomes, maxValue, fault, err := scripted(t, ClientConfig{}, request, tt.reply).Import(StoreAll, items)
		if len(outcomes) != tt.outcomes || CodeOf(err) != tt.code || (fault != nil) != (tt.fault != "") || err == nil && maxValue != 100 {
			t.Errorf("%q: got %q, %d, %v, %v", tt.reply, outcomes, maxValue, fault, err)
		}
	}
}

// tooLittle is the reply to a function that has failed.
const tooLittle = "\x01\x00\x00\x00\x00"

func FuzzItems(f *testing.F) {
	f.Add([]byte("k\nv\n7\n5\nt"))
	f.Add([]byte("k\n\ndamaged\n0\n"))
	f.Add([]byte("k\nv\n-1\n99999999999999999999\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		fields := bytes.Split(text, []byte("\n"))
		if keys := ItemKeys(fields); len(keys) != (len(fields)+itemFields-1)/itemFields {
			t.Errorf("%d keys of %d fields", len(keys), len(fields))
		}
		items, err := DecodeItems(fields)
		if err != nil {
			return
		}
		var again [][]byte
		for i := range items {
			again = AppendItem(again, &items[i])
		}
		decoded, err := DecodeItems(again)
		if err != nil || len(decoded) != len(items) {
			t.Fatalf("%q: %v", again, err)
		}
		for i := range items {
			a, b := &items[i], &decoded[i]
			if !bytes.Equal(a.Key, b.Key) || !bytes.Equal(a.Value, b.Value) || a.Flags != b.Flags || a.Expires != b.Expires || a.Expires < 0 || a.Damaged != b.Damaged {
				t.Errorf("%+v became %+v", a, b)
			}
		}
	})
}

// FuzzItemReplies answers with arbitrary bytes: the client must come to an end.
func FuzzItemReplies(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x00\x02\x00\x00\x00\x03100\x00\x00\x00\x06stored"))
	f.Add([]byte("\x00\x00\x00\x00\x01\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, reply []byte) {
		client := func() *Client {
			return NewClient(readConn{bytes.NewReader(reply)}, ClientConfig{MaxReply: 1 << 20})
		}
		outcomes, _, fault, err := client().Import(StoreAll, []Item{{Key: k}})
		if err == nil && fault == nil && len(outcomes) != 1 {
			t.Errorf("got outcomes %q", outcomes)
		}
		_, _, err = client().Export("", nil, 1)
		if err != nil && !errors.Is(err, CodeRecv) && !errors.Is(err, CodeMisc) || errors.Is(err, io.EOF) && !strings.Contains(err.Error(), "EOF") {
			t.Errorf("got %v", err)
		}
	})
}
