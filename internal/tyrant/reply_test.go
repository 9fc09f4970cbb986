package tyrant

import (
	"bytes"
	"math"
	"testing"
)

func TestAppendReplies(t *testing.T) {
	began, at := BeginList([]byte("before"))
	began = AppendRecord(began, []byte("k"), []byte("value"))
	began = append(AppendRecordHead(began, nil, 2), "vv"...)
	EndList(began, at, true, 2)
	none, at := BeginList(nil)
	EndList(none, at, false, 0)
	tests := []struct {
		name string
		got  []byte
		want string
	}{
		{"done", AppendStatus(nil, true), "00"},
		{"failed", AppendStatus(nil, false), "01"},
		{"size", AppendSize(nil, 258), "00 00000102"},
		{"value", AppendValue(nil, []byte("value")), "00 00000005 'value'"},
		{"empty value", AppendValue(nil, nil), "00 00000000"},
		{"int", AppendInt(nil, -2), "00 FFFFFFFE"},
		{"double", AppendDouble(nil, -0.75), "00 0000000000000000 FFFFFF5160843400"},
		{"NaN", AppendDouble(nil, math.NaN()), "00 8000000000000000 8000000000000000"},
		{"count", AppendCount(nil, 1<<40+5), "00 0000010000000005"},
		{"empty list", AppendList(nil, true, 0), "00 00000000"},
		{"failed list", AppendList(nil, false, 0), "01 00000000"},
		{"keys", AppendElement(AppendElement(AppendList(nil, true, 2), []byte("key")), nil), "00 00000002 00000003 'key' 00000000"},
		{"begun list", began, "'before' 00 00000002 00000001 00000005 'kvalue' 00000000 00000002 'vv'"},
		{"begun and failed list", none, "01 00000000"},
		{"two replies", AppendStatus(AppendInt(nil, 1), false), "00 00000001 01"},
	}
	for _, tt := range tests {
		if want := bytesOf(t, tt.want); !bytes.Equal(tt.got, want) {
			t.Errorf("%s: got %x, want %x", tt.name, tt.got, want)
		}
	}
}
