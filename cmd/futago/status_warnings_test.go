package main

import (
	"strings"
	"testing"
)

// What nodes warn of stands below the table, with what to do.
func TestStatusWarnings(t *testing.T) {
	var documents []statusDocument
	for _, x := range []struct{ admin, body string }{
		{"a:1", `{"warnings":[{"level":"error","text":"first","advice":"Do this."},{"level":"warn","text":"second","advice":"Do that."}]}`},
		{"b:1", `{"warnings":[{"level":"warn","text":"third","advice":"Wait."}]}`},
		{"c:1", `{"warnings":[]}`},
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
	if err := printStatusSummary(&out, documents); err != nil {
		t.Fatal(err)
	}
	want := "\nwarnings\na:1  first\n     Do this.\na:1  second\n     Do that.\nb:1  third\n     Wait.\n"
	if !strings.HasSuffix(out.String(), want) || strings.Contains(out.String(), "warnings.0") {
		t.Errorf("got\n%s\nwant it to end with\n%s", &out, want)
	}
	out.Reset()
	if err := printStatusSummary(&out, documents[2:]); err != nil || strings.Contains(out.String(), "warnings") {
		t.Errorf("without anything wrong: got %v and\n%s", err, &out)
	}
}
