//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// importRecords is how many records are imported.
const importRecords = 300_000

// runTool runs a tool and returns what it prints on standard output.
func runTool(t *testing.T, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(futagoProgram, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("futago %q: %v\n%s%s", args, err, stdout.String(), stderr.String())
	}
	return stdout.String()
}

// exported is the sorted lines of all records of a node.
func exported(t *testing.T, n *node) []string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "records.tsv")
	runTool(t, "export", "--addr", n.client, "-o", path)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return slices.Sorted(strings.Lines(string(text)))
}

// TestImportOfManyRecords copies one node into another one by Tokyo Tyrant's protocol, kills the command with kill -9 in the middle again
// and again, and ends with equal nodes.
func TestImportOfManyRecords(t *testing.T) {
	source, target := startSingle(t), startSingle(t)
	path := filepath.Join(t.TempDir(), "records.tsv")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriter(file)
	for i := range importRecords {
		fmt.Fprintf(w, "key%08d\tvalue %d\n", i, i)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	file.Close()
	runTool(t, "import", "tsv", path, "--addr", source.client)

	args := []string{"import", "tyrant://" + source.client, "--addr", target.client, "--state", filepath.Join(t.TempDir(), "state")}
	out := newOutput(t, "import")
	written := func() uint64 { return target.mustStatus(t).Store.LastSeq }
	for _, records := range []uint64{1, 40_000, 80_000} {
		begin := written()
		p := startProcess(t, "import", out, futagoProgram, args...)
		eventually(t, fmt.Sprintf("%d records are written", records), 30*time.Second, func() bool { return written() >= begin+records })
		p.kill()
		if code := p.cmd.ProcessState.ExitCode(); code != -1 {
			t.Errorf("the import ended with code %d before it was killed", code)
		}
	}
	runTool(t, args...)
	want, got := exported(t, source), exported(t, target)
	if len(want) != importRecords || !slices.Equal(want, got) {
		t.Errorf("the source has %d records, the node %d, want %d equal ones", len(want), len(got), importRecords)
	}
}
