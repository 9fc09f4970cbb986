package bench

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// nodeVariable makes the test program one node of a pair, by the arguments of `futago serve`.
const nodeVariable = "FUTAGO_BENCH_TEST_NODE"

// serveNode sets at its peer what it is sent, before it replies. It is ready when it has reached the peer, and
// confesses to be solo once after that. It returns only with an error.
func serveNode(args []string) error {
	if len(args) == 0 || args[0] != "serve" {
		return fmt.Errorf("arguments %q: want serve first", args)
	}
	f := flag.NewFlagSet("serve", flag.ContinueOnError)
	values := make(map[string]*string)
	for _, name := range []string{"node", "data", "listen", "peer-listen", "peer", "admin-listen", "ack", "fsync"} {
		values[name] = f.String(name, "", "")
	}
	if err := f.Parse(args[1:]); err != nil {
		return err
	}
	if *values["peer"] == "" {
		return serveAlone(*values["listen"], *values["admin-listen"], *values["data"])
	}
	var links [3]net.Listener
	for i, name := range []string{"listen", "peer-listen", "admin-listen"} {
		l, err := net.Listen("tcp", *values[name])
		if err != nil {
			return err
		}
		links[i] = l
	}
	link := &peerLink{address: *values["peer"]}
	client := &fakeServer{protocol: Memcache, stored: link.set}
	incoming := &fakeServer{protocol: Memcache, stored: client.set}
	go client.serve(links[0])
	go incoming.serve(links[1])
	return http.Serve(links[2], link.admin(*values["ack"]))
}

// peerLink is a connection to the other node.
type peerLink struct {
	address string
	mu      sync.Mutex
	nc      net.Conn
	replies *bufio.Reader
	asked   atomic.Int32 // for the status
}

func (l *peerLink) connect() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.nc != nil {
		return nil
	}
	nc, err := net.Dial("tcp", l.address)
	if err != nil {
		return err
	}
	l.nc, l.replies = nc, bufio.NewReader(nc)
	return nil
}

func (l *peerLink) set(key, value string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(l.nc, "set %s 0 0 %d\r\n%s\r\n", key, len(value), value)
	l.replies.ReadString('\n')
}

func (l *peerLink) admin(ack string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := l.connect(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"acknowledgement":{"mode":%q,"solo":%t,"solo_seconds":1.5},"followers":[{"state":"stream"}]}`, ack, l.asked.Add(1) == 1)
	})
	return mux
}

func TestPairLag(t *testing.T) {
	t.Setenv(nodeVariable, "1")
	var log strings.Builder
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := DefaultPairConfig()
	c.Futago, c.Cases, c.Rounds, c.WarmUp, c.LagWindow, c.Log = program, []string{"lag"}, 2, 0, 20*time.Millisecond, &log
	report, err := MeasurePair(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Tables) != 1 || len(report.Tables[0].Rows) != len(lagLoads) {
		t.Fatalf("got %+v, want one table with %d rows", report.Tables, len(lagLoads))
	}
	for _, row := range report.Tables[0].Rows {
		for i, round := range row.Rounds {
			if p50, probes, sets := round.Values[0], round.Values[4], round.Values[8]; p50 <= 0 || probes <= 0 || sets <= 0 {
				t.Errorf("%s, round %d: got p50 %g us, %g probes beside %g sets/s; want some of all", row.Name, i+1, p50, probes, sets)
			}
		}
		if len(row.Rounds) != 2 {
			t.Errorf("%s: got %d rounds, want 2", row.Name, len(row.Rounds))
		}
	}
	for _, want := range []string{"lag: round 1 of 2\nlag: round 2 of 2\n", "lag: done in"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("log %q: want %q in it", log.String(), want)
		}
	}
}

func TestPairThatIsNone(t *testing.T) {
	c := DefaultPairConfig()
	c.Futago, c.Cases = "/bin/false", []string{"copy", "lag"}
	report, err := MeasurePair(t.Context(), c)
	for _, want := range []string{"measure lag: start node 1", "measure copy: start node 1", "exit status 1"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want that of both cases, %q in it", err, want)
		}
	}
	if report == nil || len(report.Tables) != 0 {
		t.Errorf("got report %+v, want one without tables", report)
	}
}

func TestPairThatDoesNotStart(t *testing.T) {
	_, err := startPairOnce(t.Context(), "/bin/false", "peer", "interval")
	for _, want := range []string{"start node 1", "exit status 1"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want one with %q", err, want)
		}
	}
}

// TestPairStatus gives what a node may say of itself that makes it unfit.
func TestPairStatus(t *testing.T) {
	tests := []struct {
		name, status string
		code         int
		want         string // part of the error, "" for none
	}{
		{"good", `{"acknowledgement":{"mode":"peer","solo":false,"solo_seconds":2},"followers":[{"state":"stream"}]}`, 200, ""},
		{"solo", `{"acknowledgement":{"mode":"peer","solo":true},"followers":[{"state":"stream"}]}`, 200, "without the other node"},
		{"not ready", `{}`, 503, "not ready"},
		{"local", `{"acknowledgement":{"mode":"local"},"followers":[{"state":"stream"}]}`, 200, `by "local"`},
		{"no acknowledgement", `{}`, 200, `by ""`},
		{"alone", `{"acknowledgement":{"mode":"peer"}}`, 200, "not followed"},
		{"copying", `{"acknowledgement":{"mode":"peer"},"followers":[{"state":"snapshot"}]}`, 200, "not followed"},
		{"no JSON", `ready`, 200, "read status of"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(tt.code)
				fmt.Fprint(w, tt.status)
			})}
			done := make(chan error, 1)
			go func() { done <- server.Serve(l) }()
			defer func() {
				server.Close()
				if err := <-done; !errors.Is(err, http.ErrServerClosed) {
					t.Error(err)
				}
			}()
			p := &pair{admin: [2]string{l.Addr().String()}, ack: "peer"}
			err = p.joined(t.Context(), 0)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want one with %q", err, tt.want)
			}
		})
	}
}
