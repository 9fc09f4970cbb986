package tyrant

import (
	"bytes"
	"encoding/hex"
	"math"
	"strings"
	"testing"
)

// bytesOf reads hex digits; blanks and all that stands in quotes between them are as they are.
func bytesOf(t testing.TB, s string) []byte {
	t.Helper()
	var b []byte
	for i, part := range strings.Split(s, "'") {
		if i%2 == 1 {
			b = append(b, part...)
			continue
		}
		raw, err := hex.DecodeString(strings.ReplaceAll(part, " ", ""))
		if err != nil {
			t.Fatalf("bytes %q: %v", s, err)
		}
		b = append(b, raw...)
	}
	return b
}

func list(elements ...string) [][]byte {
	var l [][]byte
	for _, e := range elements {
		l = append(l, []byte(e))
	}
	return l
}

var (
	k, v = []byte("key"), []byte("value")
)

// goldenRequests has one request of every command.
var goldenRequests = []struct {
	request Request
	wire    string
}{
	{Request{Command: Put, Key: k, Value: v}, "C8 10 00000003 00000005 'keyvalue'"},
	{Request{Command: PutKeep, Key: k, Value: v}, "C8 11 00000003 00000005 'keyvalue'"},
	{Request{Command: PutCat, Key: k, Value: v}, "C8 12 00000003 00000005 'keyvalue'"},
	{Request{Command: PutShl, Key: k, Value: v, Width: 258}, "C8 13 00000003 00000005 00000102 'keyvalue'"},
	{Request{Command: PutNR, Key: k, Value: v}, "C8 18 00000003 00000005 'keyvalue'"},
	{Request{Command: Out, Key: k}, "C8 20 00000003 'key'"},
	{Request{Command: Get, Key: k}, "C8 30 00000003 'key'"},
	{Request{Command: MGet, Args: list("key", "", "k")}, "C8 31 00000003 00000003 'key' 00000000 00000001 'k'"},
	{Request{Command: VSiz, Key: k}, "C8 38 00000003 'key'"},
	{Request{Command: IterInit}, "C8 50"},
	{Request{Command: IterNext}, "C8 51"},
	{Request{Command: FwmKeys, Key: k, Max: -1}, "C8 58 00000003 FFFFFFFF 'key'"},
	{Request{Command: AddInt, Key: k, Num: -2}, "C8 60 00000003 FFFFFFFE 'key'"},
	{Request{Command: AddDouble, Key: k, Double: DoubleOf(-1.75)}, "C8 61 00000003 FFFFFFFFFFFFFFFF FFFFFF5160843400 'key'"},
	{Request{Command: Ext, Name: []byte("func"), Options: ExtLockGlobal, Key: k, Value: v}, "C8 68 00000004 00000002 00000003 00000005 'funckeyvalue'"},
	{Request{Command: Sync}, "C8 70"},
	{Request{Command: Optimize, Text: []byte("bnum=1")}, "C8 71 00000006 'bnum=1'"},
	{Request{Command: Vanish}, "C8 72"},
	{Request{Command: Copy, Text: []byte("/x.tch")}, "C8 73 00000006 '/x.tch'"},
	{Request{Command: Restore, Text: []byte("/log"), Time: 1 << 40, Options: CheckResults}, "C8 74 00000004 0000010000000000 00000001 '/log'"},
	{Request{Command: SetMst, Text: []byte("host"), Port: 1978, Time: 5}, "C8 78 00000004 000007BA 0000000000000005 00000000 'host'"},
	{Request{Command: RNum}, "C8 80"},
	{Request{Command: Size}, "C8 81"},
	{Request{Command: Stat}, "C8 88"},
	{Request{Command: Misc, Name: []byte("putlist"), Options: MiscNoLog, Args: list("key", "value")}, "C8 90 00000007 00000001 00000002 'putlist' 00000003 'key' 00000005 'value'"},
	{Request{Command: Repl, Time: 1, SID: 2}, "C8 A0 0000000000000001 00000002"},
}

func TestAppendRequest(t *testing.T) {
	for _, g := range goldenRequests {
		want := bytesOf(t, g.wire)
		if got := AppendRequest([]byte("x"), &g.request); !bytes.Equal(got[1:], want) {
			t.Errorf("append %s:\ngot  %x\nwant %x", describe(&g.request), got[1:], want)
		}
	}
}

func TestAppendRequestOfNoCommand(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("append a request without a command: no panic")
		}
	}()
	AppendRequest(nil, &Request{})
}

// FuzzRequest sends what a client can ask for to the decoder: it must read one request, with the same content.
func FuzzRequest(f *testing.F) {
	for _, g := range goldenRequests {
		r := &g.request
		f.Add(uint8(r.Command), r.Key, r.Value, r.Name, r.Text, bytes.Join(r.Args, []byte{0}), r.Num, r.Options, r.Time, 0.5)
	}
	f.Fuzz(func(t *testing.T, c uint8, key, value, name, text, args []byte, number int32, options uint32, micros int64, sum float64) {
		s := &shapes[c]
		if s.name == "" || number < 0 || len(name) > maxName || len(key) > DefaultMaxKey || len(text) > DefaultMaxKey {
			return
		}
		want := Request{Command: Command(c)}
		for _, f := range s.fields {
			switch f {
			case fieldKey:
				want.Key = key
			case fieldValue:
				want.Value = value
			case fieldName:
				want.Name = name
			case fieldText:
				want.Text = text
			case fieldList:
				want.Args = bytes.Split(args, []byte{0})
			case fieldWidth:
				want.Width = number
			case fieldNum:
				want.Num = -number
			case fieldMax:
				want.Max = -number
			case fieldPort:
				want.Port = number
			case fieldOptions:
				want.Options = options
			case fieldSID:
				want.SID = uint32(max(number, 1))
				want.Time = max(want.Time, 1)
			case fieldTime:
				want.Time = micros
			case fieldDouble:
				want.Double = DoubleOf(sum)
			}
		}
		b := AppendRequest(nil, &want)
		var d Decoder
		var got Request
		n, _, err := d.Decode(append(b, b...), &got)
		if n != len(b) || err != nil || describe(&got) != describe(&want) {
			t.Fatalf("decode %x: %d, %v\ngot  %s\nwant %s", b, n, err, describe(&got), describe(&want))
		}
		if !math.IsNaN(sum) && math.Abs(sum) < 1<<50 && math.Abs(got.Double.Float64()-want.Double.Float64()) > 1e-11 {
			t.Fatalf("decode the number %v: got %v", sum, got.Double.Float64())
		}
	})
}
