package feed

import (
	"bufio"
	"bytes"
	"testing"
)

// What is no event stream ends in an error, not in memory.
func FuzzReadEvent(f *testing.F) {
	f.Add([]byte("id: p\nevent: change\ndata: {\"op\":\"set\"}\n\n"))
	f.Add([]byte(": comment\nid\n\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		in := bufio.NewReaderSize(bytes.NewReader(b), 16)
		for {
			e, err := ReadEvent(in, 64, func() {})
			if err != nil {
				return
			}
			if len(e.ID)+len(e.Name)+len(e.Data) > len(b) {
				t.Fatalf("%q became %+v", b, e)
			}
		}
	})
}

// What a node writes of a change is what a client reads, and nothing else becomes one.
func FuzzParseChange(f *testing.F) {
	for _, text := range []string{
		`{"op":"set","key":"a","flags":1,"expires":5,"stamp":"1","node":1,"time":"x"}`, `{"op":"delete","key_base64":"/wA="}`,
		`{"op":"flush","floor":"7","at":1767326400000}`, `{"op":"set"}`, `{"op":"flush","at":-1}`, `{"op":"set","key":""}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := ParseChange(b)
		if err == nil && (c.Op != "flush" && len(c.Key) == 0 || len(c.Key) > 3*len(b)) {
			t.Fatalf("%q became %+v", b, c)
		}
	})
}

func TestReadAnswer(t *testing.T) {
	a, err := ReadAnswer(bytes.NewBufferString(`{"changes":[{"op":"set","key":"a"},{"op":"flush","at":5}],"end":true,"position":"p"}`), 1000)
	if err != nil || len(a.Changes) != 2 || string(a.Changes[0].Key) != "a" || a.Changes[1].Op != "flush" || a.Changes[1].At != 5 || !a.End || a.Position != "p" {
		t.Errorf("got %+v, %v", a, err)
	}
	for _, text := range []string{`{"changes":[{"op":"set","key":"a"}`, `{"changes":[]}`, `{"changes":[{"op":"set"}],"position":"p"}`, ``, `[]`} {
		if a, err := ReadAnswer(bytes.NewBufferString(text), 1000); err == nil {
			t.Errorf("%q: got %+v", text, a)
		}
	}
	if _, err := ReadAnswer(bytes.NewBufferString(`{"changes":[],"position":"p"}`), 10); err == nil {
		t.Error("a document that is longer than allowed was taken")
	}
}
