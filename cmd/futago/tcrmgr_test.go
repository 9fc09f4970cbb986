package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/futago/futago/internal/node"
	"github.com/futago/futago/internal/tyrant"
)

// startNode runs a node in memory until the test ends, and returns its client address.
func startNode(t *testing.T) string {
	t.Helper()
	config := node.DefaultConfig()
	config.Listen = []string{"127.0.0.1:0"}
	config.Data, config.AdminListen = "none", "none"
	n, err := node.New(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("node ended with %v", err)
		}
	})
	select {
	case <-n.Ready():
	case err := <-ended:
		ended <- err
		t.Fatalf("node did not start: %v", err)
	}
	return n.Addrs()[0]
}

// tyrantCall is a command line with what it must print and return.
type tyrantCall struct {
	line   string // words with blanks between; HOST is the address; ~ stands for a blank within a word, '' for an empty one
	stdin  string
	want   string
	stderr string // "" demands silence
}

// check runs the call of a tool.
func (c tyrantCall) check(t *testing.T, tool, host string) {
	t.Helper()
	args := []string{tool}
	for _, w := range strings.Fields(strings.ReplaceAll(c.line, "HOST", host)) {
		if w == "''" {
			w = ""
		}
		args = append(args, strings.ReplaceAll(w, "~", " "))
	}
	var stdout, stderr bytes.Buffer
	code := run(args, strings.NewReader(c.stdin), &stdout, &stderr)
	wantCode := exitOK
	if c.stderr != "" {
		wantCode = exitFailure
	}
	if code != wantCode || stdout.String() != c.want || stderr.String() != c.stderr {
		t.Errorf("%s %s: code %d, want %d\nprinted %q\n   want %q\nerrors %q\n  want %q", tool, c.line, code, wantCode, &stdout, c.want, &stderr, c.stderr)
	}
}

func TestTcrmgr(t *testing.T) {
	host := startNode(t)
	const (
		exists  = "tcrmgr: error: 6: existing record\n"
		missing = "tcrmgr: error: 7: no record found\n"
		other   = "tcrmgr: error: 9999: miscellaneous error\n"
	)
	var many strings.Builder
	for i := range 5002 {
		fmt.Fprintf(&many, "many%d\t%d\n", i, i)
	}
	dots := strings.Repeat(".", 50) + " (00005000)\n (00005002)\n"
	for _, c := range []tyrantCall{
		{line: "inform HOST", want: "record number: 0\nfile size: 0\n"},
		{line: "put HOST k v"},
		{line: "get HOST k", want: "v\n"},
		{line: "get -pz HOST k", want: "v"},
		{line: "put -dk HOST k x", stderr: exists},
		{line: "put -dc HOST k ab"},
		{line: "get -px HOST k", want: "76 61 62\n"},
		{line: "put -ds 2 HOST k c"},
		{line: "get HOST k", want: "bc\n"},
		{line: "put HOST -k -dk"},
		{line: "get HOST -k", want: "-dk\n"},
		{line: "put -sx HOST 00~01 3230"},
		{line: "get -sx HOST 0001", want: "20\n"},
		{line: "put -sx HOST 0g 20", stderr: "tcrmgr: \"0g\" is not made of bytes of two hexadecimal digits\n"},
		{line: "put -sep , HOST a,b c,d"},
		{line: `get -sep \t HOST ` + "a,b", stderr: missing},
		{line: "get -px -sep , HOST a,b", want: "63 00 64\n"},
		{line: "get -sep , HOST a,b", want: "c,d\n"},
		{line: "mget HOST k no k", want: "k\tbc\nk\tbc\n"},
		{line: "mget HOST"},
		{line: "list -pv -fm k HOST", want: "k\tbc\n"},
		{line: "list -px -fm k HOST", want: "6B\n"},
		{line: "list -m 0 -fm k HOST"},
		{line: "put -dai HOST i 40", want: "40\n"},
		{line: "put -dai HOST i 2x", want: "42\n"},
		{line: "put -dai HOST k 1", stderr: exists},
		{line: "put -dad HOST d -0.75", want: "-0.750000\n"},
		{line: "put -dad HOST d x", stderr: "tcrmgr: \"x\" is not a number\n"},
		{line: "out HOST k"},
		{line: "out HOST k", stderr: missing},
		{line: "misc HOST put m 1"},
		{line: "misc -mnu HOST get m", want: "1\n"},
		{line: "misc HOST getlist m no d", want: "m\n1\nd\n\x00\x00\x00\x00\x00\x00\xe8\xbf\n"},
		{line: "misc HOST nosuch", stderr: other},
		{line: "ext HOST nosuch k v", stderr: other},
		{line: "sync HOST"},
		{line: "optimize HOST"},
		{line: "optimize HOST bnum=10"},
		{line: "vanish HOST"},
		{line: "importtsv -sc HOST", stdin: "NoTab\nKey\tA\tb\nlast\t", want: " (00000002)\n"},
		{line: "mget HOST key last", want: "key\tA\tb\nlast\t\n"},
		{line: "list -m 1 -fm l HOST", want: "last\n"},
		{line: "vanish HOST"},
		{line: "put HOST only one"},
		{line: "list -pv HOST", want: "only\tone\n"},
		{line: "importtsv HOST", stdin: many.String(), want: dots},
		{line: "importtsv -nr HOST", stdin: many.String(), want: dots},
		{line: "importtsv HOST absent", stderr: "tcrmgr: open absent: no such file or directory\n"},
		{line: "put HOST#tout=20 o p"},
		{line: "get -port 9 HOST#tout=0.5 o", want: "p\n"},
	} {
		c.check(t, "tcrmgr", host)
	}

	var stdout, stderr bytes.Buffer
	if code := run([]string{"tcrmgr", "list", "-m", "7", host}, nil, &stdout, &stderr); code != exitOK || strings.Count(stdout.String(), "\n") != 7 {
		t.Errorf("list -m 7: code %d, printed %q, errors %q", code, &stdout, &stderr)
	}
	stdout.Reset()
	if code := run([]string{"tcrmgr", "inform", "-st", host}, nil, &stdout, &stderr); code != exitOK || !strings.Contains(stdout.String(), "\nrnum\t5004\n") {
		t.Errorf("inform -st: code %d, printed %q, errors %q", code, &stdout, &stderr)
	}
}

