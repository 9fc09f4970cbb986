package migrate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/futago/futago/internal/feed"
	"github.com/futago/futago/internal/tyrant"
)

// end serves the change feed of a node and says how to speak to it.
func (n *testNode) end(t testing.TB) End {
	t.Helper()
	f := feed.New(n.st, 1)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f.Serve(w, r, nil) }))
	t.Cleanup(func() { f.Close(); s.Close() })
	return End{Name: n.addr, Dial: n.dial, Changes: func(ctx context.Context, query url.Values, stream bool) (io.ReadCloser, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/changes?"+query.Encode(), nil)
		if err != nil {
			return nil, err
		}
		if stream {
			r.Header.Set("Accept", "text/event-stream")
		}
		answer, err := http.DefaultClient.Do(r)
		switch {
		case err != nil:
			return nil, err
		case answer.StatusCode == http.StatusGone:
			answer.Body.Close()
			return nil, feed.ErrGone
		case answer.StatusCode != http.StatusOK:
			answer.Body.Close()
			return nil, errors.New(answer.Status)
		}
		return answer.Body, nil
	}}
}

// moveTest moves from one node in memory to another one.
type moveTest struct {
	from, to *testNode
	MoveConfig
}

func newMoveTest(t testing.TB) *moveTest {
	t.Helper()
	m := &moveTest{from: startNode(t, 0), to: startNode(t, 1<<20)}
	m.MoveConfig = MoveConfig{From: Side{Ends: []End{m.from.end(t)}}, To: Side{Ends: []End{m.to.end(t)}}, State: openState(t, ""), UntilEqual: true}
	m.Notice = func(text string) { t.Log(text) }
	return m
}

// mustEqual compares both sides.
func (m *moveTest) mustEqual(t testing.TB) {
	t.Helper()
	here, there := m.from.items(t), m.to.items(t)
	for key, i := range here {
		other := there[key]
		if !equalItems(&i, &other) {
			t.Errorf("%q: the source has %+v, the target %+v", key, i, other)
		}
	}
	for key := range there {
		if _, ok := here[key]; !ok {
			t.Errorf("%q is in the target alone", key)
		}
	}
}

