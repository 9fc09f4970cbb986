package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/node"
	"github.com/futago/futago/internal/record"
	"github.com/futago/futago/internal/store"
	"github.com/google/go-cmp/cmp"
)

func newFakePair(t *testing.T) []*fakeNode {
	return []*fakeNode{newFakeNode(t, 1), newFakeNode(t, 2)}
}

// runVerify compares nodes and returns what --json says.
func runVerify(t *testing.T, nodes []*fakeNode, wantCode int, args ...string) (r verifyReport, errOut string) {
	t.Helper()
	code, out, errOut := runFutago(nodes, append([]string{"verify", "--json", "--settle", "1ms"}, args...)...)
	if code != wantCode {
		t.Errorf("exit code %d, want %d; %s%s", code, wantCode, out, errOut)
	}
	if code != exitFailure && code != exitUsage {
		if err := json.Unmarshal([]byte(out), &r); err != nil {
			t.Fatalf("parse %q: %v", out, err)
		}
	}
	return r, errOut
}

func (r *verifyReport) keyNames() string {
	var names []string
	for _, k := range r.Keys {
		names = append(names, string(k.Key))
	}
	return strings.Join(names, " ")
}

func TestVerifyEqual(t *testing.T) {
	p := newFakePair(t)
	for _, n := range p {
		for i := range 1500 {
			n.put(fmt.Sprint("key", i), 10, "v")
		}
	}
	p[0].remove("forgotten elsewhere", 5)
	code, out, _ := runFutago(p, "verify")
	if code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	expect(t, "output", out, "node 2  "+p[1].addr+"  1,500 records", "equal: 1,500 records in 4096 ranges\n")
	if p[0].listed != 0 {
		t.Errorf("records were asked for %d times though the digests are equal", p[0].listed)
	}
	r, _ := runVerify(t, p, 0, "--full")
	if !r.Equal || r.Records != 1500 || r.Listed != store.Ranges {
		t.Errorf("full comparison: %+v", r)
	}
}

func TestVerifyDiffers(t *testing.T) {
	p := newFakePair(t)
	for _, n := range p {
		n.put("same", 10, "v")
	}
	p[0].put("lacking", 10, "v")
	p[0].put("older", 10, "v")
	p[1].put("older", 11, "longer")
	p[0].put("deleted", 10, "v")
	p[1].remove("deleted", 12)
	p[1].remove("both without", 12)

	r, errOut := runVerify(t, p, 3)
	if r.Equal || r.Differing != 3 || len(r.Keys) != 3 {
		t.Errorf("got %+v, want 3 keys", r)
	}
	expect(t, "standard error", errOut, "the nodes differ in 3 keys")
	for _, k := range r.Keys {
		if string(k.Key) != "older" {
			continue
		}
		one, two := hlc.Make(10_000, 0, 1).Time(), hlc.Make(11_000, 0, 1).Time()
		want := []verifySide{
			{Node: 1, Has: true, Written: &one, By: 1, Kind: "value", Size: 1, Hash: k.Sides[0].Hash},
			{Node: 2, Has: true, Written: &two, By: 1, Kind: "value", Size: 6, Hash: k.Sides[1].Hash},
		}
		if diff := cmp.Diff(want, k.Sides); diff != "" || k.Sides[0].Hash == k.Sides[1].Hash {
			t.Errorf("sides differ (-want +got):\n%s", diff)
		}
	}
	_, out, _ := runFutago(p, "verify", "--settle", "1ms", "--limit", "1")
	expect(t, "output", out, "differ: 3 keys", "not shown: 2 keys")

	code, out, _ := runFutago([]*fakeNode{p[0], p[1], newFakeNode(t, 3)}, "verify", "--settle", "1ms")
	if code != 3 {
		t.Errorf("exit code of three nodes: %d, want 3", code)
	}
	expect(t, "output of three nodes", out, "node 3", "nothing", "differ: 4 keys")
}

// Only --full sees bytes that changed where no write was.
func TestVerifyFullSeesBytes(t *testing.T) {
	p := newFakePair(t)
	p[0].put("a", 10, "right")
	p[1].put("a", 10, "wrong")
	if r, _ := runVerify(t, p, 0); !r.Equal {
		t.Errorf("digests: %+v", r)
	}
	if r, _ := runVerify(t, p, 3, "--full"); r.keyNames() != "a" {
		t.Errorf("full comparison found %q, want a", r.keyNames())
	}
}

func TestVerifyExpiry(t *testing.T) {
	now := hlc.Epoch.Add(1e6 * 3600) // newFakeNode's
	at := func(hours float64) uint64 { return uint64(hlc.Millis(now)) + uint64(int64(hours*3_600_000)) }
	p := newFakePair(t)
	put := func(n *fakeNode, key string, expires uint64) {
		n.set(&record.Record{Kind: record.Value, Key: []byte(key), Stamp: hlc.Make(10_000, 0, 1), Expires: expires})
	}
	for _, n := range p {
		n.from = hlc.Millis(now)/3_600_000 + 2
		put(n, "both", at(100))
	}
	put(p[0], "soon", at(1.5))
	put(p[0], "over", at(-1.5))
	r, _ := runVerify(t, p, 0)
	if r.Records != 1 || r.Soon != 1 {
		t.Errorf("%d records were compared and %d were not, want 1 and 1", r.Records, r.Soon)
	}
	if r, _ := runVerify(t, p, 3, "--full"); r.keyNames() != "soon" {
		t.Errorf("full comparison found %q, want soon", r.keyNames())
	}
	put(p[1], "late", at(50))
	if r, _ := runVerify(t, p, 3); !strings.Contains(r.keyNames(), "late") {
		t.Errorf("comparison found %q, want late among them", r.keyNames())
	}
}

