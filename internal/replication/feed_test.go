package replication

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/futago/futago/internal/feed"
	"github.com/futago/futago/internal/record"
	"github.com/futago/futago/internal/store"
)

// watcher follows the changes of a mesh, one node at a time, as a client that keeps a copy of every key does.
type watcher struct {
	r      *run
	random *rand.Rand // of its own: the history is the same without it
	node   *testNode
	st     *store.Store // of the cursor
	cursor *feed.Cursor // nil while it is not connected
	at     *feed.Position
	copies map[string]record.Record
	moved  int // times that it went on at another node
	anew   int // times that no node knew its position
}

func newWatcher(r *run, seed uint64) *watcher {
	return &watcher{r: r, random: rand.New(rand.NewPCG(seed, 1)), copies: map[string]record.Record{}}
}

// step is some of the watcher's life.
func (w *watcher) step() {
	if w.cursor != nil && (!w.node.up || w.node.st != w.st || w.random.IntN(8) == 0) {
		w.leave()
	}
	if w.cursor == nil {
		w.connect(w.random.IntN(len(w.r.nodes)))
	}
	w.read(w.random.IntN(40))
}

func (w *watcher) leave() {
	w.cursor.Close()
	w.cursor = nil
}

// connect goes on at any node that knows the position, the given one first. While one is down it may be that one.
func (w *watcher) connect(first int) {
	down := false
	for i := range w.r.nodes {
		n := w.r.nodes[(first+i)%len(w.r.nodes)]
		if !n.up || n.st.Log().Failed() != nil {
			down = true
			continue
		}
		if w.at == nil {
			w.begin(n)
			return
		}
		c, err := feed.Resume(n.st, n.id, *w.at)
		if errors.Is(err, feed.ErrGone) {
			w.r.note("watcher: %s does not know the position: %v", n.name, err)
			continue
		} else if err != nil {
			w.r.fail("resume at %s: %v", n.name, err)
		}
		if w.node != n {
			w.moved++
		}
		w.r.note("watcher: on at %s, seq %d", n.name, c.Position().At.Seq)
		w.node, w.st, w.cursor = n, n.st, c
		return
	}
	if !down {
		w.anew++
		w.at = nil
	}
}

// begin takes a position and then lists the keys, as the documentation says.
func (w *watcher) begin(n *testNode) {
	c, err := feed.Begin(n.st, n.id)
	if err != nil {
		w.r.fail("begin at %s: %v", n.name, err)
	}
	w.r.note("watcher: begins at %s, seq %d", n.name, c.Position().At.Seq)
	w.node, w.st, w.cursor = n, n.st, c
	w.at = new(c.Position())
	clear(w.copies)
	for key, r := range n.records() {
		if !n.flushed(&r) {
			w.copies[key] = r
		}
	}
}

// read takes at most n changes.
func (w *watcher) read(n int) (read int) {
	for w.cursor != nil && read < n {
		c, err := w.cursor.Next()
		if errors.Is(err, feed.ErrGone) {
			w.leave()
			return read
		} else if err != nil {
			w.r.fail("read: %v", err)
		}
		w.at = new(w.cursor.Position())
		if c == nil {
			return read
		}
		read++
		if c.Kind != record.Floor {
			w.copies[string(c.Key)] = c.Clone()
		}
	}
	return read
}

// check compares what the watcher has with what all nodes hold. lossy says that writes may have been lost that nobody
// acknowledged, or that a disk had alone.
func (w *watcher) check(lossy bool) {
	if w.cursor != nil {
		w.leave() // its store may be that of a dead process
	}
	for w.cursor == nil {
		w.connect(0)
	}
	for w.read(1000) > 0 || w.cursor == nil {
		if w.cursor == nil {
			w.connect(0)
		}
	}
	n := w.r.a()
	final := n.records()
	for key, have := range w.copies {
		if _, ok := final[key]; ok || n.flushed(&have) || n.settled(&have) {
			continue
		}
		if !lossy {
			w.r.fail("the watcher has a %q that nobody has: %s", key, describe(&have))
		}
	}
	for key, want := range final {
		have, ok := w.copies[key]
		switch {
		case n.flushed(&want) || n.settled(&want) && (!ok || n.settled(&have)) || ok && record.Equal(&have, &want):
			continue
		case !ok:
			w.r.fail("the watcher was not told of %q: %s", key, describe(&want))
		}
		if m := record.Merge(&have, &want); record.Equal(&m, &want) || !lossy {
			w.r.fail("the watcher has an old %q:\n%s, all have\n%s", key, describe(&have), describe(&want))
		}
	}
	w.leave()
}

