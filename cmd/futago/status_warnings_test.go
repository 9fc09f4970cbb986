package main

import (
	"strings"
	"testing"
)

// A node that is solo, or refuses writes, is named below the table.
func TestStatusWarnings(t *testing.T) {
	var documents []statusDocument
	for _, x := range []struct{ admin, body string }{
		{"a:1", `{"store":{"refusal":""},"acknowledgement":{"mode":"peer","solo":true,"solo_reason":"link to the peer is closed"}}`},
		{"b:1", `{"store":{"refusal":"not stored"},"acknowledgement":{"mode":"strict","solo":false,"refusal":"not stored"}}`},
		{"c:1", `{"store":{"refusal":""},"acknowledgement":{"mode":"peer","solo":false}}`},
		{"d:1", `{"state":"recovering"}`},
	} {
		d, err := decodeStatus([]byte(x.body))
		if err != nil {
			t.Fatal(err)
		}
		d.admin = x.admin
		documents = append(documents, d)
	}
	var out strings.Builder
	if err := printStatusTable(&out, documents); err != nil {
		t.Fatal(err)
	}
	want := "\nwarnings\na:1  SOLO: writes are acknowledged without a peer: link to the peer is closed\nb:1  writes are refused: not stored\n"
	if !strings.HasSuffix(out.String(), want) {
		t.Errorf("got\n%s\nwant it to end with\n%s", &out, want)
	}
	out.Reset()
	if err := printStatusTable(&out, documents[2:]); err != nil || strings.Contains(out.String(), "warnings") {
		t.Errorf("without anything wrong: got %v and\n%s", err, &out)
	}
}
