package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// watched is a node that tells what a test says, once for each connection.
type watched struct {
	addr  string
	asked atomic.Int64
}

func newWatched(t *testing.T, tell func(n int64, w http.ResponseWriter, r *http.Request)) *watched {
	n := &watched{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { tell(n.asked.Add(1), w, r) }))
	t.Cleanup(srv.Close)
	n.addr = strings.TrimPrefix(srv.URL, "http://")
	return n
}

func tellEvents(w http.ResponseWriter, events ...string) {
	w.Header().Set("Content-Type", "text/event-stream")
	io.WriteString(w, ": hello\nretry: 1000\n")
	for _, e := range events {
		id, data, change := strings.Cut(e, " ")
		fmt.Fprintf(w, "id: %s\n", id)
		if change {
			fmt.Fprintf(w, "event: change\ndata: %s\n", data)
		}
		io.WriteString(w, "\n")
	}
	w.(http.Flusher).Flush()
}

func tellNo(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	io.WriteString(w, text)
}

// runWatch runs the command until its context ends.
func runWatch(ctx context.Context, out io.Writer, args ...string) (code int, notes string) {
	var errOut bytes.Buffer
	root := newRootCommand()
	root.SetArgs(append([]string{"watch"}, args...))
	root.SetOut(out)
	root.SetErr(&errOut)
	cmd, err := root.ExecuteContextC(ctx)
	return report(&errOut, cmd, err), errOut.String()
}

// The watch goes on at the other node behind what it has printed, and prints every line whole.
func TestWatchMoves(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var queries [2]string
	long := `{"op":"set","key":"k","value":"` + strings.Repeat("x", 300_000) + `"}`
	a := newWatched(t, func(n int64, w http.ResponseWriter, r *http.Request) {
		if n > 1 {
			tellNo(w, http.StatusGone, "not known here")
			return
		}
		queries[0] = r.URL.RawQuery
		tellEvents(w, "p0", "p1 "+`{"op":"set","key":"a"}`, "p2")
		fmt.Fprintf(w, "id: p3\nevent: change\ndata: {\"op\":\"delete\"") // it dies
	})
	b := newWatched(t, func(n int64, w http.ResponseWriter, r *http.Request) {
		queries[1] = r.URL.RawQuery
		tellEvents(w, "q0", "q1 "+`{"op":"delete","key":"a"}`, "q2 "+long)
		<-r.Context().Done()
	})
	out, in := io.Pipe()
	lines := make(chan string)
	go func() {
		for scan := bufio.NewReader(out); ; {
			line, err := scan.ReadString('\n')
			if err != nil {
				close(lines)
				return
			}
			lines <- line
		}
	}()
	type end struct {
		code  int
		notes string
	}
	ended := make(chan end, 1)
	go func() {
		code, notes := runWatch(ctx, in, "a", "b", "--values=false", "--admin", a.addr, "--admin", b.addr)
		in.Close()
		ended <- end{code, notes}
	}()
	want := []string{
		`{"op":"start","position":"p0"}` + "\n",
		`{"op":"set","key":"a","position":"p1"}` + "\n",
		`{"op":"delete","key":"a","position":"q1"}` + "\n",
		long[:len(long)-1] + `,"position":"q2"}` + "\n",
	}
	for _, line := range want {
		if diff := cmp.Diff(line, <-lines); diff != "" {
			t.Errorf("line differs (-want +got):\n%.500s", diff)
		}
	}
	cancel()
	e := <-ended
	if e.code != exitOK || strings.Count(e.notes, "\n") != 1 || !strings.Contains(e.notes, "watch "+a.addr) {
		t.Errorf("exit code %d, notes %q", e.code, e.notes)
	}
	if diff := cmp.Diff([2]string{"prefix=a&prefix=b&values=false", "from=p2&prefix=a&prefix=b&values=false"}, queries); diff != "" {
		t.Errorf("queries differ (-want +got):\n%s", diff)
	}
}

func TestWatchEnds(t *testing.T) {
	gone := func(_ int64, w http.ResponseWriter, _ *http.Request) { tellNo(w, http.StatusGone, "not known here") }
	once := func(then int, text string) func(int64, http.ResponseWriter, *http.Request) {
		return func(n int64, w http.ResponseWriter, _ *http.Request) {
			if n == 1 {
				tellEvents(w, "p0")
				return
			}
			tellNo(w, then, text)
		}
	}
	tests := []struct {
		name  string
		nodes []func(int64, http.ResponseWriter, *http.Request)
		args  []string
		code  int
		says  string
	}{
		{"nobody knows the position", []func(int64, http.ResponseWriter, *http.Request){gone, gone}, []string{"--from", "p"}, exitFailure, "not known here\nBegin without --from"},
		{"lost on the way", []func(int64, http.ResponseWriter, *http.Request){once(http.StatusGone, "gone now"), gone}, nil, exitFailure, "Begin without --from"},
		{"bad position", []func(int64, http.ResponseWriter, *http.Request){once(0, ""), once(0, "")}, []string{"--timeout", "0s"}, exitUsage, "timeout 0s"},
		{"refused", []func(int64, http.ResponseWriter, *http.Request){once(http.StatusUnauthorized, "user and password are required")}, nil, exitFailure, "user and password are required"},
		{"an older node", []func(int64, http.ResponseWriter, *http.Request){once(http.StatusNotFound, "404")}, nil, exitFailure, "404"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			args := tt.args
			for _, n := range tt.nodes {
				args = append(args, "--admin", newWatched(t, n).addr)
			}
			code, notes := runWatch(ctx, io.Discard, args...)
			if ctx.Err() != nil || code != tt.code || !strings.Contains(notes, tt.says) {
				t.Errorf("exit code %d, %v, notes %q; want %d with %q", code, ctx.Err(), notes, tt.code, tt.says)
			}
		})
	}
	if code, notes := runWatch(t.Context(), io.Discard, "--admin", closed(t)); code != exitFailure || !strings.Contains(notes, adminHint) {
		t.Errorf("no node: exit code %d, notes %q", code, notes)
	}
}

// A node that is silent for longer than --timeout counts as gone.
func TestWatchLeavesSilentNode(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	silent := newWatched(t, func(_ int64, w http.ResponseWriter, r *http.Request) {
		tellEvents(w, "p0")
		<-r.Context().Done()
	})
	other := newWatched(t, func(_ int64, w http.ResponseWriter, r *http.Request) {
		cancel()
	})
	nodes, err := (&adminConfig{Admin: []string{silent.addr, other.addr}, Timeout: 100 * time.Millisecond}).nodes()
	if err != nil {
		t.Fatal(err)
	}
	var notes bytes.Buffer
	w := &watch{said: map[*adminNode]string{}, out: bufio.NewWriter(io.Discard), notes: &notes}
	if err := w.run(ctx, nodes); err != nil || other.asked.Load() == 0 || !strings.Contains(notes.String(), "it said nothing for 100ms") {
		t.Errorf("error %v, the other node was asked %d times, notes %q", err, other.asked.Load(), notes.String())
	}
	// A node without changes is not silent for so long.
	code, told := runWatch(t.Context(), io.Discard, "--timeout", watchBeat.String(), "--admin", other.addr)
	if code != exitUsage || !strings.Contains(told, "allowed is more than 3s") {
		t.Errorf("a timeout of a beat: exit code %d, notes %q", code, told)
	}
}
