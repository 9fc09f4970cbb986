package transcript

import (
	"bufio"
	"net"
	"strings"
	"testing"
)

// startServer serves every connection with serve, which must return when the connection ends, until the test ends.
func startServer(t *testing.T, serve func(net.Conn)) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-done })
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { c.Close() })
			go func() {
				defer c.Close()
				serve(c)
			}()
		}
	}()
	return l.Addr().String()
}

// startFake runs a server that answers each line by the next of its replies; the last one repeats. A reply
// "close" closes the connection. Lines without replies are not answered.
func startFake(t *testing.T, replies map[string][]string) (addr string) {
	t.Helper()
	return startServer(t, func(c net.Conn) { serveFake(c, replies) })
}

func serveFake(c net.Conn, replies map[string][]string) {
	asked := map[string]int{}
	r := bufio.NewReader(c)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimSuffix(line, "\r\n")
		answers := replies[line]
		if line == "version" {
			answers = []string{"VERSION 1.2.3\r\n"}
		}
		if len(answers) == 0 {
			continue
		}
		answer := answers[min(asked[line], len(answers)-1)]
		asked[line]++
		if answer == "close" {
			return
		}
		if _, err := c.Write([]byte(answer)); err != nil {
			return
		}
	}
}

// TestReplay has cases that pass, and for each kind of expectation one that must fail: a runner that never fails
// proves nothing.
func TestReplay(t *testing.T) {
	addr := startFake(t, map[string][]string{
		"a":         {"A\r\n"},
		"two":       {"1\r\n2\r\n"},
		"late":      {"wait\r\n", "wait\r\n", "now\r\n"},
		"bare":      {"A\n"},
		"data":      {"x\r\ny\x00\r\n"},
		"bye":       {"close"},
		"last":      {"L\r\n"},
		"cas":       {"VALUE k 0 1 77\r\n"},
		"use 77":    {"used\r\n"},
		"xxx":       {"three\r\n"},
		"stat":      {"STAT pid 1\r\nSTAT time 2\r\nEND\r\n"},
		"a.b":       {"a.b\r\n"},
		"unstarted": {"END\r\n"},
	})
	for _, c := range []struct{ name, text, want string }{
		{"line", "> a\n< A", ""},
		{"wrong line", "> a\n< B", `2: got "A\r\n", want "B\r\n"`},
		{"raw", ">> a\\r\\na\\r\\n\n< A\n< A", ""},
		{"line without carriage return", "> bare\n< A", `want "A\r\n"`},
		{"line ends in data", "> data\n< x\\r\\ny\\x00", ""},
		{"reply too many", "> two\n< 1", `got ["2"], want nothing more`},
		{"reply too many in a section", "> two\n< 1\n== next\n> a\n< A", `3: connection 1: got ["2"]`},
		{"unexpected reply", "> a", `got ["A"], want nothing more`},
		{"reply for noreply", "> a\n> two\n< 1\n< 2", `3: got "A\r\n"`},
		{"pattern", "> cas\n<~ VALUE k 0 1 \\d+", ""},
		{"pattern must match the whole line", "> cas\n<~ VALUE k", "2: got"},
		{"pattern and a bare line feed", "> bare\n<~ A", "2: got"},
		{"variable", "> cas\n<~ VALUE k 0 1 (?P<u>\\d+)\n> use ${u}\n<~ used\n> cas\n<~ VALUE k 0 1 ${u}", ""},
		{"unknown variable", "> use ${u}", "1: unknown variable ${u}"},
		{"variable is literal in a pattern", "> a.b\n<~ (?P<v>.*)\n> a.b\n<~ ${v}", ""},
		{"repetition", "> ${x*3}\n< three", ""},
		{"bad repetition", "> ${x*99999999}", "1: bad repetition"},
		{"bad time", "> ${nowhere}", "1: bad time"},
		{"many", "> stat\n<& STAT pid \\d\n<& STAT time 2\n<* STAT .*\n< END", ""},
		{"none of many", "> unstarted\n<* STAT .*\n< END", ""},
		{"one of many missing", "> stat\n<& STAT uptime .*\n<* STAT .*\n< END", "3: no line matches"},
		{"among nothing", "> stat\n<& STAT .*", "<& without <*"},
		{"until", ">? late\n< now", ""},
		{"until with a pattern", ">? late\n<~ now", "1: after >? only < may follow"},
		{"close", "> bye\n<-", ""},
		{"close and new section", "> bye\n<-\n== next\n> a\n< A", ""},
		{"close that is none", "> a\n<-", `2: got "A\r\n"`},
		{"close that is not expected", "> bye\n< A", "2: got \"\" and then EOF"},
		{"close at the end that is not expected", "> bye", `wait for "VERSION "`},
		{"two connections", "> a\n@ 2\n> two\n< 1\n< 2\n@ 1\n< A", ""},
		{"two connections mixed up", "> a\n@ 2\n> two\n< 1\n< 2\n@ 1\n< 1", `7: got "A\r\n"`},
		{"other server", "> a\n# why\n<m B\n<f A", ""},
	} {
		t.Run(c.name, func(t *testing.T) { checkReplay(t, addr, c.text, c.want) })
	}
}

// checkReplay replays a transcript and demands that it passes, or with want an error with that text.
func checkReplay(t *testing.T, addr, text, want string) {
	t.Helper()
	steps, err := parse(text)
	if err != nil {
		t.Fatal(err)
	}
	err = replay(addr, steps, futago)
	if want == "" && err != nil {
		t.Errorf("got error %v, want none", err)
	}
	if want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
		t.Errorf("got error %v, want one with %q", err, want)
	}
}

// TestReplayDiffers has a server whose replies are others than the file says, as far as it is told.
func TestReplayDiffers(t *testing.T) {
	addr := startFake(t, map[string][]string{"a": {"A\r\n"}, "ab": {"A\r\n"}, "b": {"A\r\n"}})
	steps, err := parse("> a\n< B\n> ab\n<~ [B]\n> b\n< A")
	if err != nil {
		t.Fatal(err)
	}
	if err := replay(addr, steps, futago); err == nil {
		t.Error("without a difference: no error, want a wrong line")
	}
	differ(steps, []Difference{{Behind: "a", Wanted: "B", Instead: "A"}, {Behind: "a", Wanted: "X", Instead: "Y"}})
	if err := replay(addr, steps, futago); err != nil {
		t.Error(err)
	}
	differ(steps, []Difference{{Behind: "b", Wanted: "A", Instead: "B"}})
	if err := replay(addr, steps, futago); err == nil {
		t.Error("with one that is none: no error, want a wrong line")
	}
}

func TestReplayChoosesServer(t *testing.T) {
	addr := startFake(t, map[string][]string{"a": {"A\r\n"}})
	steps, err := parse("> a\n# why\n<m A\n<f B")
	if err != nil {
		t.Fatal(err)
	}
	if err := replay(addr, steps, memcached); err != nil {
		t.Errorf("as memcached: %v", err)
	}
	if err := replay(addr, steps, futago); err == nil {
		t.Error("as futago: no error, want a wrong line")
	}
}
