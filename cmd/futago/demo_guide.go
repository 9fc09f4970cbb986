package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// demoStep is a command to try and what it is good for.
type demoStep struct {
	Title   string `json:"title"`
	Command string `json:"command"`
}

// demoGuide is what the guide needs to know.
type demoGuide struct {
	ports demoPorts
	// program is how a shell calls futago, quoted where it must be.
	program string
	// pid are the processes of the nodes, 0 for one that does not run.
	pid [demoNodes]int
}

// steps are the commands, each of which works as pasted into any shell in any folder.
func (g demoGuide) steps() []demoStep {
	key := func(port int) string { return fmt.Sprintf("http://%s/count_demo", loopback(port)) }
	steps := []demoStep{
		{"write at node 1", "curl -X PUT --data-binary hello " + key(g.ports.client[0])},
		{"read at node 2", "curl " + key(g.ports.client[1])},
		{"read through the gateway", "curl " + key(g.ports.gateway)},
		{"the same record for memcached clients, at the same port", fmt.Sprintf(`printf 'get count_demo\r\nquit\r\n' | nc 127.0.0.1 %d`, g.ports.client[1])},
	}
	if g.pid[0] != 0 && g.pid[1] != 0 {
		steps = append(steps, demoStep{"kill node 1: reads and writes go on at the other", fmt.Sprintf("kill -9 %d", g.pid[0])})
	}
	for id := 1; id <= demoNodes; id++ {
		if id == 1 || g.pid[id-1] == 0 {
			steps = append(steps, demoStep{fmt.Sprintf("start node %d again: it catches up before it serves", id), g.restart(id)})
		}
	}
	return steps
}

// restart is the command that restarts a node of this demo.
func (g demoGuide) restart(id int) string {
	command := fmt.Sprintf("%s demo restart %d", g.program, id)
	if g.ports.base != demoBasePort {
		command += fmt.Sprintf(" --base-port %d", g.ports.base)
	}
	return command
}

func (g demoGuide) page() string { return fmt.Sprintf("http://%s/", loopback(g.ports.page)) }

// text is the guide for a terminal: each command and the page's address alone on a line.
func (g demoGuide) text(keys bool) string {
	var b strings.Builder
	for _, s := range g.steps() {
		fmt.Fprintf(&b, "# %s\n%s\n\n", s.Title, s.Command)
	}
	fmt.Fprintf(&b, "# watch it live\n%s\n\n", g.page())
	if keys {
		b.WriteString("# keys: 1 or 2 restarts that node, k and then 1 or 2 kills it, h shows this again, q ends the demo\n")
	} else {
		b.WriteString("# Ctrl-C or SIGTERM ends the demo\n")
	}
	return b.String()
}

// shellProgram is how a shell in any folder calls the program: by name where the search path finds it, otherwise by path.
func shellProgram(program string) string {
	if found, err := exec.LookPath("futago"); err == nil {
		a, errA := os.Stat(found)
		b, errB := os.Stat(program)
		if errA == nil && errB == nil && os.SameFile(a, b) {
			return "futago"
		}
	}
	return shellQuote(program)
}

// shellQuote quotes s for a POSIX shell where it has to be.
func shellQuote(s string) string {
	safe := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+,:@%", r)
	}
	if s != "" && strings.TrimFunc(s, safe) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