func TestTcrmgrVersion(t *testing.T) {
	want := "Tokyo Tyrant version 1.1.41 (324:0.91) for Linux\n" + thisBuild().String() + "\n"
	for _, line := range []string{"version", "--version"} {
		tyrantCall{line: line, want: want}.check(t, "tcrmgr", "")
	}
}

func TestTcrmgrUsage(t *testing.T) {
	for _, line := range []string{"", "nosuch", "put h k", "put h k v w", "put -pv h k v", "get -port", "get -port 1", "inform", "version x", "http", "http -ah a url", "get - h k", "list h -pv"} {
		var stdout, stderr bytes.Buffer
		code := run(append([]string{"tcrmgr"}, strings.Fields(line)...), nil, &stdout, &stderr)
		if code != exitFailure || stdout.Len() > 0 || !strings.Contains(stderr.String(), "\n  tcrmgr put [-port num] [-sx] [-sep chr] [-dk|-dc|-dai|-dad] [-ds num] host key value\n") {
			t.Errorf("tcrmgr %s: code %d, printed %q, errors %q: want usage", line, code, &stdout, &stderr)
		}
	}
}

// TestTcrmgrOptions checks that every option that a usage names is there, and the other way round.
func TestTcrmgrOptions(t *testing.T) {
	all := new(tcrmgr).dashOptions()
	seen := map[string]bool{}
	for _, c := range tcrmgrCommands {
		known := usageOptions(c.usage, all)
		for name := range known {
			seen[name] = true
		}
		if got, want := len(known), strings.Count(c.usage, "[-")+strings.Count(c.usage, "|-"); got != want {
			t.Errorf("%s: %d of the %d options of its usage are known", c.name, got, want)
		}
	}
	for name := range all {
		if !seen[name] {
			t.Errorf("no usage names %s", name)
		}
	}
}

func TestTcrmgrErrors(t *testing.T) {
	closed, err := closedAddr()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []tyrantCall{
		{line: "get HOST k", stderr: "tcrmgr: error: 3: connection refused\n"},
		{line: "get -port 0 /nonexistent/socket k", stderr: "tcrmgr: error: 3: connection refused\n"},
		{line: "get -port 70000 127.0.0.1 k", stderr: "tcrmgr: error: 1: invalid operation\n"},
	} {
		c.check(t, "tcrmgr", closed)
	}
}

