package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestTTServerOptions checks what becomes of command lines.
func TestTTServerOptions(t *testing.T) {
	public := []string{"-host"}
	for _, c := range []struct {
		line  string
		given map[string]string // besides the address and data none
		notes []string          // the options that the log tells about
	}{
		{"", map[string]string{"listen": ":1978"}, public},
		{"-host 127.0.0.1 -port 1979", map[string]string{"listen": "127.0.0.1:1979"}, nil},
		{"-host localhost *", map[string]string{"listen": "localhost:1978"}, nil},
		{"-host ::1", map[string]string{"listen": "[::1]:1978"}, nil},
		{"-host 10.0.0.1", map[string]string{"listen": "10.0.0.1:1978"}, public},
		{"-host /run/s -port 0", map[string]string{"listen": "unix:/run/s"}, nil},
		{"-host ::1 -thnum 4 -tout 1.5 -ld", map[string]string{"listen": "[::1]:1978", "threads": "4", "request-timeout": "1.5s", "log-level": "debug"}, []string{"-thnum"}},
		{"-host ::1 -tout 0 -ld -le", map[string]string{"listen": "[::1]:1978", "log-level": "error"}, nil},
		{"-host ::1 -ulog /l -ulim 1g -uas -rts r -mul 3 -sid 7", map[string]string{"listen": "[::1]:1978", "node": "7"}, []string{"-ulim", "-uas", "-rts", "-mul", "-ulog"}},
		{"-host ::1 -sid 1 -mhost m -mport 1979 -rcc", map[string]string{"listen": "[::1]:1978", "node": "1", "tyrant-master": "m:1979", "tyrant-check": "true"}, nil},
		{"-host ::1 -sid 2 -mhost fd00::1", map[string]string{"listen": "[::1]:1978", "node": "2", "tyrant-master": "[fd00::1]:1978"}, nil},
		{"-host ::1 -mhost m", map[string]string{"listen": "[::1]:1978"}, []string{"-mhost"}},
		{"-host ::1 -ext a.lua -extpc f 0.5 -extpc g 60", map[string]string{"listen": "[::1]:1978", "script": "a.lua", "script-periodic": "f=500ms g=1m0s"}, nil},
		{"-host ::1 -mask all -unmask get,REPL -mask vsiz,nosuch -unmask 0x1", map[string]string{"listen": "[::1]:1978", "mask": "putkeep,putcat,putshl,putnr,out,mget,vsiz,iterinit,iternext,fwmkeys,addint,adddouble,ext,sync,optimize,vanish,copy,restore,setmst,rnum,size,stat,misc,slave,allorg,allmc,allhttp,allread,allwrite,allmanage"}, []string{"-mask"}},
		{"-host ::1 +", map[string]string{"listen": "[::1]:1978"}, []string{"dbname"}},
		{"-host ::1 casket.tch#bnum=1000000#capnum=7", map[string]string{"listen": "[::1]:1978", "data": "casket.tch"}, []string{"dbname", "dbname#bnum", "dbname#capnum"}},
		{"-host ::1 /db/A.BDB", map[string]string{"listen": "[::1]:1978", "data": "/db/A.BDB"}, []string{"dbname"}},
		{"-host ::1 *#CapSiz=1.5g", map[string]string{"listen": "[::1]:1978", "max-memory": "1610612736", "evict": "true"}, []string{"dbname#capsiz"}},
		{"-host ::1 *#capnum=10#capsiz=1k", map[string]string{"listen": "[::1]:1978", "max-memory": "16777216", "evict": "true"}, []string{"dbname#capnum", "dbname#capsiz", "dbname#capsiz"}},
		{"-host ::1 *#capnum=0#capsiz=-1", map[string]string{"listen": "[::1]:1978"}, nil},
	} {
		o, ok := parseTTServer(strings.Fields(c.line))
		if !ok || o.refusal() != nil {
			t.Errorf("ttserver %s: usage is right: %v, refusal: %v", c.line, ok, o.refusal())
			continue
		}
		got := map[string]string{}
		for key, words := range o.given {
			got[key] = strings.Join(words, " ")
		}
		if c.given["data"] == "" {
			c.given["data"] = "none"
		}
		if diff := cmp.Diff(c.given, got); diff != "" {
			t.Errorf("ttserver %s: settings differ (-want +got):\n%s", c.line, diff)
		}
		var notes []string
		for _, n := range o.notes {
			notes = append(notes, n.option)
		}
		slices.Sort(notes)
		slices.Sort(c.notes)
		if diff := cmp.Diff(c.notes, notes); diff != "" {
			t.Errorf("ttserver %s: notes differ (-want +got):\n%s", c.line, diff)
		}
	}
}

func TestTTServerUsage(t *testing.T) {
	for _, line := range []string{"-nosuch", "-port", "-port 1", "-thnum 0", "* *", "* -dmn", "-extpc f 1", "--port 1 *"} {
		args := strings.Fields(line)
		if line == "-port 1" || line == "-extpc f 1" {
			args = args[:len(args)-1] // the word is missing
		}
		var stdout, stderr bytes.Buffer
		code := run(append([]string{"ttserver"}, args...), nil, &stdout, &stderr)
		if code != exitFailure || stdout.Len() > 0 || !strings.Contains(stderr.String(), "\nusage:\n  ttserver [-host name] [-port num]") {
			t.Errorf("ttserver %q: code %d, printed %q, errors %q: want usage", args, code, &stdout, &stderr)
		}
	}
}

