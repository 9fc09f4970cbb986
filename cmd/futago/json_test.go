package main

import (
	"testing"

	"github.com/spf13/cobra"
)

// withoutJSON are the commands that have no --json, and why.
var withoutJSON = map[string]string{
	"add": "says nothing", "set": "says nothing", "touch": "says nothing", "delete": "says nothing", "users remove": "says nothing",
	"serve": "runs, and logs", "gateway": "runs, and logs", "proxy": "runs, and logs",
	"demo": "runs, and speaks with a person", "demo restart": "speaks with a person",
	"config check": "its exit code is the answer", "config check gateway": "its exit code is the answer", "config check proxy": "its exit code is the answer",
	"users add": "a token, for a file", "users hash": "a hash, for a file",
	"export": "prints JSON lines by itself", "watch": "prints JSON lines by itself",
	"help": "prints text", "man": "writes files", "completion bash": "a program", "completion zsh": "a program", "completion fish": "a program", "completion powershell": "a program",
	"ttserver": "takes the options of the original alone", "tcrmgr": "takes the options of the original alone", "ttulmgr": "takes the options of the original alone",
}

// Every command that prints a result prints it as JSON, too.
func TestEveryResultAsJSON(t *testing.T) {
	seen := map[string]bool{}
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
		if isGroup(cmd) {
			return
		}
		name := commandName(cmd)
		why, excused := withoutJSON[name]
		seen[name] = true
		switch has := cmd.Flags().Lookup("json") != nil; {
		case has && excused:
			t.Errorf("%s has --json, and should have none: it %s", name, why)
		case !has && !excused:
			t.Errorf("%s has no --json", name)
		}
	}
	walk(newRootCommand())
	for name := range withoutJSON {
		if !seen[name] {
			t.Errorf("there is no command %s", name)
		}
	}
}
