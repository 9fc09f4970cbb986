package futago_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/futago/futago"

// layer is the place of a package in the import order.
type layer struct {
	// level: a package imports only packages of smaller levels; its tests also those of its own level.
	level int
	// may narrows the packages of ours that it imports further; nil means every lower one.
	may []string
}

// layers is the package map of ARCHITECTURE.md. A package that is not listed here does not belong to the project.
var layers = map[string]layer{
	"internal/nearest":  {level: -3},
	"internal/addr":     {level: -3},
	"internal/httphead": {level: -3},
	"internal/profile":  {level: -3},
	"internal/guard":    {level: -3},
	"internal/reload":   {level: -3},
	"internal/observe":  {level: -2},
	"internal/prefetch": {level: -1},

	"internal/rediscluster/servers":     {level: -4},
	"internal/rediscluster/clustertest": {level: -3},
	"internal/rediscluster":             {level: 4},
	"internal/clusterfront":             {level: 6},

	"internal/users":             {level: -3},
	"internal/access":            {level: -2},
	"internal/access/accesstest": {level: -1},
	"internal/front":             {level: -1},

	"internal/hlc":      {level: 0},
	"internal/vfs":      {level: 0},
	"internal/index":    {level: 0},
	"internal/memcache": {level: 0},
	"internal/tyrant":   {level: 0},
	"internal/gateway":  {level: 0},

	"internal/permit": {level: 1, may: []string{"internal/memcache", "internal/users"}},

	"internal/tyrant/tyranttest": {level: 1, may: []string{"internal/tyrant"}},

	"internal/record": {level: 1, may: []string{"internal/hlc"}},

	"internal/ulog":     {level: 2, may: []string{"internal/hlc", "internal/prefetch", "internal/vfs", "internal/record"}},
	"internal/snapshot": {level: 2, may: []string{"internal/hlc", "internal/record"}},

	"internal/store": {level: 3},

	"internal/cabinet": {level: 4},
	"internal/listing": {level: 4, may: []string{"internal/hlc", "internal/record", "internal/ulog", "internal/store"}},
	"internal/feed":    {level: 4, may: []string{"internal/hlc", "internal/record", "internal/ulog", "internal/store"}},

	"internal/backup":            {level: 5, may: []string{"internal/hlc", "internal/vfs", "internal/record", "internal/ulog", "internal/store", "internal/feed"}},
	"internal/migrate":           {level: 5, may: []string{"internal/feed", "internal/memcache", "internal/tyrant"}},
	"internal/mirror":            {level: 5},
	"internal/replication":       {level: 5},
	"internal/script":            {level: 5},
	"internal/server":            {level: 5},
	"internal/server/transcript": {level: 5},
	// The public client is what users import: it must not pull in the database.
	".": {level: 5, may: []string{"internal/memcache", "internal/tyrant"}},

	"internal/node/web": {level: -3},

	"internal/node":  {level: 6},
	"internal/bench": {level: 6, may: []string{".", "internal/memcache", "internal/rediscluster/servers", "internal/tyrant"}},
	"internal/proxy": {level: 6, may: []string{".", "internal/access", "internal/access/accesstest", "internal/addr", "internal/front", "internal/profile", "internal/memcache", "internal/permit", "internal/reload", "internal/tyrant", "internal/users"}},

	"cmd/futago": {level: 7},

	// The program behind `make guard`.
	"scripts/guard": {level: 7, may: []string{"internal/guard"}},
	// Charts are drawn from what a comparison writes.
	"scripts/charts": {level: 7, may: []string{"internal/bench"}},
	// Slots are hit as the load generator hits keys.
	"scripts/shardsim": {level: 7, may: []string{"internal/bench"}},

	// End-to-end tests know the binary, and nothing inside it.
	"e2e":         {level: 7, may: []string{"."}},
	"e2e/differ":  {level: 7, may: []string{"."}},
	"e2e/torture": {level: 7, may: []string{"."}},
}

// outside holds the rules for other people's modules whose use is limited.
var outside = []struct {
	module   string // import path prefix
	only     string // the part of it that we may use; "" means all
	by       string // the package that may use it; "" means every package
	testOnly bool   // never in the program itself
}{
	{module: "github.com/yuin/gopher-lua", by: "internal/script"},
	{module: "github.com/cockroachdb/pebble", only: "github.com/cockroachdb/pebble/v2/vfs", testOnly: true},
	{module: "github.com/anishathalye/porcupine", by: "e2e", testOnly: true},
}

