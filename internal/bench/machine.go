package bench

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Machine is where a comparison ran.
type Machine struct {
	System     string `json:"system"` // as linux/amd64
	Kernel     string `json:"kernel"`
	Processors int    `json:"processors"`
	Model      string `json:"model"` // of the processors; "" when the system does not say
}

func thisMachine() Machine {
	m := Machine{System: runtime.GOOS + "/" + runtime.GOARCH, Processors: runtime.NumCPU()}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		m.Kernel = unix.ByteSliceToString(u.Sysname[:]) + " " + unix.ByteSliceToString(u.Release[:])
	}
	b, _ := os.ReadFile("/proc/cpuinfo") // without it there is no model
	for lines := bufio.NewScanner(bytes.NewReader(b)); lines.Scan() && m.Model == ""; {
		if name, value, _ := strings.Cut(lines.Text(), ":"); strings.TrimSpace(name) == "model name" {
			m.Model = strings.TrimSpace(value)
		}
	}
	return m
}

// versions returns a line for futago and for each known program of others that takes part, in the order of the matches.
func versions(ctx context.Context, futago string, matches []match) (lines []string) {
	seen := map[string]bool{}
	for _, m := range matches {
		for _, p := range m.peers {
			option := programs[p.program].version
			if p.program == futago {
				option = "version"
			}
			if option != "" && !seen[p.program] {
				lines = append(lines, version(ctx, p.program, option))
			}
			seen[p.program] = true
		}
	}
	return lines
}

// version returns the first line that a program prints.
func version(ctx context.Context, program, option string) string {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	path, err := lookProgram(program)
	if err != nil {
		return fmt.Sprintf("%s: version not known: %v", program, err)
	}
	cmd := exec.CommandContext(ctx, path, option)
	cmd.WaitDelay = time.Second
	text, err := cmd.CombinedOutput() // nginx and twemproxy write to the second stream, and the latter fails with it
	line, _, _ := bytes.Cut(text, []byte("\n"))
	if len(line) == 0 {
		return fmt.Sprintf("%s: version not known: %v", program, err)
	}
	return strings.TrimSpace(string(line))
}