func TestTTServerRefuses(t *testing.T) {
	taken := t.TempDir()
	file := filepath.Join(taken, "casket.tch")
	pid := filepath.Join(taken, "pid")
	bad := filepath.Join(taken, "bad")
	for path, text := range map[string]string{file: "ToKyO CaBiNeT", pid: "1234\n", bad: "-1\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ line, want string }{
		{"-skel /lib/x.so *", "ttserver: -skel /lib/x.so: there are no engines to plug in; leave it out and name a database\n"},
		{"-sid 1024 *", "ttserver: -sid 1024: want 1 to 1023,"},
		{"-port -1 *", "ttserver: -port -1: want 1 to 65535,"},
		{"-port 65536 *", "ttserver: listen \":65536\""},
		{"-port 0 *", "ttserver: -port 0: want 1 to 65535, or 0 with the path of a socket as -host\n"},
		{"-extpc f 0 *", "ttserver: -extpc f 0: want a period in seconds, more than 0\n"},
		{"a.tct", "ttserver: database a.tct: there are no table databases;"},
		{"a.fdb", "ttserver: database a.fdb: there are no fixed-length databases;"},
		{"foo", "ttserver: database \"foo\": want * for memory, or a folder whose name ends in .tch\n"},
		{"*#capnum=1000", "ttserver: capnum=1000: memory is bounded in bytes, not in records; say capsiz="},
		{"-skel x a.tct", "no engines to plug in; leave it out and name a database\nttserver: database a.tct:"},
		{file, "ttserver: open database " + file + ": it is a file, and records are kept in a folder\nTo take over"},
		{"-pid " + pid + " *", "ttserver: the process 1234 may be already running\nStop it, start with -kl, or remove the pid file " + pid},
		{"-pid " + bad + " -kl *", "ttserver: read pid file " + bad + ": \"-1\\n\" is no number of a process; remove the file\n"},
		{"-log " + taken + "/no/log *", "ttserver: open log: open " + taken + "/no/log: no such file or directory\n"},
	} {
		var stdout, stderr bytes.Buffer
		code := run(append([]string{"ttserver"}, strings.Fields(c.line)...), nil, &stdout, &stderr)
		if code != exitFailure || stdout.Len() > 0 || !strings.Contains(stderr.String(), c.want) {
			t.Errorf("ttserver %s: code %d, want %d; no %q in:\n%s", c.line, code, exitFailure, c.want, &stderr)
		}
	}
}

// TestTTServerKeys checks that a node has the settings that options become, and the commands that ttserver allows.
func TestTTServerKeys(t *testing.T) {
	config := defaultServeConfig()
	table := serveSettings(config)
	for option, key := range ttserverKeys {
		if table.fileKey(key) == nil {
			t.Errorf("%s: a node has no setting %s", option, key)
		}
	}
	config.Node.Allow = ttserverAllow
	if err := config.Node.Validate(); err != nil {
		t.Error(err)
	}
}

// TestTTServerDocs checks that the usage has every option, and the documentation a line for each.
func TestTTServerDocs(t *testing.T) {
	text, err := os.ReadFile("../../docs/tyrant.md")
	if err != nil {
		t.Fatal(err)
	}
	all := new(ttserver).dashOptions()
	if known := usageOptions(ttserverUsage, all); len(known) != len(all) {
		t.Errorf("the usage names %d of %d options", len(known), len(all))
	}
	for name := range all {
		if !regexp.MustCompile("(?m)^\\| [^|]*`" + name + "[` ]").Match(text) {
			t.Errorf("no row of the table in docs/tyrant.md has %s", name)
		}
	}
}

func TestTakePIDFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pid")
	wantOwn := func() {
		t.Helper()
		if text, err := os.ReadFile(path); err != nil || string(text) != strconv.Itoa(os.Getpid())+"\n" {
			t.Errorf("pid file has %q, %v", text, err)
		}
	}
	if err := takePIDFile(path, false); err != nil {
		t.Fatal(err)
	}
	wantOwn()
	if err := takePIDFile(path, false); err != nil {
		t.Errorf("this process's own pid file: %v", err)
	}
	wantOwn()
	if err := dropPIDFile(path); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the pid file is still there: %v", err)
	}

	if err := os.WriteFile(path, []byte("1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := takePIDFile(path, true); err == nil {
		t.Error("process 1 was ended")
	}
	other := exec.Command("sleep", "1000")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { other.Wait(); close(ended) }()
	number := fmt.Sprintf("%d\n", other.Process.Pid)
	if err := os.WriteFile(path, []byte(number), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := takePIDFile(path, false); err == nil {
		t.Error("a pid file that is there was taken")
	}
	if err := dropPIDFile(path); err != nil {
		t.Error(err)
	}
	if text, _ := os.ReadFile(path); string(text) != number {
		t.Errorf("the pid file of another has %q, want %q", text, number)
	}
	if err := takePIDFile(path, true); err != nil {
		t.Fatal(err)
	}
	<-ended
	if s := other.ProcessState.Sys().(syscall.WaitStatus); s.Signal() != syscall.SIGTERM {
		t.Errorf("the other process ended with %v, want SIGTERM", s.Signal())
	}
	wantOwn()
}

func TestLogFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l, err := openLogFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	fmt.Fprint(l, "old")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	if err := l.Reopen(); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(l, "new")
	for name, want := range map[string]string{path: "new", path + ".1": "old"} {
		if text, err := os.ReadFile(name); string(text) != want {
			t.Errorf("%s has %q, %v, want %q", name, text, err, want)
		}
	}
}
