package main

import (
	"os"
	"strings"
	"testing"
)

// TestPage: the page has what the program prints.
func TestPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/design/sharding.md")
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := run(nil, &out); err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(strings.TrimSpace(out.String()), "\n\n")
	if len(parts) != 4 {
		t.Fatalf("got %d parts, want a line and three tables:\n%s", len(parts), out.String())
	}
	for _, part := range parts {
		if !strings.Contains(string(page), "\n"+part+"\n") {
			t.Errorf("docs/design/sharding.md lacks this, as `go run ./scripts/shardsim` prints it now:\n%s", part)
		}
	}
}

func TestRefuses(t *testing.T) {
	for _, tt := range []struct{ args, want string }{
		{"--keys 0", "keys 0: must be 1 to"},
		{"--draws 0", "draws 0: must be 1 to"},
		{"--zipf 0", "zipf 0: must be above 0"},
		{"--zipf 99", "zipf 99: must be"},
		{"--slots 0", "slots 0: must be 1 to"},
		{"--slots 4 --pairs 4", "pairs 4: must be 1 to below the 4 slots"},
		{"--pairs x", `invalid argument "x"`},
	} {
		err := run(strings.Fields(tt.args), &strings.Builder{})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got error %v, want %q", tt.args, err, tt.want)
		}
	}
}