// Whoever follows the changes of a pair that is quiet goes on at the other node, there and back, without being told anything
// again but what was written within the last moment.
func TestFeedMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startCluster(t)
		defer c.stop()
		w := newWatcher(&run{cluster: c}, 1)
		w.begin(c.a())
		set := func(n *testNode, key string) {
			if _, err := n.commit(store.Request{Op: store.Set, Key: []byte(key), Value: []byte("v")}); err != nil {
				t.Fatal(err)
			}
			c.sync()
			time.Sleep(time.Second)
		}
		for i := range 6 {
			n, o := c.nodes[i%2], c.nodes[(i+1)%2]
			set(n, fmt.Sprint("own", i))
			set(o, fmt.Sprint("peer", i))
			if got := w.read(100); got < 2 || got > 4 {
				t.Errorf("round %d: told of %d changes, want 2 and at most two again", i, got)
			}
			w.leave()
			n.kill()
			w.connect(i % 2)
			if w.node != o {
				t.Fatalf("round %d: went on at %s", i, w.node.name)
			}
			if err := n.start(); err != nil {
				t.Fatal(err)
			}
			c.sync()
		}
		w.check(false)
		if w.moved != 6 || w.anew != 0 {
			t.Errorf("moved %d times, began anew %d times", w.moved, w.anew)
		}
	})
}

// What waits for the peer's acknowledgement is not shown before it has come.
func TestFeedShowsWhatIsSafe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		c.adapt = func(cfg *store.Config) { cfg.AckTimeout = time.Hour }
		var silent atomic.Bool
		c.wire.forge = func(follower, _ string, fromSource bool, f frameType, payload []byte) []byte {
			if follower == "b" && !fromSource && f == frameConfirm && silent.Load() {
				return nil
			}
			return appendFrame(nil, f, payload)
		}
		defer c.stop()
		c.start()
		w := newWatcher(&run{cluster: c}, 1)
		w.begin(c.a())
		silent.Store(true)
		if _, err := c.a().commit(store.Request{Op: store.Set, Key: []byte("k"), Value: []byte("v")}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond)
		if _, there := c.b().get("k"); !there {
			t.Fatal("the peer does not have it")
		}
		if got := w.read(10); got != 0 {
			t.Fatalf("%d changes are shown that nobody acknowledged", got)
		}
		silent.Store(false)
		c.sync()
		time.Sleep(heartbeatEvery)
		if got := w.read(10); got != 1 {
			t.Fatalf("%d changes are shown, want the one that the peer has", got)
		}
		w.leave()
	})
}

// A node that lost writes of its own at a power cut follows its peer again before these are back. A position that it tells
// meanwhile does not lead to the peer, in whose log they lie in front of what the node has read there.
func TestFeedDistrustsGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		var holding atomic.Bool
		c.wire.forge = func(follower, _ string, fromSource bool, f frameType, payload []byte) []byte {
			if holding.Load() && follower == "a" && fromSource && (f == frameChunk || f == frameComplete) {
				return nil
			}
			return appendFrame(nil, f, payload)
		}
		defer c.stop()
		c.start()
		set := func(n *testNode, key string) {
			t.Helper()
			if _, err := n.commit(store.Request{Op: store.Set, Key: []byte(key), Value: []byte("v")}); err != nil {
				t.Fatal(err)
			}
		}
		set(c.a(), "safe")
		time.Sleep(3 * time.Second) // it is synced
		set(c.a(), "lost")
		time.Sleep(50 * time.Millisecond)
		c.a().power(nil)
		holding.Store(true)
		if err := c.a().start(); err != nil {
			t.Fatal(err)
		}
		for i := range 40 {
			set(c.b(), fmt.Sprint("later", i))
		}
		if !c.until(func() bool { _, there := c.a().get("later39"); return there }) {
			t.Fatal("a does not follow")
		}
		time.Sleep(2 * time.Second) // a notes how far it is
		if _, there := c.a().get("lost"); there {
			t.Fatal("a lost nothing")
		}
		w := newWatcher(&run{cluster: c}, 1)
		w.begin(c.a())
		if _, err := feed.Resume(c.b().st, c.b().id, *w.at); !errors.Is(err, feed.ErrGone) {
			t.Errorf("went on at b behind what was lost: %v", err)
		}
		holding.Store(false)
		c.wire.sever("")
		c.sync()
		if _, there := c.a().get("lost"); !there || w.read(100) == 0 {
			t.Fatal("it did not come back")
		}
		if got, ok := w.copies["lost"]; !ok || string(got.Value) != "v" {
			t.Errorf("the watcher has %s", describe(&got))
		}
		w.leave()
		if w.connect(1); w.node != c.b() {
			t.Errorf("went on at %s, want b", w.node.name)
		}
		w.check(false)
	})
}