func TestTyrantAddress(t *testing.T) {
	for _, c := range []struct {
		expression string
		port       int
		address    string
		timeout    time.Duration
	}{
		{"host", 1978, "host:1978", 0},
		{"host", 1979, "host:1979", 0},
		{"host:1980", 1979, "host:1980", 0},
		{"host:", 1979, "host:1978", 0},
		{":1980", 1979, "127.0.0.1:1980", 0},
		{"host#port=1980#tout=2.5", 1979, "host:1980", 2500 * time.Millisecond},
		{"host:7#TOUT=-1", 1979, "host:7", 0},
		{"#host=h#port=8", 1979, "h:8", 0},
		{"/run/socket", 0, "unix:/run/socket", 0},
		{"/run/socket#port=0", 1978, "unix:/run/socket", 0},
		{"::1", 1979, "[::1]:1979", 0},
		{"[::1]:1980", 1979, "[::1]:1980", 0},
	} {
		if address, timeout := tyrantAddress(c.expression, c.port); address != c.address || timeout != c.timeout {
			t.Errorf("tyrantAddress(%q, %d) = %q, %v, want %q, %v", c.expression, c.port, address, timeout, c.address, c.timeout)
		}
	}
}

// scriptedTyrant answers every request with what answer returns, and closes the connection when that is nil.
func scriptedTyrant(t *testing.T, answer func(*tyrant.Request) []byte) (address string) {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	serve := func(nc net.Conn) {
		defer nc.Close()
		var d tyrant.Decoder
		var r tyrant.Request
		var in []byte
		piece := make([]byte, 4096)
		for {
			n, err := nc.Read(piece)
			if err != nil {
				return
			}
			in = append(in, piece[:n]...)
			for {
				n, _, err := d.Decode(in, &r)
				in = in[n:]
				if err != nil {
					break
				}
				out := answer(&r)
				if _, err := nc.Write(out); err != nil || out == nil {
					return
				}
			}
		}
	}
	var sessions sync.WaitGroup
	sessions.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			sessions.Go(func() { serve(nc) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		sessions.Wait()
	})
	return l.Addr().String() + "#port=0"
}

// TestTcrmgrRequests checks what the commands for administrators and scripts send.
func TestTcrmgrRequests(t *testing.T) {
	var mu sync.Mutex
	var asked string
	host := scriptedTyrant(t, func(r *tyrant.Request) []byte {
		mu.Lock()
		defer mu.Unlock()
		asked = fmt.Sprintf("%s name=%s key=%s value=%s text=%s port=%d time=%d options=%d args=%q",
			r.Command, r.Name, r.Key, r.Value, r.Text, r.Port, r.Time, r.Options, r.Args)
		switch r.Command {
		case tyrant.Ext:
			return tyrant.AppendValue(nil, []byte("a\x00b"))
		case tyrant.Misc:
			return tyrant.AppendElement(tyrant.AppendList(nil, true, 1), []byte("\x00"))
		}
		return tyrant.AppendStatus(nil, true)
	})
	for _, c := range []struct {
		line, want, asked string
	}{
		{"ext -sep . HOST f", "a.b\n", "ext name=f key= value= text= port=0 time=0 options=0 args=[]"},
		{"ext -xlr HOST f k v", "a\x00b\n", "ext name=f key=k value=v text= port=0 time=0 options=1 args=[]"},
		{"ext -xlg -px -sx HOST f 6b", "61 00 62\n", "ext name=f key=k value= text= port=0 time=0 options=2 args=[]"},
		{"optimize HOST bnum=1#opts=l", "", "optimize name= key= value= text=bnum=1#opts=l port=0 time=0 options=0 args=[]"},
		{"copy HOST /backup/casket", "", "copy name= key= value= text=/backup/casket port=0 time=0 options=0 args=[]"},
		{"restore -ts 123 -rcc HOST /log", "", "restore name= key= value= text=/log port=0 time=123 options=1 args=[]"},
		{"setmst HOST", "", "setmst name= key= value= text= port=1978 time=0 options=0 args=[]"},
		{"setmst HOST ''", "", "setmst name= key= value= text= port=1978 time=0 options=0 args=[]"},
		{"setmst -mport 1979 -ts 5 HOST master", "", "setmst name= key= value= text=master port=1979 time=5 options=0 args=[]"},
		{"misc -mnu -sep : HOST search a:b c", ":\n", `misc name=search key= value= text= port=0 time=0 options=1 args=["a\x00b" "c"]`},
	} {
		tyrantCall{line: c.line, want: c.want}.check(t, "tcrmgr", host)
		mu.Lock()
		if asked != c.asked {
			t.Errorf("tcrmgr %s sent\n%s, want\n%s", c.line, asked, c.asked)
		}
		mu.Unlock()
	}

	before := time.Now().UnixMicro()
	tyrantCall{line: "restore -ts NOW HOST /log"}.check(t, "tcrmgr", host)
	var micros int64
	mu.Lock()
	_, at, _ := strings.Cut(asked, "time=")
	mu.Unlock()
	if fmt.Sscan(at, &micros); micros < before || micros > time.Now().UnixMicro() {
		t.Errorf("-ts NOW sent the time %d, want the present, %d or a little later", micros, before)
	}

	lost := scriptedTyrant(t, func(*tyrant.Request) []byte { return nil })
	tyrantCall{line: "vanish HOST", stderr: "tcrmgr: error: 5: recv error\n"}.check(t, "tcrmgr", lost)
}

