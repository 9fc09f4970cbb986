package migrate

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/gomodule/redigo/redis"
)

// fakeRedis answers commands, given with spaces between their words, with what answer gives.
func fakeRedis(t *testing.T, answer func(command string) string) *Redis {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer nc.Close()
				in := bufio.NewReader(nc)
				for {
					words, err := readCommand(in)
					if err != nil {
						return
					}
					if _, err := io.WriteString(nc, answer(strings.Join(words, " "))); err != nil {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		serving.Wait()
	})
	return &Redis{Dial: func(ctx context.Context) (redis.Conn, error) {
		return redis.DialContext(ctx, "tcp", l.Addr().String())
	}}
}

// readCommand reads an array of strings.
func readCommand(in *bufio.Reader) (words []string, err error) {
	var n, size int
	if _, err := fmt.Fscanf(in, "*%d\r\n", &n); err != nil {
		return nil, err
	}
	for range n {
		if _, err := fmt.Fscanf(in, "$%d\r\n", &size); err != nil {
			return nil, err
		}
		word := make([]byte, size+2)
		if _, err := io.ReadFull(in, word); err != nil {
			return nil, err
		}
		words = append(words, string(word[:size]))
	}
	return words, nil
}

func bulk(text string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(text), text) }

// scanReply is a reply to SCAN.
func scanReply(cursor string, keys ...string) string {
	reply := "*2\r\n" + bulk(cursor) + fmt.Sprintf("*%d\r\n", len(keys))
	for _, key := range keys {
		reply += bulk(key)
	}
	return reply
}

// TestRedis names what is not stored, goes on where it was, and begins anew after a restart of the server.
func TestRedis(t *testing.T) {
	n := startNode(t, 1000)
	var mu sync.Mutex
	run, sick, scans := "aaaa", true, []string{}
	answers := map[string]string{
		"DBSIZE": ":9\r\n", "TYPE good": "+string\r\n", "STRLEN good": ":2\r\n", "GET good": bulk("hi"), "PTTL good": ":100000\r\n",
		"TYPE list": "+list\r\n", "STRLEN list": "-WRONGTYPE no string\r\n", "TYPE gone": "+none\r\n", "STRLEN gone": ":0\r\n",
		"TYPE large": "+string\r\n", "STRLEN large": ":1001\r\n", "TYPE denied": "-NOPERM no right\r\n", "STRLEN denied": "-NOPERM no right\r\n",
		"TYPE went": "+string\r\n", "STRLEN went": ":2\r\n", "GET went": "$-1\r\n", "PTTL went": ":-2\r\n",
		"TYPE turned": "+string\r\n", "STRLEN turned": ":2\r\n", "GET turned": "-WRONGTYPE no string\r\n", "PTTL turned": ":-1\r\n",
	}
	s := fakeRedis(t, func(command string) string {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case command == "INFO server":
			return bulk("# Server\r\nredis_version:7\r\nrun_id:" + run + "\r\ntcp_port:1\r\n")
		case strings.HasPrefix(command, "SCAN"):
			scans = append(scans, strings.Fields(command)[1])
			switch {
			case strings.HasPrefix(command, "SCAN 0 "):
				return scanReply("17", "good", "list", "gone")
			case sick:
				return "-LOADING later\r\n"
			}
			return scanReply("0", "large", "denied", "went", "turned")
		}
		return answers[command]
	})
	path := statePath(t)
	transfer := func() (*Summary, error) {
		return brought(t, TransferConfig{Source: s, Target: n.dial, State: openState(t, path)})
	}
	first, err := transfer()
	if err == nil || !strings.Contains(err.Error(), "LOADING") {
		t.Errorf("a sick server: got %+v, %v", first, err)
	}
	mu.Lock()
	sick = false
	mu.Unlock()
	check := func(done *Summary, err error) {
		t.Helper()
		if err != nil || done.Read != 7 || done.Stored != 1 || done.count("of type list") != 1 || done.count(reasonGone) != 2 || done.count(reasonValue) != 1 ||
			done.count(`the source says "NOPERM"`) != 1 || done.count("changed while it was read") != 1 || done.AllFailed() != 2 {
			t.Errorf("got %+v, %v", done, err)
		}
	}
	check(transfer())
	check(transfer()) // it has come to the end: nothing is listed
	mu.Lock()
	run = "bbbb"
	mu.Unlock()
	check(transfer())
	if got := strings.Join(scans, " "); got != "0 17 17 0 17" {
		t.Errorf("lists began at %s", got)
	}
	if i := n.items(t)["good"]; string(i.Value) != "hi" || i.Expires == 0 {
		t.Errorf("good: got %+v", i)
	}
	state := openState(t, path)
	state.Place = "bbbb"
	if done, err := brought(t, TransferConfig{Source: s, Target: n.dial, State: state}); !errors.Is(err, ErrOtherSource) {
		t.Errorf("a broken place: got %+v, %v", done, err)
	}
}

func TestGlobPrefix(t *testing.T) {
	if got := string(globPrefix([]byte(`a*?[]^\b`))); got != `a\*\?\[\]\^\\b*` {
		t.Errorf("got %s", got)
	}
}
