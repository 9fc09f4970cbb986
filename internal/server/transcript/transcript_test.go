package transcript

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestParseRefuses(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "no steps"},
		{"# only a comment\n", "no steps"},
		{"> a\nget b\n", `line 2: unknown mark "get"`},
		{">x a\n", `line 1: unknown mark ">x"`},
		{"<x a\n", `line 1: unknown mark "<x"`},
		{"<mf a\n", `line 1: unknown mark "<mf"`},
		{"> a \n", "line 1: white space at the end"},
		{"> a\r\n", "line 1: white space at the end"},
		{`> a\q`, `line 1: escape in "a\\q"`},
		{"<~ (a\n", "line 1: error parsing regexp"},
		{"@ two\n", "line 1: connection number"},
		{"> a\n<m b\n", "line 2: expectation for one server without a comment"},
		{"=b\n> nothing\n", `line 2: unknown command "nothing"`},
		{"=b\n> get kee=k\n", `line 2: unknown field "kee=k"`},
		{"=b\n> get key\n", `line 2: unknown field "key"`},
		{"=b\n> get key=\\q\n", "line 2: escape in"},
		{"=b\n>? get ke\n", `line 2: unknown field "ke"`},
		{"# reason\n> a\n<f b\n", "line 3: expectation for one server without a comment"},
	} {
		if _, err := parse(c.text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("parse(%q): got error %v, want one with %q", c.text, err, c.want)
		}
	}
}

func TestParseSteps(t *testing.T) {
	steps, err := parse("# c\n== title\n\n> a b\n>> c\n>? d\n@ 2\n<\n< e\n<~ f\n<& g\n<* h\n# reason\n<m i\n<f~ j\n<-\n=b packets\n> get\n== lines\n> k\n")
	if err != nil {
		t.Fatal(err)
	}
	want := []step{
		{kind: section, line: 2, text: "title"}, {kind: send, line: 4, text: "a b"}, {kind: sendRaw, line: 5, text: "c"},
		{kind: sendUntil, line: 6, text: "d"}, {kind: connection, line: 7, text: "2"}, {kind: expect, line: 8},
		{kind: expect, line: 9, text: "e"}, {kind: expectMatch, line: 10, text: "f"}, {kind: expectAmong, line: 11, text: "g"},
		{kind: expectMany, line: 12, text: "h"}, {kind: expect, line: 14, only: memcached, text: "i"},
		{kind: expectMatch, line: 15, only: futago, text: "j"}, {kind: expectClose, line: 16},
		{kind: binarySection, line: 17, text: "packets"}, {kind: send, line: 18, text: "get"}, {kind: section, line: 19, text: "lines"}, {kind: send, line: 20, text: "k"},
	}
	if len(steps) != len(want) {
		t.Fatalf("got %d steps, want %d", len(steps), len(want))
	}
	for i := range want {
		if steps[i] != want[i] {
			t.Errorf("step %d: got %+v, want %+v", i, steps[i], want[i])
		}
	}
}

func TestLoadNamesTheFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.txt")
	if _, err := load(file); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("load of a missing file: got %v, want an error with its name", err)
	}
	if err := os.WriteFile(file, []byte("nonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := load(file); err == nil || !strings.Contains(err.Error(), file+": line 1") {
		t.Errorf("load of a bad file: got %v, want an error with name and line", err)
	}
}

// TestTranscriptsParse keeps a broken file from being found only where a server runs.
func TestTranscriptsParse(t *testing.T) {
	files, err := filepath.Glob("../testdata/transcript/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("find transcripts: %d files, %v", len(files), err)
	}
	for _, file := range files {
		if _, err := load(file); err != nil {
			t.Error(err)
		}
	}
}
