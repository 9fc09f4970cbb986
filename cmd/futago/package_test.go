package main

import (
	"net/mail"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// TestPackage checks that the packages put things where the unit looks for them, and know every file that a release has.
func TestPackage(t *testing.T) {
	var file struct {
		Version string
		// Debian wants a name and an address.
		Maintainer string
		Contents   []struct {
			Src, Dst, Type, Packager string
			Expand                   bool
			Info                     struct{ Mode uint32 } `yaml:"file_info"`
		}
		Scripts map[string]string
	}
	text := readDeploy(t, "package/nfpm.yaml")
	if err := yaml.Unmarshal([]byte(text), &file); err != nil {
		t.Fatal(err)
	}
	if who, err := mail.ParseAddress(file.Maintainer); err != nil || who.Name == "" {
		t.Errorf("maintainer %q: %v, want NAME <ADDRESS>", file.Maintainer, err)
	}
	installed := map[string]string{}
	for _, c := range file.Contents {
		if !c.Expand || !strings.HasPrefix(c.Src, "${STAGE}/") || c.Info.Mode == 0 {
			t.Errorf("%s: want a source below ${STAGE}, expanded, and a mode", c.Dst)
		}
		if c.Packager == "" {
			installed[c.Dst] = c.Type
		}
	}
	unit := readDeploy(t, "futago.service")
	for path, kind := range map[string]string{
		"/usr/bin/futago": "", "/etc/futago/futago.toml": "config|noreplace",
		"/usr/lib/systemd/system/futago.service": "", "/usr/lib/systemd/system/futago.socket": "",
	} {
		if got, ok := installed[path]; !ok || got != kind {
			t.Errorf("%s: type %q, there %v, want type %q", path, got, ok, kind)
		}
	}
	for line := range strings.Lines(unit) {
		command, ok := strings.CutPrefix(strings.TrimSpace(line), "ExecStart=")
		if !ok {
			continue
		}
		for _, word := range strings.Fields(command) {
			if _, known := installed[word]; strings.HasPrefix(word, "/") && !known {
				t.Errorf("the unit starts %q, and no package brings %s", command, word)
			}
		}
	}
	var names []string
	for name, path := range file.Scripts {
		names = append(names, name)
		path = filepath.Join("../..", path)
		if out, err := exec.Command("sh", "-n", path).CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", path, err, out)
		}
	}
	slices.Sort(names)
	if want := []string{"postinstall", "postremove", "preremove"}; !slices.Equal(names, want) {
		t.Errorf("scripts: got %q, want %q", names, want)
	}
}

// TestSocketUnit checks that the socket unit opens what the sample configuration listens at.
func TestSocketUnit(t *testing.T) {
	var got []string
	for line := range strings.Lines(readDeploy(t, "futago.socket")) {
		if addr, ok := strings.CutPrefix(strings.TrimSpace(line), "ListenStream="); ok {
			got = append(got, addr)
		}
	}
	if want := defaultServeConfig().Node.Listen; !slices.Equal(got, want) {
		t.Errorf("ListenStream: got %q, want %q", got, want)
	}
}
