//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// openTerminal returns both ends of a new terminal.
func openTerminal(t *testing.T) (master, terminal *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	err = errors.Join(err, unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0))
	if err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { terminal.Close() })
	return master, terminal
}

// modes returns what the terminal does with input.
func modes(t *testing.T, terminal *os.File) uint32 {
	t.Helper()
	m, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return m.Lflag
}

// TestDemoKeys drives a demo from a terminal.
func TestDemoKeys(t *testing.T) {
	master, terminal := openTerminal(t)
	before := modes(t, terminal)
	out := newOutput(t, "demo")
	cmd := exec.Command(futagoProgram, "demo", "--base-port", strconv.Itoa(demoBase(t)), "--data", t.TempDir())
	cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal, terminal, terminal
	cmd.Env = append(os.Environ(), "NO_COLOR=")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{name: "demo", cmd: cmd, output: out, exited: make(chan struct{})}
	go func() {
		cmd.Wait()
		close(p.exited)
	}()
	t.Cleanup(p.kill)
	go io.Copy(out, master) // ends with the terminal

	says := func(text string) {
		t.Helper()
		eventually(t, "the demo says: "+text, demoLimit, func() bool { return strings.Contains(out.String(), text) })
	}
	press := func(keys string) {
		t.Helper()
		if _, err := io.WriteString(master, keys); err != nil {
			t.Fatal(err)
		}
	}
	says("q ends the demo")
	press("k2")
	says("\x1b[31mnode 2 was killed (signal 9). Press 2 or run: ")
	press("2")
	says("node 2 was not running; started again as pid ")
	press("1")
	says("node 1 was killed (signal 9); started again as pid ")
	if during := modes(t, terminal); during&(unix.ICANON|unix.ECHO) != 0 {
		t.Errorf("terminal modes %#x while the demo runs: want neither line editing nor echo", during)
	}
	press("q")
	if code := p.waitExit(t, demoLimit); code != 0 {
		t.Errorf("the key q ended the demo with code %d, want 0", code)
	}
	if after := modes(t, terminal); after != before {
		t.Errorf("terminal modes after the demo: got %#x, want %#x as before", after, before)
	}
}
