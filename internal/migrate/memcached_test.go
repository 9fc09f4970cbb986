package migrate

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/futago/futago/internal/tyrant"
)

// fakeMemcached answers each command line with what answer gives, until that is "hang up".
func fakeMemcached(t *testing.T, answer func(line string) string) *Memcached {
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
				lines := bufio.NewScanner(nc)
				for lines.Scan() {
					reply := answer(lines.Text())
					if reply == "hang up" {
						return
					}
					if _, err := io.WriteString(nc, reply); err != nil {
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
	return &Memcached{Timeout: 20 * time.Second, Dial: func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", l.Addr().String())
	}}
}

const statsReply = "STAT pid 1\r\nSTAT curr_items 3\r\nEND\r\n"

func TestMemcached(t *testing.T) {
	binary := base64.StdEncoding.EncodeToString([]byte("a b\xff"))
	long := strings.Repeat("%20", 240)
	dump := "key=text exp=-1 la=1 cas=1 fetch=no cls=1 size=1\nkey=a%20b%FF exp=1 la=1\nkey=gone exp=-1 \nkey=large exp=-1 \nkey=sick exp=-1 \nkey=" + long + " exp=-1 \nEND\r\n"
	answers := map[string]string{
		"stats":                       statsReply,
		"lru_crawler metadump all":    dump,
		"mg text v f t u":             "VA 2 f7 t-1\r\nhi\r\n",
		"mg " + binary + " v f t u b": "VA 0 f0 t100 b\r\n\r\n",
		"mg gone v f t u":             "EN\r\n",
		"mg large v f t u":            "VA 2000 f0 t-1\r\n" + strings.Repeat("x", 2000) + "\r\n",
		"mg sick v f t u":             "SERVER_ERROR out of memory writing get response\r\n",
		"lru_crawler mgdump all":      "mg text\r\nmg " + binary + " b\r\nEN\r\n",
	}
	for _, mgdump := range []bool{false, true} {
		n := startNode(t, 1000)
		busy := false
		m := fakeMemcached(t, func(line string) string {
			if mgdump && strings.Contains(line, "metadump") {
				return "ERROR\r\n"
			}
			if strings.Contains(line, "metadump") && !busy {
				busy = true
				return "BUSY currently processing crawler request\r\n"
			}
			return answers[line]
		})
		began := time.Now().UnixMilli()
		done, err := brought(t, TransferConfig{Source: m, Target: n.dial})
		if err != nil || done.Stored != 2 || !mgdump && (done.count(reasonGone) != 1 || done.count(reasonValue) != 1 ||
			done.count("key that the source cannot be asked for") != 1 || done.AllFailed() != 3 || done.Read != 6) {
			t.Errorf("mgdump %v: got %+v, %v", mgdump, done, err)
		}
		all := n.items(t)
		if i := all["text"]; string(i.Value) != "hi" || i.Flags != 7 || i.Expires != 0 {
			t.Errorf("text: got %+v", i)
		}
		if i, ok := all["a b\xff"]; !ok || i.Expires < began+100_000 || i.Expires > time.Now().UnixMilli()+100_000 {
			t.Errorf("binary: got %+v", i)
		}
	}
}

// TestMemcachedListsWithGaps has keys that move between queues while they are listed: they are missing in a list, or in it twice.
func TestMemcachedListsWithGaps(t *testing.T) {
	n := startNode(t, 0)
	lists := []string{"key=a exp=-1\nkey=b exp=-1\nkey=a exp=-1\nEND\r\n", "key=b exp=-1\nkey=c exp=-1\nEND\r\n", "key=a exp=-1\nEND\r\n", "key=d exp=-1\nEND\r\n"}
	asked := 0
	m := fakeMemcached(t, func(line string) string {
		switch {
		case line == "stats":
			return statsReply
		case line == "lru_crawler metadump all":
			asked++
			return lists[asked-1]
		}
		return "VA 1 f0 t-1\r\nx\r\n"
	})
	done, err := brought(t, TransferConfig{Source: m, Target: n.dial})
	if err != nil || done.Read != 3 || done.Stored != 3 || asked != 3 {
		t.Errorf("after %d lists: got %+v, %v, want 3 lists, 3 records read and stored", asked, done, err)
	}
}

func TestMemcachedFails(t *testing.T) {
	for _, tt := range []struct {
		dump, mg string
		want     error
		text     string
	}{
		{"ERROR lru crawler disabled\r\n", "", ErrNoList, "it says"},
		{"nonsense\r\n", "", nil, "line of metadump"},
		{"key=a exp=-1\nkey=%zz exp=-1\n", "EN\r\n", nil, "line of metadump"},
		{"hang up", "", io.ErrUnexpectedEOF, "list keys"},
		{"key=a exp=-1\n" + strings.Repeat("x", 9<<10) + "\n", "EN\r\n", nil, "a line of more than 8192 bytes"},
		{"key=a exp=-1\nEND\r\n", "ERROR\r\n", nil, "which memcached has since 1.6"},
		{"key=a exp=-1\nEND\r\n", "VA 99999999999999999999 f0 t-1\r\n", nil, "size"},
		{"key=a exp=-1\nEND\r\n", "VA 1 f0 t-1\r\nxy\r\n", nil, "stands behind the value"},
		{"key=a exp=-1\nEND\r\n", "hang up", io.ErrUnexpectedEOF, `read "a"`},
	} {
		n := startNode(t, 0)
		m := fakeMemcached(t, func(line string) string {
			switch {
			case line == "stats":
				return statsReply
			case strings.Contains(line, "dump"):
				return tt.dump
			}
			return tt.mg
		})
		done, err := brought(t, TransferConfig{Source: m, Target: n.dial})
		if err == nil || tt.want != nil && !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
			t.Errorf("%.30q, %.30q: got %+v, %v", tt.dump, tt.mg, done, err)
		}
	}
}

func FuzzMetaDump(f *testing.F) {
	f.Add([]byte("key=a%20b exp=-1 la=1 cas=1 fetch=no cls=1 size=1"))
	f.Add([]byte("mg YSBi b"))
	f.Add([]byte("mg key"))
	f.Add([]byte("VA 10 f4294967295 t-1 b W Z"))
	f.Add([]byte("VA 10 t99999999999"))
	f.Fuzz(func(t *testing.T, line []byte) {
		if key, err := parseMetaDump(line); err == nil && (len(key) == 0 || len(key) > len(line)) {
			t.Errorf("metadump %q: key %q", line, key)
		}
		if key, err := parseMgDump(line); err == nil && (len(key) == 0 || len(key) > len(line)) {
			t.Errorf("mgdump %q: key %q", line, key)
		}
		var i tyrant.Item
		if size, err := parseMetaValue(line, &i, time.Now()); err == nil && (size < 0 || i.Expires < 0 || i.Expires > lastExpiry) {
			t.Errorf("mg %q: size %d, %s", line, size, fmt.Sprint(i))
		}
		if key := append([]byte{}, line...); len(key) > 0 {
			request := appendMetaGet(nil, key)
			if n := strings.Count(string(request), "\n"); n > 1 || len(request) > 0 && n != 1 {
				t.Errorf("request for %q: %q", key, request)
			}
		}
	})
}
