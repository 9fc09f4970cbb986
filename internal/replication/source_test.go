package replication

import (
	"errors"
	"math"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/futago/futago/internal/store"
	"github.com/futago/futago/internal/ulog"
)

// rawFollower is a connection to a source that a test speaks on itself.
type rawFollower struct {
	net.Conn
	frames *frameReader
	welcome
}

// follow connects to the source of n and introduces itself.
func (n *testNode) follow(h hello) (*rawFollower, error) {
	mine, theirs := net.Pipe()
	n.c.wire.listeners[n.name].conns <- theirs
	if _, err := (*Link)(nil).dialed(mine, "", time.Minute); err != nil {
		return &rawFollower{Conn: mine}, err
	}
	f := &rawFollower{Conn: mine, frames: newFrameReader(mine)}
	var g greeting
	if err := f.frames.expect(frameGreeting, &g); err != nil {
		return f, err
	}
	if _, err := f.Write(appendJSON(nil, frameHello, h)); err != nil {
		return f, err
	}
	return f, f.frames.expect(frameWelcome, &f.welcome)
}

// listen reads on, so that the source is never held up, until the connection ends.
func (f *rawFollower) listen() (ended chan struct{}) {
	ended = make(chan struct{})
	go func() {
		defer close(ended)
		for {
			if _, _, err := f.frames.next(maxFrame); err != nil {
				return
			}
		}
	}()
	return ended
}

func (f *rawFollower) confirm(applied, durable uint64) {
	f.Write(appendFrame(nil, frameConfirm, confirm{Applied: applied, Durable: durable, Wall: clusterTime, Whole: true}.append(nil)))
}

// startAlone runs node a only.
func startAlone(t *testing.T) *testNode {
	t.Helper()
	n := newCluster(t).a()
	if err := n.start(); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestSourceRefusesBadFollowers(t *testing.T) {
	for name, c := range map[string]struct {
		hello hello
		want  string
	}{
		"own id":      {hello{Version: protocolVersion, Node: 1}, "both nodes have the id 1"},
		"no id":       {hello{Version: protocolVersion}, "node id 0"},
		"large id":    {hello{Version: protocolVersion, Node: 1024}, "node id 1024"},
		"old version": {hello{Version: 0, Node: 2}, "protocol version 0"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := startAlone(t)
				defer n.c.stop()
				f, err := n.follow(c.hello)
				f.Close()
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Fatalf("got %v, want %q", err, c.want)
				}
				if list := n.source.Followers(); len(list) != 0 {
					t.Fatalf("followers %+v", list)
				}
			})
		})
	}
}

func TestSourceEndsBadLinks(t *testing.T) {
	for name, bad := range map[string]func(f *rawFollower, end uint64){
		"confirm beyond the end":    func(f *rawFollower, end uint64) { f.confirm(end+1, 0) },
		"durable beyond applied":    func(f *rawFollower, end uint64) { f.confirm(end-1, end) },
		"confirm of the largest":    func(f *rawFollower, _ uint64) { f.confirm(math.MaxUint64, math.MaxUint64) },
		"a batch from the follower": func(f *rawFollower, _ uint64) { f.Write(appendFrame(nil, frameBatch, make([]byte, batchHeader))) },
		"a large frame":             func(f *rawFollower, _ uint64) { f.Write([]byte{0, 0, 2, 0, 9}) },
		"silence":                   func(*rawFollower, uint64) {},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := startAlone(t)
				defer n.c.stop()
				var end uint64
				for range 3 {
					res, err := n.commit(store.Request{Op: store.Set, Key: []byte("k"), Value: []byte("v")})
					if err != nil {
						t.Fatal(err)
					}
					end = res.Seq
				}
				f, err := n.follow(hello{Version: protocolVersion, Node: 2, Partial: -1})
				if err != nil {
					t.Fatal(err)
				}
				ended := f.listen()
				bad(f, f.End)
				select {
				case <-ended:
				case <-time.After(10 * time.Second):
					t.Error("the link goes on")
				}
				f.Close()
				synctest.Wait()
				if list := n.source.Followers(); len(list) != 0 {
					t.Fatalf("followers %+v", list)
				}
				if a := n.st.Acknowledgement(); a.Confirmed > end {
					t.Fatalf("confirmed %d, the log ends at %d", a.Confirmed, end)
				}
			})
		})
	}
}