// What is on its way is no difference.
func TestVerifyBusy(t *testing.T) {
	t.Run("a range that was equal once", func(t *testing.T) {
		p := newFakePair(t)
		p[0].put("a", 10, "v")
		p[1].beforeDigest = func(n *fakeNode) int {
			if n.digests == 2 {
				n.put("a", 10, "v")
			} else {
				n.put("a", n.digests, "v") // moves on
			}
			return 0
		}
		if r, _ := runVerify(t, p, 0); !r.Equal || p[1].listed != 0 {
			t.Errorf("got %+v after %d lists", r, p[1].listed)
		}
	})
	t.Run("arrives before the second look", func(t *testing.T) {
		p := newFakePair(t)
		p[0].put("a", 10, "v")
		p[1].beforeList = func(n *fakeNode) int {
			if n.listed == 2 {
				n.put("a", 10, "v")
			}
			return 0
		}
		if r, _ := runVerify(t, p, 0); !r.Equal || r.Moving != 0 {
			t.Errorf("got %+v", r)
		}
	})
	// Each look finds the second node one write behind; it gets the one from before.
	move := func(p []*fakeNode, behind int) {
		p[0].put("a", 10, "v")
		p[0].beforeList = func(n *fakeNode) int { n.put("a", 100+10*n.listed, "v"); return 0 }
		p[1].beforeList = func(n *fakeNode) int { n.put("a", 100+10*(n.listed-behind), "v"); return 0 }
	}
	t.Run("written all the time", func(t *testing.T) {
		p := newFakePair(t)
		move(p, 1)
		r, _ := runVerify(t, p, 0)
		if !r.Equal || r.Moving != 1 {
			t.Errorf("got %+v, want one key that moves", r)
		}
	})
	t.Run("behind all the time", func(t *testing.T) {
		p := newFakePair(t)
		move(p, 2)
		if r, _ := runVerify(t, p, 3); r.keyNames() != "a" {
			t.Errorf("got %+v, want a to differ", r)
		}
	})
}

func TestVerifyWaits(t *testing.T) {
	p := newFakePair(t)
	building := func(until int) func(*fakeNode) int {
		return func(n *fakeNode) int {
			if n.digests < until {
				return 503
			}
			return 0
		}
	}
	p[1].beforeDigest = building(3)
	if r, _ := runVerify(t, p, 0); !r.Equal || p[1].digests != 3 {
		t.Errorf("got %+v after %d questions", r, p[1].digests)
	}
	p[0].beforeDigest, p[1].beforeDigest = nil, building(1000)
	_, errOut := runVerify(t, p, 1, "--wait", "0s")
	expect(t, "standard error", errOut, p[1].addr, "the digest is being built", "--wait")

	// A flush that one node has not heard of.
	p[1].digests, p[1].floor = 0, 5
	p[1].beforeDigest = func(n *fakeNode) int {
		if n.digests == 2 {
			n.floor = 0
		}
		return 0
	}
	if r, _ := runVerify(t, p, 0); !r.Equal || p[1].digests != 2 {
		t.Errorf("got %+v after %d questions", r, p[1].digests)
	}
}

func TestVerifyProblems(t *testing.T) {
	p := newFakePair(t)
	p[0].put("a", 10, "v")
	p[1].beforeList = func(*fakeNode) int { return 1 }
	_, errOut := runVerify(t, p, 1)
	expect(t, "standard error of an answer that is cut", errOut, "read records of "+p[1].addr)

	_, errOut = runVerify(t, []*fakeNode{p[0], newFakeNode(t, 1)}, 1)
	expect(t, "standard error of one node twice", errOut, "are the same node, 1")

	_, errOut = runVerify(t, p[:1], 2, "--limit", "0", "--settle", "0s", "--wait", "-1s")
	expect(t, "standard error of wrong words", errOut, "4 problems", "two nodes or more", "--limit 0", "--settle 0s", "--wait -1s")
}

// What the links say stands below a difference.
func TestVerifyLinks(t *testing.T) {
	p := newFakePair(t)
	p[0].put("a", 10, "v")
	p[1].status = statusOf(t, `{"node": 2, "time": "2026-01-02T03:04:05Z", "peer": {"node": 1, "state": "clock", "reason": "too far ahead"},
		"other_peers": [{"node": 3, "state": "stream", "lag_seconds": 75.2}], "store": {"lost": 2}}`)
	_, out, _ := runFutago(p, "verify", "--settle", "1ms")
	expect(t, "output", out, "note: node 2 does not follow node 1: clock, too far ahead", "note: node 2 is 1m15s behind node 3", "note: node 2 lost 2 records")
}

func statusOf(t *testing.T, text string) (s node.Status) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestGrouped(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -999: "-999", -1000: "-1,000"} {
		if got := grouped(n); got != want {
			t.Errorf("grouped(%d) = %q, want %q", n, got, want)
		}
	}
}

func FuzzReadRecords(f *testing.F) {
	line, _ := json.Marshal(node.RecordLine{Key: []byte("a"), Stamp: 5, Kind: "value"})
	f.Add(append(line, '\n'))
	f.Add([]byte("{\"key\":\"YQ==\"}\n{"))
	f.Fuzz(func(t *testing.T, text []byte) {
		list, err := readRecords(strings.NewReader(string(text)))
		if lines := strings.Count(string(text), "\n") + 1; err == nil && len(list) > lines {
			t.Errorf("%d records of %d lines", len(list), lines)
		}
	})
}