func (n *testNode) client(t testing.TB) *tyrant.Client {
	t.Helper()
	c, err := n.dial(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// fill stores records of every kind.
func (n *testNode) fill(t testing.TB, count int) {
	t.Helper()
	late := time.Now().Add(time.Hour).UnixMilli()
	for i := range count {
		n.put(t, tyrant.Item{Key: fmt.Appendf(nil, "key %d", i), Value: fmt.Appendf(nil, "value %d", i), Flags: uint32(i), Expires: []int64{0, late + int64(i)}[i%2], Type: []byte([]string{"", "text/x"}[i%2])})
	}
	n.put(t, tyrant.Item{Key: []byte("\x00\xff binary"), Value: []byte{0, 1, 255}}, tyrant.Item{Key: []byte("empty")})
}

func TestMove(t *testing.T) {
	m := newMoveTest(t)
	m.from.fill(t, 3000)
	done, err := Move(t.Context(), m.MoveConfig)
	if err != nil || !done.Equal || done.Stored != 3002 || done.Differing != 0 || done.Compared != 3002 {
		t.Fatalf("got %+v, %v", done, err)
	}
	m.mustEqual(t)
	// The target is of no state now.
	m.State = openState(t, "")
	if done, err := Move(t.Context(), m.MoveConfig); !errors.Is(err, ErrNotEmpty) || done.Stored != 0 {
		t.Errorf("into a target with records: %+v, %v", done, err)
	}
	// What only the target has goes, and what it has otherwise is mended.
	m.to.put(t, tyrant.Item{Key: []byte("surplus")}, tyrant.Item{Key: []byte("key 1"), Value: []byte("other")})
	m.DryRun = true
	if done, err := Move(t.Context(), m.MoveConfig); err != nil || done.Stored != 1 || done.Surplus != 1 || done.Read != 3002 || m.to.items(t)["surplus"].Key == nil {
		t.Errorf("dry run: %+v, %v", done, err)
	}
	m.DryRun, m.Replace = false, true
	if done, err := Move(t.Context(), m.MoveConfig); err != nil || !done.Equal || done.Stored != 1 || done.Removed != 1 {
		t.Errorf("replace: %+v, %v", done, err)
	}
	m.mustEqual(t)
}

// Records that the target does not take are named, and nobody is cut over.
func TestMoveUnfit(t *testing.T) {
	m := newMoveTest(t)
	m.from.fill(t, 10)
	m.from.put(t, tyrant.Item{Key: []byte("large"), Value: make([]byte, 1<<20+1)})
	m.Proxies = &Proxies{Hold: func(context.Context) error { t.Error("held"); return nil }, Release: func(context.Context) {}, Switched: atSource}
	done, err := Move(t.Context(), m.MoveConfig)
	if !errors.Is(err, ErrUnfitRecords) || done.Unfit != 1 || len(done.UnfitKeys) != 1 || !strings.Contains(done.UnfitKeys[0].Examples[0], "large") {
		t.Errorf("got %+v, %v", done, err)
	}
}

// atSource is what proxies answer that were not cut over.
func atSource(context.Context) (bool, error) { return false, nil }

// Writers go on while it copies, follows, and cuts over, and every write that was acknowledged is at the target.
func TestMoveWhileClientsWrite(t *testing.T) {
	m := newMoveTest(t)
	m.from.fill(t, 2000)
	const writers = 4
	var gate sync.RWMutex // the proxy: held while it is locked
	target := m.from
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	var writes, after atomic.Int64
	counted := make([]int, writers)
	held := make([]map[string]string, writers)
	for w := range writers {
		held[w] = map[string]string{}
		clients := map[*testNode]*tyrant.Client{m.from: m.from.client(t), m.to: m.to.client(t)}
		running.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				gate.RLock()
				c, key, value := clients[target], fmt.Sprintf("key %d", w*500+i%500), fmt.Sprintf("new %d", i)
				var err error
				switch i % 4 {
				case 0, 1:
					err = c.Put([]byte(key), []byte(value))
					held[w][key] = value
				case 2:
					err = c.Out([]byte(key))
					if errors.Is(err, tyrant.CodeNoRecord) {
						err = nil
					}
					held[w][key] = ""
				default:
					_, err = c.AddInt(fmt.Appendf(nil, "count %d", w), 1)
					counted[w]++
				}
				if target == m.to {
					after.Add(1)
				}
				gate.RUnlock()
				writes.Add(1)
				if err != nil {
					t.Errorf("write %d of %d: %v", i, w, err)
					return
				}
			}
		})
	}
	m.Proxies = &Proxies{
		Hold:     func(context.Context) error { gate.Lock(); return nil },
		Switch:   func(context.Context) error { target = m.to; gate.Unlock(); return nil },
		Release:  func(context.Context) { gate.Unlock() },
		Switched: atSource,
	}
	for writes.Load() < 100 {
		time.Sleep(time.Millisecond)
	}
	done, err := Move(t.Context(), m.MoveConfig)
	if err != nil || !done.CutOver || !done.Equal || done.Differing != 0 || done.Late != 0 {
		t.Errorf("got %+v, %v", done, err)
	}
	for n := after.Load(); after.Load() < n+100 && !t.Failed(); {
		time.Sleep(time.Millisecond)
	}
	stop()
	running.Wait()
	t.Logf("%d writes, %d of them at the target; clients waited %v; %+v", writes.Load(), after.Load(), done.Pause, done)
	c := m.to.client(t)
	for w := range writers {
		for key, want := range held[w] {
			if got, err := c.Get([]byte(key)); string(got) != want {
				t.Errorf("%q is %q, want %q: %v", key, got, want, err)
			}
		}
		if n, err := c.AddInt(fmt.Appendf(nil, "count %d", w), 0); err != nil || int(n) != counted[w] {
			t.Errorf("counter %d is %d, want %d: %v", w, n, counted[w], err)
		}
	}
}

// A run that ends anywhere is gone on with, by another one that knows its state file alone.
func TestMoveGoesOn(t *testing.T) {
	m := newMoveTest(t)
	m.from.fill(t, 3000)
	path := filepath.Join(t.TempDir(), "state")
	c := m.from.client(t)
	dial := m.To.Ends[0].Dial
	runs := 0
	for cut := int64(1); ; cut = cut*2 + 1 {
		runs++
		ctx, kill := context.WithCancel(t.Context())
		var left atomic.Int64
		left.Store(cut * 300)
		// The process dies after so many bytes to the target.
		m.To.Ends[0].Dial = func(ctx context.Context, maxReply int) (*tyrant.Client, error) {
			if left.Add(-1000) < 0 {
				kill()
			}
			return dial(ctx, maxReply)
		}
		m.Progress = func(MoveProgress) {
			if left.Add(-1000) < 0 {
				kill()
			}
		}
		m.State = openState(t, path)
		done, err := Move(ctx, m.MoveConfig)
		kill()
		if err == nil {
			if !done.Equal {
				t.Errorf("got %+v", done)
			}
			break
		}
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("run %d: %v", runs, err)
		}
		// Things change while nobody follows.
		for i := range 50 {
			if err := c.Put(fmt.Appendf(nil, "key %d", runs*100+i), fmt.Appendf(nil, "of run %d", runs)); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Out(fmt.Appendf(nil, "key %d", runs)); err != nil {
			t.Fatal(err)
		}
	}
	if runs < 2 {
		t.Error("it was never cut off")
	}
	m.mustEqual(t)
}

