package migrate

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/futago/futago/internal/server"
	"github.com/futago/futago/internal/store"
	"github.com/futago/futago/internal/tyrant"
)

// testNode is a store in memory behind a client port.
type testNode struct {
	addr  string
	st    *store.Store
	dials atomic.Int64
}

func startNode(t testing.TB, maxValue int64) *testNode {
	t.Helper()
	cfg := store.DefaultConfig()
	cfg.MinFree = 0
	if maxValue > 0 {
		cfg.MaxValue = maxValue
	}
	st, err := store.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	l, err := server.ParseListen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	sc := server.DefaultConfig()
	sc.Listen, sc.Threads, sc.MaxConns, sc.MaxValue = []server.Listener{l}, 2, 1000, cfg.MaxValue
	s, err := server.New(sc, st)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() { s.Serve(); close(served) }()
	t.Cleanup(func() {
		s.Close()
		<-served
		if err := st.Close(); err != nil {
			t.Errorf("close the store: %v", err)
		}
	})
	return &testNode{addr: s.Addrs()[0], st: st}
}

func (n *testNode) dial(ctx context.Context, maxReply int) (*tyrant.Client, error) {
	n.dials.Add(1)
	return tyrant.Dial(ctx, n.addr, tyrant.ClientConfig{Timeout: 20 * time.Second, MaxReply: maxReply})
}

// items are all records of the node by key.
func (n *testNode) items(t testing.TB) map[string]tyrant.Item {
	t.Helper()
	c, err := n.dial(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	all := map[string]tyrant.Item{}
	for place := ""; ; {
		items, next, err := c.Export(place, nil, 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range items {
			if _, twice := all[string(i.Key)]; twice {
				t.Errorf("%q came twice", i.Key)
			}
			all[string(i.Key)] = i
		}
		if place = next; place == "" {
			return all
		}
	}
}

// put stores records, which must succeed.
func (n *testNode) put(t testing.TB, items ...tyrant.Item) {
	t.Helper()
	c, err := n.dial(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, i := range items {
		outcomes, _, fault, err := c.Import(tyrant.StoreAll, []tyrant.Item{i})
		if err != nil || fault != nil || outcomes[0] != tyrant.OutcomeStored {
			t.Fatalf("store %q: %q, %v, %v", i.Key, outcomes, fault, err)
		}
	}
}

// brought transfers from a source and checks that the summary adds up.
func brought(t testing.TB, c TransferConfig) (*Summary, error) {
	t.Helper()
	if c.State == nil {
		c.State = openState(t, "")
	}
	if c.Mode == "" {
		c.Mode = tyrant.StoreAll
	}
	done, err := Transfer(t.Context(), c)
	if done.unaccounted() != 0 {
		t.Errorf("the summary does not add up: %+v", done)
	}
	return done, err
}
