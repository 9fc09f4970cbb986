package node

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// document asks the admin port for a document, as a user if one is given.
func document[T any](t *testing.T, r *running, path, user string) (d T, code int) {
	t.Helper()
	resp, body := send(t, r, "GET", path, func(r *http.Request) {
		if user != "" {
			r.SetBasicAuth(user, user+"pw")
		}
	})
	if resp.StatusCode == 200 {
		if err := json.Unmarshal([]byte(body), &d); err != nil {
			t.Fatalf("%s: %v in %s", path, err, body)
		}
	}
	return d, resp.StatusCode
}

// load sends a few requests of memcached's, all at once.
func load(t *testing.T, r *running, login string) {
	t.Helper()
	c, err := net.Dial("tcp", r.Addrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	text := login
	for range 10 {
		text += "get shop:hot\r\n"
	}
	fmt.Fprintf(c, "%sset other:big 0 0 50000\r\n%s\r\nquit\r\n", text, strings.Repeat("x", 50000))
	if err := c.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	stored := false
	for lines := bufio.NewScanner(c); lines.Scan(); {
		stored = stored || lines.Text() == "STORED"
	}
	if !stored {
		t.Fatal("the load was not executed")
	}
}

func TestObservationDocuments(t *testing.T) {
	cfg := testConfig(t, 3)
	cfg.SampleRequests, cfg.SlowThreshold = 1, 1
	r := start(t, cfg)
	r.waitReady(t)
	load(t, r, "")
	eventually(t, "the slow set is noted", func() bool {
		d, _ := document[SlowDocument](t, r, "/slow", "")
		for _, s := range d.Slow {
			if s.Command == "set" && string(s.Key) == "other:big" && s.Bytes > 50000 && s.Seconds > 0 && d.Counts["execution"] > 0 && d.Threshold == 1e-9 && d.Node == 3 {
				return true
			}
		}
		return false
	})
	if d, _ := document[SlowDocument](t, r, "/slow?limit=1", ""); len(d.Slow) != 1 || d.KeysHidden {
		t.Errorf("limit: got %+v", d)
	}
	d, _ := document[HotDocument](t, r, "/hot", "")
	if len(d.Hot) != 1 || string(d.Hot[0].Key) != "shop:hot" || d.Hot[0].Samples != 10 || d.Hot[0].Share < 0.8 || d.Hot[0].Writes != 0 || d.Hot[0].Rate <= 0 || d.Sample != 1 {
		t.Errorf("hot: got %+v", d)
	}
	if len(d.Big) != 1 || string(d.Big[0].Key) != "other:big" || d.Big[0].Size != 50000 {
		t.Errorf("big: got %+v", d)
	}
	eventually(t, "the first second is over", func() bool {
		load(t, r, "")
		l, _ := document[LatencyDocument](t, r, "/latency", "")
		get := l.Commands["get"]
		return get.Count > 0 && get.P50 > 0 && get.P50 <= get.P99 && get.P99 <= get.P999 && l.Rounds.Count > 0 && l.Seconds >= 1
	})
	eventually(t, "the history has latencies", func() bool {
		load(t, r, "")
		_, body := fetch(t, r, "/history")
		var h struct {
			P99 []*float64 `json:"latency_p99_seconds"`
		}
		if err := json.Unmarshal([]byte(body), &h); err != nil {
			t.Fatal(err)
		}
		for _, v := range h.P99 {
			if v != nil && *v > 0 {
				return true
			}
		}
		return false
	})
	eventually(t, "the log is told once", func() bool {
		for _, e := range r.events.recent() {
			if strings.HasPrefix(e.Text, "requests were slow") && e.Level == "WARN" && !strings.Contains(e.Text, "shop:hot") && !strings.Contains(e.Text, "other:big") {
				return true
			}
		}
		return false
	})
	before, _ := document[SlowDocument](t, r, "/slow", "")
	r.server.SlowLog().SetThreshold(0)
	load(t, r, "")
	if after, _ := document[SlowDocument](t, r, "/slow", ""); after.Threshold != 0 || after.Counts["execution"] > before.Counts["execution"]+2 {
		t.Errorf("after the threshold was taken away: got %+v, before %+v", after.Counts, before.Counts)
	}
	for _, path := range []string{"/slow?limit=x", "/hot?limit=-1"} {
		if _, code := document[HotDocument](t, r, path, ""); code != 400 {
			t.Errorf("%s: got status %d, want 400", path, code)
		}
	}
}

// Where there are users, keys are told to those who may read them, as on the client port.
func TestObservationKeysAreForReaders(t *testing.T) {
	line := func(name, rest string) string {
		hash, err := bcrypt.GenerateFromPassword([]byte(name+"pw"), bcrypt.MinCost)
		if err != nil {
			t.Fatal(err)
		}
		return name + ":" + string(hash) + " " + rest + "\n"
	}
	cfg := testConfig(t, 1)
	cfg.SampleRequests, cfg.SlowThreshold, cfg.Users = 1, 1, filepath.Join(t.TempDir(), "users")
	text := line("all", "rights=read,write") + line("shop", "rights=read prefix=shop:") + line("writer", "rights=write") + line("root", "rights=admin")
	if err := os.WriteFile(cfg.Users, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r := start(t, cfg)
	r.waitReady(t)
	load(t, r, "set x 0 0 9\r\nall allpw\r\n")
	for _, c := range []struct {
		user     string
		code     int
		hidden   bool
		hot, big string
	}{
		{"", 401, false, "", ""},
		{"all", 200, false, "shop:hot", "other:big"},
		{"shop", 200, false, "shop:hot", ""},
		{"root", 200, true, "", ""},
		{"writer", 403, false, "", ""},
		{"nobody", 401, false, "", ""},
	} {
		d, code := document[HotDocument](t, r, "/hot", c.user)
		if code != c.code || d.KeysHidden != c.hidden {
			t.Errorf("hot keys for %q: got status %d, hidden %v", c.user, code, d.KeysHidden)
		}
		if code == 200 && (len(d.Hot) != 1 || string(d.Hot[0].Key) != c.hot || len(d.Big) != 1 || string(d.Big[0].Key) != c.big) {
			t.Errorf("hot keys for %q: got %+v", c.user, d)
		}
		s, code := document[SlowDocument](t, r, "/slow", c.user)
		if code != c.code || s.KeysHidden != c.hidden {
			t.Errorf("slow requests for %q: got status %d, hidden %v", c.user, code, s.KeysHidden)
		}
		seen := map[string]bool{}
		for _, n := range s.Slow {
			if len(n.Key) > 0 {
				seen[string(n.Key)] = true
			}
		}
		if seen["other:big"] != (c.big != "") {
			t.Errorf("slow requests for %q: got keys %v", c.user, seen)
		}
	}
}
