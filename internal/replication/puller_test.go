package replication

import (
	"context"
	"encoding/binary"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/record"
	"github.com/futago/futago/internal/store"
)

// badPeer is what a node follows that must not be trusted: it runs on each connection of a puller.
type badPeer func(conn net.Conn)

// greet says who the source is, reads the hello and welcomes to the stream.
func greet(conn net.Conn, frames *frameReader) bool {
	conn.Write(appendJSON(nil, frameGreeting, greeting{Protocol: protocolName, Version: protocolVersion, Node: 2}))
	var h hello
	if frames.expect(frameHello, &h) != nil {
		return false
	}
	conn.Write(appendJSON(nil, frameWelcome, welcome{Mode: "stream", End: 10, Wall: clusterTime}))
	go func() { // confirms are of no interest
		for {
			if _, _, err := frames.next(maxTalk); err != nil {
				return
			}
		}
	}()
	return true
}

func batchOf(seq uint64, recs ...record.Record) []byte {
	b := make([]byte, batchHeader)
	putBatchHeader(b, seq, 0)
	for i := range recs {
		b = appendRecord(b, recs[i].Append(nil))
	}
	return b
}

func TestPullerRefusesBadSources(t *testing.T) {
	good := record.Record{Kind: record.Value, Stamp: hlc.Make(clusterTime, 0, 2), Key: []byte("k"), Value: []byte("v")}
	greetingOf := func(g greeting) badPeer {
		return func(conn net.Conn) { conn.Write(appendJSON(nil, frameGreeting, g)) }
	}
	after := func(b []byte) badPeer {
		return func(conn net.Conn) {
			if greet(conn, newFrameReader(conn)) {
				conn.Write(b)
				time.Sleep(time.Minute)
			}
		}
	}
	badSum := appendFrame(nil, frameBatch, batchOf(1, good))
	badSum[len(badSum)-1]++
	cutRecord := batchOf(1, good)
	many := make([]record.Record, maxRecords+1)
	for i := range many {
		many[i] = record.Record{Kind: record.Tombstone, Stamp: 1}
	}
	for name, c := range map[string]struct {
		peer   badPeer
		state  string
		reason string
	}{
		"garbage":          {func(conn net.Conn) { conn.Write([]byte("GET / HTTP/1.0\r\n\r\n")) }, "connecting", "is this the peer port?"},
		"wrong protocol":   {greetingOf(greeting{Protocol: "other", Version: protocolVersion, Node: 2}), "refused", "no peer port"},
		"old version":      {greetingOf(greeting{Protocol: protocolName, Version: 0, Node: 2}), "refused", "protocol version 0"},
		"own id":           {greetingOf(greeting{Protocol: protocolName, Version: protocolVersion, Node: 1}), "refused", "both nodes have the id 1"},
		"no JSON":          {func(conn net.Conn) { conn.Write(appendFrame(nil, frameGreeting, []byte("{"))) }, "connecting", "malformed frame"},
		"silence":          {func(net.Conn) { time.Sleep(time.Minute) }, "connecting", "timeout"},
		"silence later":    {after(nil), "connecting", "timeout"},
		"wrong checksum":   {after(badSum), "connecting", "bad checksum"},
		"huge frame":       {after(binary.LittleEndian.AppendUint32(nil, 1<<32-1)), "connecting", "4294967295 bytes"},
		"large but absent": {after(binary.LittleEndian.AppendUint32(nil, maxFrame)), "connecting", "timeout"},
		"empty frame":      {after(make([]byte, 8)), "connecting", "0 bytes"},
		"unknown type":     {after(appendFrame(nil, 99, nil)), "connecting", "type 99"},
		"cut record":       {after(appendFrame(nil, frameBatch, cutRecord[:len(cutRecord)-1])), "connecting", "malformed frame"},
		"bad record":       {after(appendFrame(nil, frameBatch, appendRecord(batchOf(1), []byte("x")))), "connecting", "malformed record"},
		"too many records": {after(appendFrame(nil, frameBatch, batchOf(1, many...))), "connecting", "records"},
		"short heartbeat":  {after(appendFrame(nil, frameHeartbeat, []byte("x"))), "connecting", "heartbeat"},
		"stamp ahead": {after(appendFrame(nil, frameBatch, batchOf(1, record.Record{Kind: record.Value, Stamp: hlc.Make(clusterTime+3_600_000, 0, 2), Key: []byte("k")}))),
			"clock", "ahead"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newCluster(t).a()
				st := openAlone(t, n)
				defer st.Close()
				status := followBad(t, n, PullerConfig{Store: st, Node: 1, Addr: "bad"}, c.state, c.reason, func(theirs net.Conn) {
					if _, err := (*Link)(nil).accept(theirs, time.Minute); err == nil {
						c.peer(theirs)
					}
				})
				if status.Applied != 0 || status.CaughtUp || st.Stats().Items+st.Stats().Tombstones != 0 {
					t.Fatalf("something of it was taken: %+v, %+v", status, st.Stats())
				}
			})
		})
	}
}

