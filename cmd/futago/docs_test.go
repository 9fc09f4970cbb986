package main

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/futago/futago/internal/gateway"
	"github.com/futago/futago/internal/node"
	"github.com/futago/futago/internal/proxy"
)

const cliPage = "../../docs/cli.md"

// TestCommandsPage checks that the page of commands has an example of each, and that the program takes every example.
func TestCommandsPage(t *testing.T) {
	text, err := os.ReadFile(cliPage)
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		example, _, _ := strings.Cut(line, " #")
		example, _, _ = strings.Cut(example, " >")
		words := strings.Fields(example)
		if len(words) < 2 || words[0] != "futago" {
			continue
		}
		cmd, rest, err := newRootCommand().Find(words[1:])
		if err == nil && !cmd.DisableFlagParsing {
			if err = cmd.ParseFlags(rest); err == nil {
				err = cmd.ValidateArgs(cmd.Flags().Args())
			}
		}
		if err != nil || isGroup(cmd) {
			t.Errorf("%s: the program does not take it: %v", example, err)
			continue
		}
		shown[cmd.CommandPath()] = true
	}
	all := 0
	eachCommand(newRootCommand(), func(cmd *cobra.Command) {
		if isGroup(cmd) {
			return
		}
		if all++; !shown[cmd.CommandPath()] {
			t.Errorf("%s has no example of %s", cliPage, cmd.CommandPath())
		}
		if cmd.Short == "" || cmd.Example == "" && !strings.Contains(cmd.CommandPath(), " completion ") {
			t.Errorf("%s: its help lacks a line on what it does, or an example", cmd.CommandPath())
		}
	})
	if all < 40 || len(shown) != all {
		t.Errorf("got examples of %d commands, there are %d", len(shown), all)
	}
}

// TestChangeableIsTold checks that the pages name what a reload puts in force, and the keys of the clients' file.
func TestChangeableIsTold(t *testing.T) {
	page, err := os.ReadFile(cliPage)
	if err != nil {
		t.Fatal(err)
	}
	for who, want := range map[string][]string{"node": node.Changeable(), "gateway": gateway.Changeable(), "proxy": proxy.Changeable()} {
		_, list, _ := strings.Cut(string(page), "While a "+who+" runs ")
		list, _, _ = strings.Cut(list, " can change")
		if got := quotedNames(list); !slices.Equal(got, want) {
			t.Errorf("%s: settings of a %s that can change: got %q, want %q", cliPage, who, got, want)
		}
	}
	_, list, _ := strings.Cut(string(page), "Its keys are the flags ")
	list, _, _ = strings.Cut(list, ";")
	var s settings
	s.withClientFile()
	known := map[string]bool{}
	for _, name := range s.fileKeys() {
		known[name] = true
	}
	if got, want := quotedNames(list), slices.Sorted(maps.Keys(known)); !slices.Equal(slices.Sorted(slices.Values(got)), want) {
		t.Errorf("%s: keys of the file: got %q, want %q", cliPage, got, want)
	}
	sample, err := os.ReadFile("../../deploy/futago.toml")
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ = strings.Cut(string(sample), "A running node takes ")
	list, _, _ = strings.Cut(list, " from it")
	names := strings.FieldsFunc(strings.ReplaceAll(list, " and ", ","), func(r rune) bool { return strings.ContainsRune(", #\n", r) })
	if !slices.Equal(names, node.Changeable()) {
		t.Errorf("deploy/futago.toml: settings that can change: got %q, want %q", names, node.Changeable())
	}
}

// quotedNames are the words between back quotes.
func quotedNames(text string) (names []string) {
	for i, part := range strings.Split(text, "`") {
		if i%2 == 1 {
			names = append(names, part)
		}
	}
	return names
}
