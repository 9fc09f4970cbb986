//go:build linux && e2e

package main

import (
	"context"
	"encoding/xml"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestTorture is a short run of what `make torture` does for longer, once with all that is possible here and once in the
// way that needs no rights. The faults are the same each time; `make torture` takes new ones.
func TestTorture(t *testing.T) {
	program := filepath.Join(t.TempDir(), "futago")
	if out, err := exec.Command("go", "build", "-o", program, "../../cmd/futago").CombinedOutput(); err != nil {
		t.Fatalf("build the program under test: %v\n%s", err, out)
	}
	for name, o := range map[string]options{
		"best":  {length: 22 * time.Second, seed: 1},
		"plain": {length: 12 * time.Second, seed: 2, plain: true},
	} {
		t.Run(name, func(t *testing.T) {
			o.program, o.tell = program, func(string) {}
			page := filepath.Join(t.TempDir(), "page.html")
			rep, err := torture(context.Background(), o, t.Output(), page)
			if err != nil {
				t.Fatal(err)
			}
			if rep.Violations > 0 {
				t.Errorf("%d violations, want none", rep.Violations)
			}
			if rep.FaultTotal < 2 || rep.Succeeded < 500 {
				t.Errorf("%d faults and %d operations: the run proves little", rep.FaultTotal, rep.Succeeded)
			}
			checkPage(t, page)
		})
	}
}

// checkPage demands that the page needs nothing but itself, and that its drawings are well-formed.
func checkPage(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	page := string(data)
	for _, foreign := range []string{"http://", "https://", "<script", "src=", "url(", "@import", "<link"} {
		if strings.Contains(page, foreign) {
			t.Errorf("the page contains %q", foreign)
		}
	}
	drawings := 0
	for rest := page; ; drawings++ {
		_, after, ok := strings.Cut(rest, "<svg")
		if !ok {
			break
		}
		drawing, after, ok := strings.Cut(after, "</svg>")
		if !ok {
			t.Fatal("a drawing has no end")
		}
		rest = after
		for d := xml.NewDecoder(strings.NewReader("<svg" + drawing + "</svg>")); ; {
			if _, err := d.Token(); err == io.EOF {
				break
			} else if err != nil {
				t.Fatalf("drawing %d: %v", drawings, err)
			}
		}
	}
	if drawings == 0 {
		t.Error("the page has no drawing")
	}
}