// A state is of two stores, wherever they are reached and whoever of them is left.
func TestMoveState(t *testing.T) {
	path := statePath(t)
	side := func(name string, ids ...string) *Side { return &Side{Name: name, IDs: ids} }
	s, err := OpenMove(path, side("a:1", "log a", "log b"), side("c:1", "node c", "node d"))
	if err != nil {
		t.Fatal(err)
	}
	s.Position = "somewhere"
	if err := s.Save(); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		from, to *Side
		wrong    string
	}{
		{side("b:2", "log b"), side("c:1", "node c", "node d"), ""},
		{side("new,b:2", "log new", "log b"), side("d:1", "node d", "node e"), ""},
		{side("x:1", "log x"), side("c:1", "node c"), "it is of a move from a:1 to c:1, and x:1 is another source"},
		{side("a:1", "log a"), side("x:1", "node x"), "it is of a move from a:1 to c:1, and x:1 is another target"},
		{side("c:1", "node c"), side("a:1", "log a"), "another source"},
	} {
		s, err := OpenMove(path, tt.from, tt.to)
		switch {
		case tt.wrong != "":
			if err == nil || !strings.Contains(err.Error(), tt.wrong) {
				t.Errorf("%v to %v: %v, want %q", tt.from.IDs, tt.to.IDs, err, tt.wrong)
			}
		case err != nil || s.Position != "somewhere" || s.Source != tt.from.Name || len(s.TargetIDs) != len(tt.to.IDs):
			t.Errorf("%v to %v: %+v, %v", tt.from.IDs, tt.to.IDs, s, err)
		}
	}
	// Nor is it for an import, and the other way round.
	if _, err := OpenState(path, "tyrant://x", "y"); err == nil {
		t.Error("an import goes on with the state of a move")
	}
	path = statePath(t)
	if err := openState(t, path).Save(); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenMove(path, side("a:1", "log a"), side("c:1", "node c")); err == nil {
		t.Error("a move goes on with the state of an import")
	}
}

// A state file is for one process at a time.
func TestLockState(t *testing.T) {
	path := statePath(t)
	unlock, err := LockState(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := openState(t, path).Save(); err != nil { // the file is replaced, the lock is not
		t.Fatal(err)
	}
	if _, err := LockState(path); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), fmt.Sprintf("by process %d", os.Getpid())) {
		t.Errorf("a second lock: %v", err)
	}
	unlock()
	again, err := LockState(path)
	if err != nil {
		t.Fatalf("after the end of the first: %v", err)
	}
	again()
	if _, err := LockState(t.TempDir()); err == nil {
		t.Error("a folder was locked")
	}
}

// A flush of the source empties the target, also one that comes while it is copied.
func TestMoveFlush(t *testing.T) {
	m := newMoveTest(t)
	m.from.fill(t, 3000)
	m.UntilEqual = false
	stop := make(chan struct{})
	m.Stop = stop
	var flush, end sync.Once
	m.Progress = func(p MoveProgress) {
		flush.Do(func() {
			if err := m.from.client(t).Vanish(); err != nil {
				t.Error(err)
			}
			m.from.put(t, tyrant.Item{Key: []byte("behind"), Value: []byte("it")})
		})
		if p.Phase == "following" && p.Changes > 0 {
			end.Do(func() { close(stop) })
		}
	}
	done, err := Move(t.Context(), m.MoveConfig)
	if err != nil || !done.Equal {
		t.Errorf("got %+v, %v", done, err)
	}
	m.mustEqual(t)
	if n := len(m.to.items(t)); n != 1 {
		t.Errorf("the target has %d records", n)
	}
}

// A position that nobody knows any more leads to a comparison of everything.
func TestMoveGone(t *testing.T) {
	m := newMoveTest(t)
	m.from.fill(t, 100)
	other := startNode(t, 0)
	m.State.Position, m.State.Copied = positionOf(t, other.end(t)), true
	if err := m.State.Save(); err != nil {
		t.Fatal(err)
	}
	done, err := Move(t.Context(), m.MoveConfig)
	if err != nil || !done.Equal || done.Stored != 102 {
		t.Errorf("got %+v, %v", done, err)
	}
	m.mustEqual(t)
}

func positionOf(t testing.TB, e End) string {
	t.Helper()
	body, err := e.Changes(t.Context(), nil, false)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	answer, err := feed.ReadAnswer(body, maxTold)
	if err != nil {
		t.Fatal(err)
	}
	return answer.Position
}