// A peer that begins with a snapshot confirms the position at which it began, long before it holds what lies before: a
// write from before must not count as held by it.
func TestSnapshotConfirmsNothingBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := startAlone(t)
		defer n.c.stop()
		n.commit(store.Request{Op: store.Set, Key: []byte("k"), Value: []byte("v")})
		first, err := n.follow(hello{Version: protocolVersion, Node: 2, Partial: -1})
		if err != nil {
			t.Fatal(err)
		}
		gone := first.listen()
		first.confirm(first.End, 0)
		if !n.c.until(func() bool { return !n.st.Acknowledgement().Solo }) {
			t.Fatal("solo beside a peer that holds everything")
		}
		soloFor := n.st.Acknowledgement().SoloSeconds
		res, err := n.commit(store.Request{Op: store.Set, Key: []byte("k"), Value: []byte("w")})
		if err != nil {
			t.Fatal(err)
		}
		// The peer lost its disk and is back before its old connection is seen to be dead.
		second, err := n.follow(hello{Version: protocolVersion, Node: 2, Partial: -1})
		if err != nil {
			t.Fatal(err)
		}
		again := second.listen()
		time.Sleep(10 * time.Millisecond) // so that a solo time shows
		second.confirm(second.Start.Seq, 0)
		synctest.Wait()
		ok, _ := n.st.Passed(res.Seq)
		if a := n.st.Acknowledgement(); ok && !a.Solo && a.SoloSeconds == soloFor {
			t.Errorf("acknowledged as held by a peer that has not got it: %+v", a)
		}
		first.Close()
		second.Close()
		<-gone
		<-again
	})
}

// What an old link still says once a new one of the same peer has taken over is not taken for news of the new one: neither a
// confirmation that was on its way, nor its end.
func TestReplacedLinkSaysNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := startAlone(t)
		defer n.c.stop()
		res, err := n.commit(store.Request{Op: store.Set, Key: []byte("k"), Value: []byte("v")})
		if err != nil {
			t.Fatal(err)
		}
		first, err := n.follow(hello{Version: protocolVersion, Node: 2, Partial: -1})
		if err != nil {
			t.Fatal(err)
		}
		gone := first.listen()
		n.source.mu.Lock()
		old := n.source.followers[2]
		n.source.mu.Unlock()
		second, err := n.follow(hello{Version: protocolVersion, Node: 2, Partial: -1})
		if err != nil {
			t.Fatal(err)
		}
		again := second.listen()
		synctest.Wait()
		if err := old.confirmed(confirm{Applied: res.Seq, Whole: true}); !errors.Is(err, errReplaced) {
			t.Errorf("a confirmation of the old link: got %v, want %v", err, errReplaced)
		}
		n.source.leave(old)
		if a := n.st.Acknowledgement(); a.Confirmed != 0 || !a.Solo {
			t.Errorf("after the old link spoke: %+v, want solo and nothing confirmed", a)
		}
		second.confirm(n.st.Log().Written(), 0)
		if !n.c.until(func() bool { return !n.st.Acknowledgement().Solo }) {
			t.Error("solo although the new link confirmed everything")
		}
		first.Close()
		second.Close()
		<-gone
		<-again
	})
}

// A position of another log, or with another checksum, leads to a snapshot, never to a stream with a gap.
func TestSourceVerifiesPositions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := startAlone(t)
		defer n.c.stop()
		n.commit(store.Request{Op: store.Set, Key: []byte("k"), Value: []byte("v")})
		n.commit(store.Request{Op: store.Set, Key: []byte("k"), Value: []byte("w")})
		end := n.st.Log().End()
		for _, c := range []struct {
			name string
			pos  ulog.Position
			mode string
		}{
			{"nothing", ulog.Position{}, "snapshot"},
			{"the end", end, "stream"},
			{"another checksum", ulog.Position{Life: end.Life, Seq: end.Seq, CRC: end.CRC + 1}, "snapshot"},
			{"another log", ulog.Position{Life: ulog.Identity{1}, Seq: end.Seq, CRC: end.CRC}, "snapshot"},
			{"beyond the end", ulog.Position{Life: end.Life, Seq: end.Seq + 9, CRC: end.CRC}, "snapshot"},
		} {
			f, err := n.follow(hello{Version: protocolVersion, Node: 2, Position: c.pos, Partial: -1})
			if err != nil {
				t.Fatal(err)
			}
			ended := f.listen()
			f.Close()
			<-ended
			if f.Mode != c.mode {
				t.Errorf("%s: %s (%s), want %s", c.name, f.Mode, f.Reason, c.mode)
			}
		}
	})
}
