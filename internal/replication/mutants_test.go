package replication

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A mutant is a wrong variant of the code, see testdata/mutants.
type mutant struct {
	name  string
	seeds int      // of TestRandom
	test  []string // otherwise: package and what to run of it
	edits []edit
}

type edit struct{ file, old, new string }

func readMutants(t *testing.T) (list []mutant) {
	t.Helper()
	b, err := os.ReadFile("testdata/mutants")
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range strings.Split(string(b), "\n# ")[1:] {
		name, rest, _ := strings.Cut(block, "\n")
		how, rest, _ := strings.Cut(rest, "\n")
		words := strings.Fields(how)
		m := mutant{name: name, test: words[2:]}
		if m.seeds, err = strconv.Atoi(words[1]); err != nil || words[0] != "sim" {
			t.Fatalf("%s: %q", name, how)
		}
		for _, part := range strings.Split(rest, "\n>>>")[:strings.Count(rest, "\n>>>")] {
			file, texts, ok := strings.Cut(strings.TrimSpace(part)+"\n", "\n<<<\n")
			old, new, ok2 := strings.Cut(texts, "===\n")
			if !ok || !ok2 {
				t.Fatalf("%s: an edit without its signs", name)
			}
			m.edits = append(m.edits, edit{file, strings.TrimSuffix(old, "\n"), strings.TrimSuffix(new, "\n")})
		}
		list = append(list, m)
	}
	return list
}

// TestMutants proves that the checks can fail: it builds every wrong variant and runs what must notice it. Without
// FUTAGO_MUTANTS, which names some (a part of the name) or all, it looks only whether each variant still fits the code.
func TestMutants(t *testing.T) {
	list := readMutants(t)
	which := os.Getenv("FUTAGO_MUTANTS")
	for _, m := range list {
		files := map[string]string{}
		for _, e := range m.edits {
			text, ok := files[e.file]
			if !ok {
				b, err := os.ReadFile(filepath.Join("..", "..", e.file))
				if err != nil {
					t.Fatalf("%s: %v", m.name, err)
				}
				text = string(b)
			}
			if n := strings.Count(text, e.old); n != 1 {
				t.Errorf("%s: %d times in %s:\n%s", m.name, n, e.file, e.old)
			}
			files[e.file] = strings.Replace(text, e.old, e.new, 1)
		}
		if which != "" && (which == "all" || strings.Contains(m.name, which)) {
			t.Run(m.name, func(t *testing.T) { m.run(t, files) })
		}
	}
	if len(list) < 27 {
		t.Errorf("%d variants", len(list))
	}
}

// run fails when nothing notices the variant.
func (m *mutant) run(t *testing.T, files map[string]string) {
	dir := t.TempDir()
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	for name, text := range files {
		path, err := filepath.Abs(filepath.Join("..", "..", name))
		if err != nil {
			t.Fatal(err)
		}
		changed := filepath.Join(dir, strings.ReplaceAll(name, "/", "_"))
		if err := os.WriteFile(changed, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		overlay.Replace[path] = changed
	}
	b, err := json.Marshal(overlay)
	if err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(list, b, 0o644); err != nil {
		t.Fatal(err)
	}
	pkg, run := "./internal/replication", "TestRandom"
	if len(m.test) == 2 {
		pkg, run = m.test[0], m.test[1]
	}
	binary := filepath.Join(dir, "test")
	build := exec.Command("go", "test", "-overlay", list, "-vet=off", "-c", "-o", binary, pkg)
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, "-test.run", run, "-test.timeout", "9m")
	cmd.Dir = filepath.Join("..", "..", pkg)
	cmd.Env = append(os.Environ(), "FUTAGO_MUTANTS=", fmt.Sprintf("FUTAGO_SEEDS=%d", max(m.seeds, 1)))
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Fatalf("not noticed by %s %s, %d seeds", pkg, run, m.seeds)
	}
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "--- FAIL") && (strings.Contains(line, "/") || len(m.test) > 0) || strings.HasPrefix(line, "panic:") {
			t.Logf("noticed: %s", strings.TrimSpace(line))
			return
		}
	}
}