func TestTcrmgrRepl(t *testing.T) {
	payload := tyrant.AppendPayload(nil, &tyrant.Request{Command: tyrant.Put, Key: []byte("k"), Value: []byte("v")}, true)
	entry := tyrant.Entry{Time: 1234567, SID: 7, Payload: payload}
	var refused atomic.Bool
	host := scriptedTyrant(t, func(r *tyrant.Request) []byte {
		if refused.Load() {
			return tyrant.AppendSID(nil, 0)
		}
		out := tyrant.AppendKeepAlive(tyrant.AppendSID(nil, 9))
		if r.Time == 55 && r.SID == 3 {
			out = tyrant.AppendStreamEntry(out, &entry)
		}
		return append(out, "junk"...) // the end for a client
	})
	onDisk := entry
	onDisk.MID = 9
	const lost = "tcrmgr: error: 5: recv error\n"
	for _, c := range []tyrantCall{
		{line: "repl -ts 55 -sid 3 HOST", want: string(tyrant.AppendEntry(nil, &onDisk)), stderr: lost},
		{line: "repl -ts 55 -sid 3 -ph HOST", want: "1234567\t7:9\tput\tC8 10 00 00 00 01 00 00 00 01 6B 76 00\n", stderr: lost},
		{line: "repl HOST", stderr: lost},
	} {
		c.check(t, "tcrmgr", host)
	}
	refused.Store(true)
	tyrantCall{line: "repl HOST", stderr: "tcrmgr: error: 9999: miscellaneous error\n"}.check(t, "tcrmgr", host)
}

func TestTcrmgrHTTP(t *testing.T) {
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Date"] = nil
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("X-Got", r.Method+" "+r.Host+" "+r.Header.Get("X-A"))
		w.WriteHeader(http.StatusNotFound)
		io.WriteString(w, "nothing "+r.URL.Path)
	}))
	defer web.Close()
	for _, c := range []tyrantCall{
		{line: "http HOST/x", want: "nothing /x"},
		{line: "http -ah X-A b -ah host h -ih HOST/x", want: "STATUS: HTTP/1.1 404 Not Found\ncontent-length: 10\ncontent-type: text/plain\nx-got: GET h b\n\nnothing /x"},
	} {
		c.check(t, "tcrmgr", web.URL)
	}
}