// followBad runs a puller of n, with cfg, that meets only bad peers, until its link is in the given state for a reason, and
// returns its status then. It must run in a bubble of virtual time.
func followBad(t *testing.T, n *testNode, cfg PullerConfig, state, reason string, peer badPeer) PullStatus {
	t.Helper()
	cfg.Dial = func(context.Context, string) (net.Conn, error) {
		mine, theirs := net.Pipe()
		go func() {
			peer(theirs)
			theirs.Close()
		}()
		return mine, nil
	}
	p := NewPuller(cfg)
	p.Start()
	ok := n.c.until(func() bool {
		st := p.Status()
		return st.State == state && strings.Contains(st.Reason, reason)
	})
	status := p.Status()
	p.Stop()
	time.Sleep(2 * time.Minute) // until the bad peer is gone
	if !ok {
		t.Fatalf("status %+v, want state %s because of %q", status, state, reason)
	}
	return status
}

func openAlone(t *testing.T, n *testNode) *store.Store {
	t.Helper()
	cfg := store.DefaultConfig()
	cfg.FS, cfg.InMemory, cfg.Node, cfg.Now, cfg.SegmentSize = n.fs, false, n.id, n.now, 16<<10
	st, err := store.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// A record that takes longer than the peer timeout to arrive does not end the link while its bytes come.
func TestLargeRecordOnASlowLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newCluster(t).a()
		st := openAlone(t, n)
		defer st.Close()
		value := make([]byte, 3<<20)
		links := 0
		p := NewPuller(PullerConfig{Store: st, Node: 1, Addr: "slow", PeerTimeout: time.Second, Dial: func(context.Context, string) (net.Conn, error) {
			mine, theirs := net.Pipe()
			links++
			go func() {
				defer theirs.Close()
				if _, err := (*Link)(nil).accept(theirs, time.Minute); err != nil {
					return
				}
				frames := newFrameReader(theirs)
				if !greet(theirs, frames) {
					return
				}
				frame := appendFrame(nil, frameBatch, batchOf(10, record.Record{Kind: record.Value, Stamp: hlc.Make(clusterTime, 0, 2), Key: []byte("k"), Value: value}))
				for len(frame) > 0 {
					step := min(len(frame), 200<<10)
					if _, err := theirs.Write(frame[:step]); err != nil {
						return
					}
					frame = frame[step:]
					time.Sleep(500 * time.Millisecond)
				}
			}()
			return mine, nil
		}})
		p.Start()
		ok := n.c.until(func() bool { return st.Stats().Items == 1 || links > 1 })
		status := p.Status()
		p.Stop()
		time.Sleep(time.Minute)
		if !ok || links != 1 || st.Stats().Items != 1 {
			t.Fatalf("%d links, %+v, %+v", links, status, st.Stats())
		}
	})
}
