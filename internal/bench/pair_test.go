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
		fmt.Fprintf(w, `{"acknowledgement":{"mode":%q,"solo":%t,"solo_seconds":1.5}}`, ack, l.asked.Add(1) == 1)
	})
	return mux
}

func TestPair(t *testing.T) {
	t.Setenv(nodeVariable, "1")
	var raw, log strings.Builder
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := CompareConfig{Futago: program, Rounds: 2, Window: 20 * time.Millisecond, Raw: &raw, Log: &log}
	report := newReport(c)
	if err := comparePair(t.Context(), c, report); err != nil {
		t.Fatal(err)
	}
	if len(report.pair) != 2 {
		t.Fatalf("got %d rounds, want 2", len(report.pair))
	}
	for i, r := range report.pair {
		if r.sets.Requests == 0 || r.sets.Config.GetRatio != 0 || r.lag.Probes == 0 || r.lag.SetsPerSecond == 0 {
			t.Errorf("round %d: got %d sets with a share of %g gets, %d probes beside %g sets/s; want only sets, and some of all",
				i+1, r.sets.Requests, r.sets.Config.GetRatio, r.lag.Probes, r.lag.SetsPerSecond)
		}
		if r.soloSeconds != 0 {
			t.Errorf("round %d: got %g s solo, want the difference 0", i+1, r.soloSeconds)
		}
	}
	if got := strings.Count(raw.String(), "\n"); got != 4 || strings.Count(raw.String(), `"case":"lag"`) != 2 {
		t.Errorf("got %d raw lines, want one of sets and one of lag for each round:\n%s", got, raw.String())
	}
	if got, want := log.String(), "pair: round 1 of 2\npair: round 2 of 2\n"; got != want {
		t.Errorf("log: got %q want %q", got, want)
	}
	var b strings.Builder
	if err := report.Write(&b); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "Replication lag: 10000 sets/s") {
		t.Errorf("report lacks the lag:\n%s", b.String())
	}
}

func TestPairThatDoesNotStart(t *testing.T) {
	_, err := startPairOnce(t.Context(), "/bin/false")
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
		{"good", `{"acknowledgement":{"mode":"peer","solo":false,"solo_seconds":2}}`, 200, ""},
		{"solo", `{"acknowledgement":{"mode":"peer","solo":true}}`, 200, "without the other node"},
		{"not ready", `{}`, 503, "not ready"},
		{"local", `{"acknowledgement":{"mode":"local"}}`, 200, "not by the peer"},
		{"no acknowledgement", `{}`, 200, "not by the peer"},
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
			p := &pair{admin: [2]string{l.Addr().String()}}
			err = p.ready(t.Context(), 0)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want one with %q", err, tt.want)
			}
		})
	}
}

func TestPairReport(t *testing.T) {
	r := newReport(CompareConfig{Rounds: 3, Window: 1})
	for i, other := range []float64{0.1, 0.5, 0} {
		n := float64(i + 1)
		r.pair = append(r.pair, pairRound{
			sets: &Result{Config: DefaultConfig(), OpsPerSecond: 20_000 * n, P50Micros: 1, P99Micros: 2, P999Micros: 3, MaxMicros: 4, OtherCores: other},
			lag: &LagResult{Config: DefaultLagConfig(), P50Micros: 100 * n, P99Micros: 200 * n, P999Micros: 300 * n, MaxMicros: 400 * n,
				Probes: 400, Timeouts: uint64(i), PollMicros: 20, SetsPerSecond: 10_000, RateReached: i != 2, OtherCores: other},
		})
	}
	r.pair[1].soloSeconds = 0.25
	var b strings.Builder
	if err := r.writePair(&b); err != nil {
		t.Fatal(err)
	}
	// The second round is disturbed, and its figures do not count.
	want := []string{
		"1 100 200 300 400 400 0 0 20 10000 0.10",
		"2 200 400 600 800 400 1 0 20 10000 0.50",
		"3 300 600 900 1200 400 2 0 20 ~10000 0.00",
		"median 200 400 600 800 400 1 0 20 ~10000 2/3 quiet",
		"1 20000 1 2 3 4 0.0 0.10",
		"2 ~40000 1 2 3 4 0.2 0.50",
		"3 60000 1 2 3 4 0.0 0.00",
		"median 40000 1 2 3 4 0.0 2/3 quiet",
	}
	var got []string
	for line := range strings.Lines(b.String()) {
		words := strings.Fields(line)
		if len(words) > 0 && strings.Contains(" 1 2 3 median ", " "+words[0]+" ") {
			got = append(got, strings.Join(words, " "))
		}
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s\nin\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"), b.String())
	}
}