// Proxies are let go when the sides do not become equal, or a proxy refuses; the source stays in use.
func TestMoveLetsGo(t *testing.T) {
	m := newMoveTest(t)
	m.from.fill(t, 100)
	refusal := errors.New("no")
	holds, releases := 0, 0
	m.Proxies = &Proxies{
		Hold:     func(context.Context) error { holds++; return nil },
		Switch:   func(context.Context) error { return refusal },
		Release:  func(context.Context) { releases++ },
		Switched: atSource,
	}
	if done, err := Move(t.Context(), m.MoveConfig); !errors.Is(err, refusal) || done.CutOver || holds != 1 || releases != 1 {
		t.Errorf("a refused switch: %+v, %v, %d holds, %d releases", done, err, holds, releases)
	}
	if m.State.Switched {
		t.Error("the state says that clients use the target")
	}
	// An answer that was lost says nothing, nor does a proxy that does not answer: then the state says that they may.
	for _, switched := range []func(context.Context) (bool, error){
		func(context.Context) (bool, error) { return holds == 2, nil },
		func(context.Context) (bool, error) { return false, map[bool]error{true: refusal}[holds == 3] },
	} {
		m.Proxies.Switched, m.State.Switched = switched, false
		if _, err := Move(t.Context(), m.MoveConfig); !errors.Is(err, ErrSwitched) || !m.State.Switched {
			t.Errorf("an answer was lost: %v, state %v", err, m.State.Switched)
		}
	}
	// Nor do they after a run that died before a proxy has switched.
	m.State.Switched, m.Proxies.Switched = true, func(context.Context) (bool, error) { return false, nil }
	if done, err := Move(t.Context(), m.MoveConfig); !errors.Is(err, refusal) || !done.Equal || m.State.Switched {
		t.Errorf("after a run that died: %+v, %v", done, err)
	}
	// A hold that has ended before any proxy switched is begun again, for the source may have changed.
	m.Proxies.Switch, holds = func(context.Context) error {
		if holds == 1 {
			m.from.put(t, tyrant.Item{Key: []byte("meanwhile"), Value: []byte("written")})
			return ErrLetGo
		}
		return nil
	}, 0
	if done, err := Move(t.Context(), m.MoveConfig); err != nil || !done.CutOver || holds != 2 || string(m.to.items(t)["meanwhile"].Value) != "written" {
		t.Errorf("a hold that ended: %+v, %v, %d holds", done, err, holds)
	}
	holds, releases = 1, 1
	m.State, m.Replace = openState(t, ""), true
	m.From.Settled = func(context.Context) error { return errors.New("one lags") }
	if done, err := Move(t.Context(), m.MoveConfig); !errors.Is(err, ErrUnequal) || done.CutOver || holds != 1+cutOvers || releases != 1+cutOvers {
		t.Errorf("a node that lags: %+v, %v, %d holds, %d releases", done, err, holds, releases)
	}
}

// Who goes round the proxies is told of, and takes nothing from those who do not.
func TestMoveLate(t *testing.T) {
	m := newMoveTest(t)
	m.from.fill(t, 100)
	m.Late = time.Minute
	stop := make(chan struct{})
	m.Stop = stop
	m.Proxies = &Proxies{
		Hold: func(context.Context) error { return nil },
		Switch: func(context.Context) error {
			m.to.put(t, tyrant.Item{Key: []byte("key 1"), Value: []byte("of a client")})
			m.from.put(t, tyrant.Item{Key: []byte("key 1"), Value: []byte("late")}, tyrant.Item{Key: []byte("new"), Value: []byte("late")})
			return m.from.client(t).Out([]byte("key 2"))
		},
		Release:  func(context.Context) {},
		Switched: atSource,
	}
	var told atomic.Int64
	m.Notice = func(text string) {
		if strings.Contains(text, "does not use the proxies") && told.Add(1) == 3 {
			close(stop)
		}
	}
	done, err := Move(t.Context(), m.MoveConfig)
	for _, proxies := range []*Proxies{nil, {Switched: func(context.Context) (bool, error) { return true, nil }}} {
		m.Proxies = proxies
		if again, err := Move(t.Context(), m.MoveConfig); !errors.Is(err, ErrSwitched) || again.Stored != 0 {
			t.Errorf("again after the cut-over: %+v, %v", again, err)
		}
	}
	there := m.to.items(t)
	if err != nil || done.Late != 2 || done.LateCarried != 1 || done.LateGone != 1 || !slices.Contains(done.LateKeys, `"key 2"`) || there["key 2"].Key == nil || string(there["key 1"].Value) != "of a client" || string(there["new"].Value) != "late" {
		t.Errorf("got %+v, %v, %+v", done, err, there["key 1"])
	}
}
