package server

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/futago/futago/internal/store"
)

// verdictOf is what an answer to a write says. An empty header is absent.
type verdictOf struct {
	status               int
	acked, effect, retry string
	body                 string
}

var (
	ackedLocal = verdictOf{status: 201, acked: "local", body: "Created\n"}
	ackedPeer  = verdictOf{status: 201, acked: "peer", body: "Created\n"}
	ackUnknown = verdictOf{status: 503, effect: "unknown", body: store.ErrUnconfirmed.Error() + "\n"}
	ackRefused = verdictOf{status: 503, effect: "none", retry: "1", body: store.ErrNoPeer.Error() + "\n"}
)

func (c *client) verdict() verdictOf {
	c.t.Helper()
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	h := resp.Header
	return verdictOf{resp.StatusCode, h.Get(headerAcked), h.Get(headerEffect), h.Get("Retry-After"), string(body)}
}

// obey makes peer 2 confirm whatever is written until the test ends.
func obey(t *testing.T, st *store.Store) {
	rose, stop, stopped := make(chan struct{}, 1), make(chan struct{}), make(chan struct{})
	cancel := st.OnRise(func() {
		select {
		case rose <- struct{}{}:
		default:
		}
	})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-rose:
				st.Confirm(2, st.Log().Written())
			case <-stop:
				return
			}
		}
	}()
	t.Cleanup(func() { cancel(); close(stop); <-stopped })
}

// What a write asks for decides, whatever the node's own level is, and the answer says what came of it.
func TestHTTPAcknowledgement(t *testing.T) {
	want := map[string]map[string]verdictOf{ // situation, level in force
		"alone":  {"local": ackedLocal, "peer": ackedLocal, "strict": ackRefused},
		"paired": {"local": ackedLocal, "peer": ackedPeer, "strict": ackedPeer},
		"silent": {"local": ackedLocal, "peer": ackedLocal, "strict": ackUnknown},
	}
	for _, node := range []string{"local", "peer", "strict"} {
		for situation, levels := range want {
			t.Run(node+"/"+situation, func(t *testing.T) {
				t.Parallel()
				st := openStore(t, func(c *store.Config) {
					c.AckPeer, c.AckStrict, c.AckTimeout = node == "peer", node == "strict", 50*time.Millisecond
					if situation == "paired" {
						c.AckTimeout = time.Hour // a slow machine must not make the peer look silent
					}
				})
				if situation != "alone" {
					joinPeer(st)
				}
				if situation == "paired" {
					obey(t, st)
				}
				s := startServer(t, st, nil)
				c := dial(t, s)
				for _, asked := range []string{"", "local", "peer", "strict"} {
					level, header := asked, "Futago-Ack: "+asked+"\r\n"
					if asked == "" {
						level, header = node, ""
					}
					c.send(put("/k", header, "v"))
					if got := c.verdict(); got != levels[level] {
						t.Errorf("PUT that asks for %q: got %+v, want %+v", asked, got, levels[level])
					}
					present := levels[level].status == 201 || situation == "silent"
					if _, found, _ := (webHandler{s}).current([]byte("k")); found != present {
						t.Errorf("PUT that asks for %q: stored %v, want %v", asked, found, present)
					}
					w := levels[level]
					if w.status == 201 {
						w.status, w.body = 200, "OK\n"
					}
					c.send(plainRequest("DELETE", "/k", header))
					if got := c.verdict(); got != w {
						t.Errorf("DELETE that asks for %q: got %+v, want %+v", asked, got, w)
					}
				}
				// What changes nothing says nothing of acknowledgement.
				c.send(put("/k", "Futago-Ack: local\r\n", "v") + put("/k", "Futago-Ack: local\r\nIf-Match: \"1\"\r\n", "v"))
				if got := c.verdict(); got != ackedLocal {
					t.Errorf("PUT: got %+v, want %+v", got, ackedLocal)
				}
				if got := c.verdict(); got.status != 412 || got.acked != "" || got.effect != "" {
					t.Errorf("PUT with a condition that does not hold: got %+v", got)
				}
			})
		}
	}
}

// A level that there is not is refused before anything is done.
func TestHTTPBadAck(t *testing.T) {
	st := openStore(t, nil)
	c := dial(t, startServer(t, st, nil))
	for _, header := range []string{"Futago-Ack: both\r\n", "Futago-Ack:\r\n", "Futago-Ack: Peer\r\n", "Futago-Ack: local\r\nFutago-Ack: strict\r\n"} {
		for _, request := range []string{put("/k", header, "v"), plainRequest("DELETE", "/k", header)} {
			c.send(request)
			if got := c.verdict(); got.status != 400 || got.body != "Futago-Ack: want local, peer or strict\n" || got.acked+got.effect != "" {
				t.Errorf("%q: got %+v, want 400 that names the levels", header, got)
			}
		}
	}
	if last := st.Stats().Items; last != 0 {
		t.Errorf("stored %d records, want none", last)
	}
	c.send(get("/k", "Futago-Ack: both\r\n"))
	if got := c.verdict(); got.status != 404 {
		t.Errorf("GET: got %d, want 404: the header is for writes", got.status)
	}
}

// A link that closes while writes wait is told at once, and what was told is counted.
func TestHTTPUnknownAtOnce(t *testing.T) {
	st, _ := strictStore(t, time.Hour)
	s := startServer(t, st, nil)
	a, b := dial(t, s), dial(t, s)
	a.send(put("/k", "", "v"))
	b.send(plainRequest("DELETE", "/none", "") + put("/l", "", "v"))
	if got := b.verdict(); got.status != 404 {
		t.Errorf("DELETE of nothing: got %+v, want 404", got)
	}
	eventually(t, "both answers are held", func() bool { return s.sum()[repliesHeld] == 2 })
	st.Linked(2, false)
	for _, c := range []*client{a, b} {
		if got := c.verdict(); got != ackUnknown {
			t.Errorf("got %+v, want %+v", got, ackUnknown)
		}
		c.send(put("/m", "", "v"))
		if got := c.verdict(); got != ackRefused {
			t.Errorf("afterwards: got %+v, want %+v", got, ackRefused)
		}
	}
	if a := st.Acknowledgement(); a.Unconfirmed != 2 || a.Refused != 2 {
		t.Errorf("counted %d unconfirmed and %d refused, want 2 and 2", a.Unconfirmed, a.Refused)
	}
}

// stats says what a reply means now.
func TestStatsOfAcknowledgement(t *testing.T) {
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		st, _ := heldStore(t)
		c := dial(t, startServer(t, st, carrier))
		stats := func() string {
			c.send("stats\r\n")
			var lines []string
			for {
				line, err := c.r.ReadString('\n')
				if err != nil {
					t.Fatal(err)
				}
				if line == "END\r\n" {
					return strings.Join(lines, ";")
				}
				if name, ok := strings.CutPrefix(strings.TrimSpace(line), "STAT futago_"); ok && !strings.HasPrefix(name, "solo_seconds ") {
					lines = append(lines, name)
				}
			}
		}
		if got, want := stats(), "ack peer;solo 0;solo_count 1;unconfirmed 0;refused 0"; got != want {
			t.Errorf("with a peer: got %q, want %q", got, want)
		}
		st.Linked(2, false)
		if got, want := stats(), "ack peer;solo 1;solo_count 2;unconfirmed 0;refused 0"; got != want {
			t.Errorf("alone: got %q, want %q", got, want)
		}
	})
}
