//go:build e2e

package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// quickStep is a block of docs/quick-start.md that somebody runs on a host: 0 or 1.
type quickStep struct {
	host   int
	goesOn bool // it is a server
	text   string
}

var (
	quickBlock = regexp.MustCompile("(?ms)^<!-- (on|starts|kills) 10\\.0\\.0\\.([12])(, and goes on)? -->\\n(?:```[a-z]+\\n(.*?)^```$)?")
	quickAddr  = regexp.MustCompile(`(10\.0\.0\.[12]|127\.0\.0\.1):\d+`)
)

// TestQuickStart does what the page says. Two loopback addresses stand for the hosts, and folders for their disks.
func TestQuickStart(t *testing.T) {
	page, err := os.ReadFile("../docs/quick-start.md")
	if err != nil {
		t.Fatal(err)
	}
	hosts, roots := [2]string{newHost(), newHost()}, [2]string{t.TempDir(), t.TempDir()}
	loopback := newHost()
	addrs := map[string]string{}
	local := func(text string, host int) string {
		text = strings.NewReplacer("127.0.0.1 11311", "127.0.0.1:11311", "/etc/futago", roots[host]+"/etc", "/var/lib/futago", roots[host]+"/lib").Replace(text)
		text = quickAddr.ReplaceAllStringFunc(text, func(found string) string {
			if addrs[found] == "" {
				ip, _, _ := strings.Cut(found, ":")
				addrs[found] = freeAddr(t, map[string]string{"10.0.0.1": hosts[0], "10.0.0.2": hosts[1], "127.0.0.1": loopback}[ip])
			}
			return addrs[found]
		})
		text = strings.NewReplacer("10.0.0.1", hosts[0], "10.0.0.2", hosts[1]).Replace(text)
		return strings.ReplaceAll(text, "| nc "+addrs["127.0.0.1:11311"], "| nc "+strings.Replace(addrs["127.0.0.1:11311"], ":", " ", 1))
	}
	t.Setenv("PATH", filepath.Dir(futagoProgram)+":"+os.Getenv("PATH"))
	var servers [2]*process
	var serve [2]string
	start := func(host int, text string) *process {
		return startProcess(t, "host "+hosts[host], newOutput(t, "host "+hosts[host]), "bash", "-ec", strings.Replace(text, "futago serve", "exec futago serve", 1))
	}
	waitReady := func(host int) {
		eventually(t, "the node of "+hosts[host]+" is ready", 20*time.Second, func() bool {
			code, _, err := httpGet(t.Context(), "http://"+addrs["10.0.0."+string(rune('1'+host))+":11280"]+"/readyz")
			return err == nil && code == 200
		})
	}
	copied := false
	var said []string
	for _, m := range quickBlock.FindAllStringSubmatch(string(page), -1) {
		host := int(m[2][0] - '1')
		s := quickStep{host, m[3] != "", local(m[4], host)}
		switch {
		case m[1] == "kills":
			servers[host].kill()
		case m[1] == "starts":
			servers[host] = start(host, serve[host])
			waitReady(host)
		case s.goesOn && strings.Contains(s.text, "futago serve"):
			serve[host] = s.text
			servers[host] = start(host, s.text)
			if host == 1 {
				waitReady(0)
				waitReady(1)
			}
		case s.goesOn:
			start(host, s.text)
			eventually(t, "the proxy listens", 20*time.Second, func() bool { return accepts(addrs["127.0.0.1:11311"]) })
		default:
			if host == 1 && !copied { // what the page copies with scp
				copied = true
				if err := os.MkdirAll(roots[1]+"/etc", 0o700); err != nil {
					t.Fatal(err)
				}
				for _, name := range []string{"ca.pem", hosts[1] + ".pem", hosts[1] + "-key.pem", "users"} {
					text, err := os.ReadFile(filepath.Join(roots[0], "etc", name))
					if err == nil {
						err = os.WriteFile(filepath.Join(roots[1], "etc", name), text, 0o600)
					}
					if err != nil {
						t.Fatal(err)
					}
				}
			}
			said = append(said, runStep(t, s.text))
		}
	}
	if want := []string{"hellohello", "helloVALUE greeting 0 11\r\nhello again\r\nEND", "hello again"}; len(said) < 4 ||
		!slices.Equal(said[len(said)-3:], want) {
		t.Errorf("the last steps said %q, want %q", said, want)
	}
	if status := said[len(said)-4]; !strings.Contains(status, "equal: ") || strings.Count(status, "ready") < 2 {
		t.Errorf("the status is\n%s", status)
	}
}

// runStep runs a block that must succeed, and returns what it printed.
func runStep(t *testing.T, text string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-ec", text)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, text, out)
	}
	return strings.TrimSpace(string(out))
}
