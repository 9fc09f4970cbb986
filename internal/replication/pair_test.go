package replication

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/futago/futago/internal/store"
	"github.com/futago/futago/internal/vfs"
)

// TestPairFollowsEachOther is the shortest whole story: snapshot, stream, confirmations, both directions.
func TestPairFollowsEachOther(t *testing.T) {
	type side struct {
		st  *store.Store
		src *Source
		pul *Puller
	}
	var sides [2]side
	var lns [2]net.Listener
	for i := range sides {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		lns[i] = ln
		c := store.DefaultConfig()
		c.FS, c.Node, c.AckPeer, c.AckTimeout = vfs.Memory(), i+1, true, time.Minute
		if sides[i].st, err = store.Open(c); err != nil {
			t.Fatal(err)
		}
		sides[i].src = NewSource(SourceConfig{Store: sides[i].st, Node: i + 1}, ln)
		go sides[i].src.Serve()
	}
	for n := range 3000 {
		var res store.Result
		err := sides[n%2].st.Commit(&store.Request{Op: store.Set, Key: fmt.Appendf(nil, "early%d", n), Value: []byte("v")}, &res)
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range sides {
		sides[i].st.Flush()
		sides[i].pul = NewPuller(PullerConfig{Store: sides[i].st, Node: i + 1, Addr: lns[1-i].Addr().String(), Durable: true})
		sides[i].pul.Start()
	}
	defer func() {
		for i := range sides {
			sides[i].pul.Stop()
			sides[i].src.Close()
			sides[i].st.Close()
		}
	}()
	wait(t, "both caught up", func() bool {
		a, _ := sides[0].pul.CaughtUp()
		b, _ := sides[1].pul.CaughtUp()
		return a && b && !sides[0].st.Acknowledgement().Solo && !sides[1].st.Acknowledgement().Solo
	})
	for n := range 200 {
		var res store.Result
		i := n % 2
		if err := sides[i].st.Commit(&store.Request{Op: store.Set, Key: fmt.Appendf(nil, "late%d", n), Value: []byte("v")}, &res); err != nil {
			t.Fatal(err)
		}
		sides[i].st.Flush()
		if err := sides[i].st.Wait(t.Context(), res.Seq); err != nil {
			t.Fatal(err)
		}
		var v store.View
		if !sides[1-i].st.Acquire(fmt.Appendf(nil, "late%d", n), &v) {
			t.Fatalf("late%d was acknowledged, the peer has it not", n)
		}
		v.Release()
	}
	if a, b := sides[0].st.Stats().Items, sides[1].st.Stats().Items; a != 3200 || b != 3200 {
		t.Fatalf("%d and %d items, want 3200", a, b)
	}
	if sides[0].st.Acknowledgement().Solo || sides[1].st.Acknowledgement().Solo {
		t.Fatal("a node went solo beside a living peer")
	}
}

// wait polls a condition until it holds.
func wait(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("timed out: %s", what)
		}
	}
}
