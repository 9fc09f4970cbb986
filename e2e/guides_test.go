//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// guides are the programs of docs/client-guides.md by the language of their blocks. Java's is not run, the shell's is no program.
var guides = map[string]struct {
	count int
	file  string
	run   []string
}{
	"php":    {2, "guide.php", []string{"php"}},
	"python": {1, "guide.py", []string{"/usr/bin/python3"}},
	"go":     {1, "guide.go", []string{"go", "run"}},
	"js":     {1, "guide.js", []string{"node"}},
	"ruby":   {1, "guide.rb", []string{"ruby"}},
}

var (
	guideBlock   = regexp.MustCompile("(?ms)^```([a-z]+)\n(.*?)^```$")
	guideAddress = regexp.MustCompile(`10\.0\.0\.([12])(:|'?, )11211`)
)

// TestClientGuides runs the programs of the page on a pair, with both nodes and with either one killed.
func TestClientGuides(t *testing.T) {
	text, err := os.ReadFile("../docs/client-guides.md")
	if err != nil {
		t.Fatal(err)
	}
	modules, err := filepath.Abs("testdata/clients/node/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("NODE_PATH", modules)
	p := startPair(t)
	programs := make(map[string][]string)
	seen := make(map[string]int)
	for _, block := range guideBlock.FindAllStringSubmatch(string(text), -1) {
		g, ok := guides[block[1]]
		if !ok {
			continue
		}
		seen[block[1]]++
		path := filepath.Join(t.TempDir(), g.file)
		if err := os.WriteFile(path, []byte(atNodes(t, block[2], p)), 0o600); err != nil {
			t.Fatal(err)
		}
		programs[fmt.Sprintf("%s %d", block[1], seen[block[1]])] = append(append([]string(nil), g.run...), path)
	}
	for language, g := range guides {
		if seen[language] != g.count {
			t.Fatalf("%d blocks of %s, want %d", seen[language], language, g.count)
		}
	}
	visits := 0
	run := func(when string) {
		for name, command := range programs {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // Go compiles its program
			cmd := exec.CommandContext(ctx, command[0], command[1:]...)
			cmd.Dir = ".." // where Go finds the client's module
			out, err := cmd.CombinedOutput()
			cancel()
			visits++
			if want := fmt.Sprintf("20 of 20, visit %d\n", visits); err != nil || !strings.HasSuffix(string(out), want) {
				t.Fatalf("%s, %s: %v, want %q at the end of\n%s", name, when, err, want, out)
			}
		}
	}
	run("both nodes")
	for i, n := range p {
		n.kill9()
		run(fmt.Sprintf("node %d killed", i+1))
		n.start(t)
		waitPair(t, p)
	}
}

// atNodes puts the addresses of a pair in the place of those of the page.
func atNodes(t *testing.T, program string, p [2]*node) string {
	t.Helper()
	var hosts, ports [2]string
	for i, n := range p {
		hosts[i], ports[i], _ = strings.Cut(n.client, ":")
	}
	return guideAddress.ReplaceAllStringFunc(program, func(found string) string {
		i := found[len("10.0.0.")] - '1'
		return hosts[i] + guideAddress.FindStringSubmatch(found)[2] + ports[i]
	})
}