func TestTtulmgr(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{"a", "b", "c"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	lines := []string{
		"1000\t1:0\tput\tC8 10 00 00 00 01 00 00 00 01 6B 76 00\n",
		"2000\t2:1\tout\tC8 20 00 00 00 01 6B 01\n",
		"3000\t1:2\tvanish\tC8 72 00\n",
		"4000\t1:0\tmisc\tC8 90 00 00 00 03 00 00 00 01 70 75 74 00 00 00 01 6B 00\n",
	}
	all := strings.Join(lines, "")
	for _, c := range []tyrantCall{
		{line: "export HOST/a"},
		{line: "import HOST/a", stdin: all},
		{line: "export HOST/a", want: all},
		{line: "import -lim 1 HOST/b", stdin: strings.TrimSuffix(all, "\n")},
		{line: "export -ts 3000 HOST/b", want: lines[2] + lines[3]},
		{line: "export -sid 2 HOST/a", want: lines[0] + lines[3]},
		{line: "import HOST/c", stdin: lines[0] + "1000\t1:0\tput\tC8 10\n", stderr: "ttulmgr: import line 2: not a logged request\n"},
		{line: "export HOST/c", want: lines[0]},
		{line: "import HOST/c", stdin: "1000\t1:0\tput\n", stderr: "ttulmgr: import line 1: 3 fields, want 4 with TABs between\n"},
		{line: "import HOST/c", stdin: "-1\t1:0\tput\tC87200\n", stderr: "ttulmgr: import line 1: time \"-1\", want microseconds since 1970\n"},
		{line: "import HOST/c", stdin: "1\t1:65536\tput\tC87200\n", stderr: "ttulmgr: import line 1: ids \"1:65536\", want sid:mid, each 0 to 65535\n"},
		{line: "import HOST/c", stdin: "1\t1:0\tvanish\tC8720\n", stderr: "ttulmgr: import line 1: \"C8720\" is not made of bytes of two hexadecimal digits\n"},
		{line: "import HOST/absent", stderr: "ttulmgr: open log " + dir + "/absent to write: open " + dir + "/absent: no such file or directory\n"},
	} {
		c.check(t, "ttulmgr", dir)
	}
	if files, err := filepath.Glob(dir + "/b/*.ulog"); len(files) != 5 || err != nil {
		t.Errorf("import -lim 1 made the files %q (%v), want one for each entry and the next", files, err)
	}
	for _, line := range []string{"", "nosuch", "export", "export a b", "export -lim 1 a", "import -ts 1 a", "import -lim"} {
		var stdout, stderr bytes.Buffer
		code := run(append([]string{"ttulmgr"}, strings.Fields(line)...), nil, &stdout, &stderr)
		if code != exitFailure || !strings.Contains(stderr.String(), "\n  ttulmgr import [-lim num] upath\n") {
			t.Errorf("ttulmgr %s: code %d, errors %q: want usage", line, code, &stderr)
		}
	}
}

func TestReadLine(t *testing.T) {
	long := strings.Repeat("x", 10000)
	for _, c := range []struct{ text, want string }{
		{"a\nb", `["a" "b"] EOF`}, {"", `[] EOF`}, {"\n", `[""] EOF`}, {long + "\n", `["` + long + `"] EOF`},
		{"a\n" + long + long, `["a"] a line is too long: more than 10001 bytes`},
	} {
		r := bufio.NewReader(strings.NewReader(c.text))
		lines := []string{}
		var err error
		for {
			var line []byte
			if line, err = readLine(r, 10001); err != nil {
				break
			}
			lines = append(lines, string(line))
		}
		if got := fmt.Sprintf("%q %v", lines, err); got != c.want {
			t.Errorf("lines of %.20q: got %.60s, want %.60s", c.text, got, c.want)
		}
	}
}

func TestTyrantNumbers(t *testing.T) {
	for text, want := range map[string]int64{
		"": 0, "x": 0, "12": 12, " -12x": -12, "+7": 7, "--7": 0, "9223372036854775808": 1<<63 - 1, "-99999999999999999999": -1<<63 + 1,
	} {
		if got := leadingInt(text); got != want {
			t.Errorf("leadingInt(%q) = %d, want %d", text, got, want)
		}
	}
	for text, want := range map[string]int64{
		"": 0, "k": 0, "x": 0, "-1": 0, "nan": 0, "10": 10, "1.5k": 1536, "2M": 2 << 20, "1g": 1 << 30, "1t": 1 << 40, "99999e": 1<<62 - 1,
	} {
		if got := tyrantSize(text); got != want && !(text == "99999e" && got >= want) {
			t.Errorf("tyrantSize(%q) = %d, want %d", text, got, want)
		}
	}
}

func FuzzParseEntryLine(f *testing.F) {
	f.Add([]byte("1000\t1:0\tput\tC8 10 00 00 00 01 00 00 00 01 6B 76 00"))
	f.Fuzz(func(t *testing.T, line []byte) {
		e, err := parseEntryLine(line)
		if err != nil {
			return
		}
		text := entryLine(&e)
		again, err := parseEntryLine(text[:len(text)-1])
		if err != nil || again.Time != e.Time || again.SID != e.SID || again.MID != e.MID || !bytes.Equal(again.Payload, e.Payload) {
			t.Errorf("entry %+v of %q became %+v, %v", e, line, again, err)
		}
	})
}

func TestArgsByName(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"/usr/bin/tcrmgr put h", "tcrmgr put h"}, {"ttulmgr", "ttulmgr"}, {"./futago tcrmgr put", "tcrmgr put"}, {"futago", ""},
	} {
		if got := strings.Join(argsByName(strings.Fields(c.line)), " "); got != c.want {
			t.Errorf("argsByName(%q) = %q, want %q", c.line, got, c.want)
		}
	}
}