// listed is the part of `go list -json` that the rules look at.
type listed struct {
	ImportPath   string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

func TestLayers(t *testing.T) {
	for _, tags := range []string{"", "e2e"} {
		packages, err := listPackages(tags)
		if err != nil {
			t.Fatal(err)
		}
		if len(packages) == 0 {
			t.Fatalf("go list -tags %q ./...: got no package", tags)
		}
		for _, problem := range layerProblems(packages) {
			t.Errorf("tags %q: %s", tags, problem)
		}
	}
	if err := touchSources(); err != nil {
		t.Fatal(err)
	}
}

// TestLayersCanFail feeds the rules what they forbid.
func TestLayersCanFail(t *testing.T) {
	const pebble = "github.com/cockroachdb/pebble/v2"
	tests := []struct {
		name    string
		pkg     listed
		problem string // part of the one problem; "" means allowed
	}{
		{"lower import", listed{ImportPath: module + "/internal/store", Imports: []string{module + "/internal/ulog", "fmt"}}, ""},
		{"upward import", listed{ImportPath: module + "/internal/store", Imports: []string{module + "/internal/server"}}, "upward"},
		{"same level", listed{ImportPath: module + "/internal/server", Imports: []string{module + "/internal/replication"}}, "upward"},
		{"same level in a test", listed{ImportPath: module + "/internal/server", TestImports: []string{module + "/internal/server/transcript"}}, ""},
		{"upward in a test", listed{ImportPath: module + "/internal/record", TestImports: []string{module + "/internal/store"}}, "upward"},
		{"upward in an outer test", listed{ImportPath: module + "/internal/record", XTestImports: []string{module + "/internal/store"}}, "upward"},
		{"outer test of itself", listed{ImportPath: module + "/internal/record", XTestImports: []string{module + "/internal/record"}}, ""},
		{"lower but not listed", listed{ImportPath: module, Imports: []string{module + "/internal/store"}}, "may not"},
		{"unknown package", listed{ImportPath: module + "/internal/helpers"}, "unknown package"},
		{"import of an unknown package", listed{ImportPath: module + "/internal/store", Imports: []string{module + "/internal/helpers"}}, "unknown package"},
		{"lua in its place", listed{ImportPath: module + "/internal/script", Imports: []string{"github.com/yuin/gopher-lua/parse"}}, ""},
		{"lua elsewhere", listed{ImportPath: module + "/internal/store", Imports: []string{"github.com/yuin/gopher-lua"}}, "only internal/script"},
		{"pebble's vfs in a test", listed{ImportPath: module + "/internal/ulog", TestImports: []string{pebble + "/vfs", pebble + "/vfs/errorfs"}}, ""},
		{"pebble's vfs in the program", listed{ImportPath: module + "/internal/ulog", Imports: []string{pebble + "/vfs"}}, "only in tests"},
		{"pebble itself in a test", listed{ImportPath: module + "/internal/ulog", TestImports: []string{pebble}}, "only its part"},
		{"a module with a similar name", listed{ImportPath: module + "/internal/ulog", Imports: []string{"github.com/cockroachdb/pebbles"}}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := layerProblems([]listed{tt.pkg})
			if tt.problem == "" {
				if len(got) != 0 {
					t.Errorf("got problems %q, want none", got)
				}
				return
			}
			if len(got) != 1 || !strings.Contains(got[0], tt.problem) {
				t.Errorf("got problems %q, want one with %q", got, tt.problem)
			}
		})
	}
}

// layerProblems returns one sentence for each broken rule.
func layerProblems(packages []listed) []string {
	var problems []string
	for _, p := range packages {
		from := short(p.ImportPath)
		if _, ok := layers[from]; !ok {
			problems = append(problems, fmt.Sprintf("unknown package %s: give it a place in layers", from))
			continue
		}
		for _, imp := range p.Imports {
			problems = append(problems, importProblems(from, imp, false)...)
		}
		for _, imp := range slices.Concat(p.TestImports, p.XTestImports) {
			problems = append(problems, importProblems(from, imp, true)...)
		}
	}
	return problems
}

func importProblems(from, imp string, test bool) []string {
	var problems []string
	complain := func(format string, args ...any) {
		problems = append(problems, fmt.Sprintf("%s imports %s: ", from, imp)+fmt.Sprintf(format, args...))
	}
	for _, rule := range outside {
		if !within(imp, rule.module) {
			continue
		}
		if rule.only != "" && !within(imp, rule.only) {
			complain("only its part %s is used here", rule.only)
		}
		if rule.by != "" && from != rule.by {
			complain("only %s does that", rule.by)
		}
		if rule.testOnly && !test {
			complain("only in tests")
		}
	}
	if !within(imp, module) || short(imp) == from {
		return problems
	}
	a := layers[from]
	b, ok := layers[short(imp)]
	switch {
	case !ok:
		complain("unknown package")
	case test && b.level > a.level, !test && b.level >= a.level:
		complain("upward, from level %d to %d", a.level, b.level)
	case !test && a.may != nil && !slices.Contains(a.may, short(imp)):
		complain("it may not, only %q", a.may)
	}
	return problems
}

// within says whether the import path is the module or package prefix or lies below it. A major version
// belongs to the module.
func within(path, prefix string) bool {
	return path == prefix || strings.HasPrefix(path, prefix+"/")
}

// short returns the import path relative to the module, "." for its root.
func short(path string) string {
	if path == module {
		return "."
	}
	return strings.TrimPrefix(path, module+"/")
}

func listPackages(tags string) ([]listed, error) {
	cmd := exec.Command("go", "list", "-tags", tags, "-json=ImportPath,Imports,TestImports,XTestImports", "./...")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list -tags %q ./...: %w\n%s", tags, err, stderr.String())
	}
	var packages []listed
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return packages, nil
		} else if err != nil {
			return nil, fmt.Errorf("decode the output of go list: %w", err)
		}
		packages = append(packages, p)
	}
}

// touchSources looks at every source file, so that the cache of go test knows that the result depends on
// them: it cannot see what the child process has read.
func touchSources() error {
	return filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".go") {
			_, err = os.Stat(path)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // an editor's temporary file
		}
		return err
	})
}
