package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/valkey-io/valkey-go"
)

// fakeCluster keeps values, and forgets those of numbers that end in 7; numbers that end in 3 are refused, in 5 not answered.
type fakeCluster struct {
	mu     sync.Mutex
	values map[string]string
}

func (f *fakeCluster) client() *clusterClient {
	return &clusterClient{
		set: func(key, value string) error {
			f.mu.Lock()
			defer f.mu.Unlock()
			switch key[len(key)-1] {
			case '3':
				return fmt.Errorf("refused: %w", errUnchanged)
			case '5':
				return errors.New("no answer")
			case '7':
				return nil
			}
			f.values[key] = value
			return nil
		},
		get: func(key string) (string, error) {
			f.mu.Lock()
			defer f.mu.Unlock()
			return f.values[key], nil
		},
	}
}

func TestSetLoad(t *testing.T) {
	f := &fakeCluster{values: map[string]string{}}
	l := newSetLoad("client, a", f.client(), [2][]string{{"{1}", "{2}"}, {"{3}", "{4}"}}, 100_000)
	if len(l.writers) != 2*writersOfGroup {
		t.Fatalf("got %d writers, want %d", len(l.writers), 2*writersOfGroup)
	}
	begun := time.Now()
	if l.workedSince(time.Time{}) {
		t.Error("works before it was started")
	}
	stop := l.start()
	enough := func() bool {
		for i := range l.groups {
			g := &l.groups[i]
			g.mu.Lock()
			ok := g.begun.Sub(begun) > 50*time.Millisecond
			g.mu.Unlock()
			if !ok {
				return false
			}
		}
		return true
	}
	for deadline := time.Now().Add(10 * time.Second); !enough(); <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no set succeeds")
		}
	}
	stop()
	if l.workedSince(time.Now()) || !l.workedSince(begun) {
		t.Error("takes the time of its last success for another one")
	}
	round, err := l.round(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var sets int
	want := map[byte]int{}
	for _, w := range l.writers {
		sets += w.sets
		for n := range w.sets {
			want['0'+byte(n%10)]++
		}
	}
	got := round.Values
	if int(got[2]) != sets-want['3']-want['5'] || int(got[3]) != want['3'] || int(got[4]) != want['5'] || int(got[5]) != want['7'] {
		t.Errorf("of %d sets got %v acknowledged, unchanged, unknown and missing; want %d, %d, %d, %d",
			sets, got[2:], sets-want['3']-want['5'], want['3'], want['5'], want['7'])
	}
	if got[0] <= 0 || got[1] <= 0 {
		t.Errorf("got gaps %v, want some", got[:2])
	}
	if want['7'] == 0 || len(round.Doubts) != 1 || !strings.Contains(round.Doubts[0], fmt.Sprintf("%d of %d", want['7'], int(got[2]))) {
		t.Errorf("got doubts %q, want one about %d lost sets", round.Doubts, want['7'])
	}
}

func TestSetGroupMeasuresGaps(t *testing.T) {
	g := &setGroup{}
	g.succeeded(time.Now())
	if g.longest != 0 {
		t.Errorf("got a gap of %v before the second success", g.longest)
	}
	g.last = time.Now().Add(-time.Minute)
	g.succeeded(time.Now())
	g.succeeded(time.Now())
	if g.longest < time.Minute {
		t.Errorf("got longest gap %v, want a minute or more", g.longest)
	}
	// One that began before a later one does not set it back.
	begun := g.begun
	g.succeeded(begun.Add(-time.Second))
	if g.begun != begun {
		t.Errorf("got latest begin %v want %v", g.begun, begun)
	}
}

func TestJudgeDirect(t *testing.T) {
	unknown := errors.New("broken pipe")
	for _, tt := range []struct{ err, want error }{
		{nil, nil},
		{&net.OpError{Op: "dial", Err: errors.New("refused")}, errUnchanged},
		{fmt.Errorf("ask: %w", &net.OpError{Op: "dial", Err: errors.New("refused")}), errUnchanged},
		{valkey.ErrNoSlot, errUnchanged},
		{&net.OpError{Op: "read", Err: errors.New("reset")}, nil},
		{context.DeadlineExceeded, context.DeadlineExceeded},
		{unknown, unknown},
		{fmt.Errorf("%w: 0 of 1", errWaiting), errWaiting},
	} {
		got := judgeDirect(tt.err)
		if tt.want != nil && !errors.Is(got, tt.want) || tt.want != errUnchanged && got != tt.err {
			t.Errorf("%v: got %v want %v", tt.err, got, tt.want)
		}
	}
}

func TestClusterToolArguments(t *testing.T) {
	get := clusterCases[1].tools[0]
	many := clusterCases[2].tools
	for _, tt := range []struct {
		tool    clusterTool
		masters int
		want    string
	}{
		{get, 1, "-h h -p 1 -c 50 -P 16 -n 1000 -r 90000 --csv GET {tag}__rand_int__"},
		{get, 3, "-h h -p 1 -c 50 -P 16 -n 1000 -r 30000 --csv --cluster GET {tag}__rand_int__"},
		{many[0], 3, "-h h -p 1 -c 50 -P 160 -n 1000 -r 30000 --csv --cluster GET {tag}__rand_int__"},
		{many[1], 3, "-h h -p 1 -c 50 -P 16 -n 1000 -r 30000 --csv --cluster MGET" + strings.Repeat(" {tag}__rand_int__", 10)},
	} {
		c := DefaultConfig()
		c.Pipeline, c.Keys = 16, 90_000
		if got := strings.Join(tt.tool.on(tt.masters).args("h", "1", &c, 1000), " "); got != tt.want {
			t.Errorf("%d masters: got %q want %q", tt.masters, got, tt.want)
		}
	}
}

// TestToolBatches: ten commands of the tool make one request.
func TestToolBatches(t *testing.T) {
	server, err := fakePeer("old").start(t.Context(), -1)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := server.stop(); err != nil {
			t.Error(err)
		}
	}()
	ten := fakeTool("echo 1000 requests in 2s; echo Requests/sec: 500")
	ten.batch = 10
	var asked int
	args := ten.args
	ten.args = func(host, port string, c *Config, n int) []string { asked = n; return args(host, port, c, n) }
	c := DefaultConfig()
	c.Address = server.address
	r, err := ten.run(t.Context(), processes{server}, &c, 200)
	if err != nil {
		t.Fatal(err)
	}
	if asked != 2000 || r.Requests != 100 || r.OpsPerSecond != 50 {
		t.Errorf("asked for %d commands, got %d requests and %g a second; want 2000, 100, 50", asked, r.Requests, r.OpsPerSecond)
	}
}

func TestTableSums(t *testing.T) {
	table := &Table{Columns: []string{"ms", "sets", "missing"}, Summed: 2}
	for _, v := range []float64{1, 5, 3} {
		table.add("a", Round{Values: []float64{v, 10 * v, v}, OtherCores: v}) // noise does not matter for what happened
	}
	table.add("a", Round{Values: []float64{2, 1, 0}})
	finished([]*Table{table})
	if got := table.Rows[0].Medians; got[0] != 2 || got[1] != 91 || got[2] != 9 {
		t.Errorf("got %v, want the quiet round's 2 and the sums 91 and 9", got)
	}
}
