package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/store"
	"github.com/google/go-cmp/cmp"
)

const meshStatus = `{"node": 2, "state": "ready", "time": "2026-01-02T03:04:05Z", "peer_listen": "10.0.0.2:11212",
	"peer": {"addr": "10.0.0.1:11212", "node": 1, "state": "stream", "links": 1, "lag_entries": 7, "lag_seconds": 2.25,
		"verified": "2026-01-02T03:03:05Z", "equal": true, "drift_ms": -40},
	"other_peers": [
		{"addr": "10.0.0.3:11212", "node": 3, "state": "clock", "reason": "stamp is too far ahead", "drift_ms": 90000,
			"verified": "2026-01-02T03:00:05Z", "unequal_ranges": 2},
		{"addr": "10.0.0.9:11212", "state": "connecting", "reason": "connection refused"}],
	"members": [{"node": 1, "addr": "10.0.0.1:11212"}, {"node": 2}, {"node": 3, "addr": "10.0.0.3:11212"}, {"node": 4, "gone": true}],
	"followers": [{"node": 1, "addr": "10.0.0.1:40000", "state": "snapshot", "snapshot_part": 12, "snapshot_parts": 1024}],
	"horizon": "2026-01-01T03:00:00Z", "horizon_waits_for": [3],
	"clock": {"ahead_seconds": 0.001, "refused_seconds": 90.5}, "store": {}}`

func TestPeerList(t *testing.T) {
	n := newFakeNode(t, 2)
	n.status = statusOf(t, meshStatus)
	code, out, _ := runFutago([]*fakeNode{n}, "peer", "list")
	want := "as node 2 sees it (" + n.addr + `)
node  peer port       reads from it  behind    it reads  behind           compared
2     10.0.0.2:11212  this node                                           
1     10.0.0.1:11212  stream         7, 2s     snapshot  part 12 of 1024  equal, 1m0s ago
3     10.0.0.3:11212  clock          -         no        -                2 ranges unequal, 4m0s ago
4     -               removed        -         no        -                -
?     10.0.0.9:11212  connecting     -         no        -                -
node 3: clock, stamp is too far ahead
10.0.0.9:11212: connecting, connection refused
deletes are forgotten up to 2026-01-01T03:00:00Z; later ones wait for node 3

`
	if diff := cmp.Diff(squeeze(want), squeeze(out)); diff != "" || code != 0 {
		t.Errorf("exit code %d; output differs (-want +got):\n%s", code, diff)
	}

	code, out, errOut := runFutago([]*fakeNode{n}, "peer", "list", "--json", "--admin", closed(t))
	var view meshView
	if err := json.Unmarshal([]byte(out), &view); err != nil || code != exitFailure || view.Node != 2 || len(view.Peers) != 5 {
		t.Errorf("exit code %d, error %v, %+v; %s", code, err, view, errOut)
	}
}

// squeeze takes out the widths of columns.
func squeeze(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(strings.Join(strings.Fields(line), " ") + "\n")
	}
	return b.String()
}

func closed(t *testing.T) string {
	t.Helper()
	addr, err := closedAddr()
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

func TestPeerForget(t *testing.T) {
	n := newFakeNode(t, 2)
	n.status = statusOf(t, meshStatus)
	for _, c := range []struct {
		words string
		code  int
		want  string
	}{
		{"3", 2, "--yes is missing"},
		{"x --yes", 2, `node "x": want its id`},
		{"1024 --yes", 2, `node "1024": want its id`},
		{"2 --yes", 1, "cannot remove itself"},
		{"7 --yes", 1, "node 7 is no member"},
		{"4 --yes", 0, "node 4 was removed before"},
	} {
		code, out, errOut := runFutago([]*fakeNode{n}, append([]string{"peer", "forget"}, strings.Fields(c.words)...)...)
		if code != c.code || !strings.Contains(out+errOut, c.want) {
			t.Errorf("peer forget %s: exit code %d, %q, want %d and %q", c.words, code, out+errOut, c.code, c.want)
		}
	}
	if len(n.posted) != 0 {
		t.Errorf("the node was asked to %q", n.posted)
	}
	code, out, _ := runFutago([]*fakeNode{n}, "peer", "forget", "3", "--yes")
	if diff := cmp.Diff([]string{"/peers/forget?node=3"}, n.posted); diff != "" || code != 0 || out != "done\n" {
		t.Errorf("exit code %d, output %q; requests differ (-want +got):\n%s", code, out, diff)
	}
	for words, want := range map[string]peerForgotten{
		"3 --yes --json": {n.addr, 3, true, "done"}, "4 --yes --json": {n.addr, 4, false, "node 4 was removed before"},
	} {
		code, out, errOut := runFutago([]*fakeNode{n}, append([]string{"peer", "forget"}, strings.Fields(words)...)...)
		var got peerForgotten
		if err := json.Unmarshal([]byte(out), &got); err != nil || code != 0 || got != want {
			t.Errorf("peer forget %s: exit code %d, %+v and %v of %q, want %+v; %s", words, code, got, err, out, want, errOut)
		}
	}
}

// On a terminal the question says what it means, and only yes does it.
func TestPeerForgetAsks(t *testing.T) {
	n := newFakeNode(t, 2)
	n.status = statusOf(t, meshStatus)
	admin := &adminNode{addr: n.addr, url: "http://" + n.addr, timeout: time.Minute}
	var asked string
	answer := func(yes bool, err error) func(string) (bool, error) {
		return func(question string) (bool, error) { asked = question; return yes, err }
	}
	if _, err := forgetPeer(t.Context(), admin, 3, answer(false, nil)); err == nil || len(n.posted) != 0 {
		t.Errorf("no: error %v, requests %q", err, n.posted)
	}
	expect(t, "question", asked, "Node 3 (10.0.0.3:11212)", "the mesh of nodes 1, 2, 3", "empty data folder", "are lost")
	gone := errors.New("gone")
	if _, err := forgetPeer(t.Context(), admin, 3, answer(true, gone)); !errors.Is(err, gone) || len(n.posted) != 0 {
		t.Errorf("no answer: error %v, requests %q", err, n.posted)
	}
	if _, err := forgetPeer(t.Context(), admin, 3, answer(true, nil)); err != nil || len(n.posted) != 1 {
		t.Errorf("yes: error %v, requests %q", err, n.posted)
	}
	for text, want := range map[string]bool{"yes\n": true, "Y\n": true, "no\n": false, "\n": false, "": false, "yesterday\n": false} {
		if got, err := saysYes(strings.NewReader(text)); got != want || err != nil {
			t.Errorf("saysYes(%q) = %v, %v, want %v", text, got, err, want)
		}
	}
}

func TestClock(t *testing.T) {
	n := newFakeNode(t, 2)
	n.status = statusOf(t, meshStatus)
	code, out, _ := runFutago([]*fakeNode{n}, "clock")
	if code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	expect(t, "output", out, "node 2 ("+n.addr+")", "the clock of node 1 is 40ms behind this node's\n", "the clock of node 3 is 1m30s ahead of this node's\n    -> find the wrong one",
		"stamps 1m31s ahead of its clock are refused", "futago clock admit --admin "+n.addr)
	if strings.Contains(out, "nothing to do") {
		t.Errorf("there is something to do:\n%s", out)
	}

	n.status = statusOf(t, `{"node": 1, "clock": {"ahead_seconds": 30, "jump_seconds": -600, "admitted_seconds": 45}, "store": {"refusal": "clock of this node is behind"}}`)
	_, out, _ = runFutago([]*fakeNode{n}, "clock")
	expect(t, "output", out, "its clock jumped by 10m0s", "clients' writes are refused: clock of this node is behind", "stamps up to 45s ahead")

	n.status = statusOf(t, `{"node": 1, "clock": {"ahead_seconds": 30}, "store": {"refusal": "disk is nearly full"}}`)
	_, out, _ = runFutago([]*fakeNode{n}, "clock")
	expect(t, "output", out, "a time 30s ahead of its clock", "nothing to do")

	n.status = statusOf(t, `{"node": 1}`)
	_, out, _ = runFutago([]*fakeNode{n}, "clock")
	expect(t, "output", out, "it reads its log")

	code, out, _ = runFutago([]*fakeNode{n}, "clock", "admit")
	if code != 0 || out != "done\n" || len(n.posted) != 1 {
		t.Errorf("admit: exit code %d, output %q, requests %q", code, out, n.posted)
	}
	code, out, _ = runFutago([]*fakeNode{n}, "clock", "admit", "--json")
	var admitted clockAdmitted
	if err := json.Unmarshal([]byte(out), &admitted); err != nil || code != 0 || admitted != (clockAdmitted{n.addr, "done"}) {
		t.Errorf("admit as JSON: exit code %d, %v, %q", code, err, out)
	}
}

func TestConflicts(t *testing.T) {
	begin := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	conflict := func(second int, key string, winner, loser store.Side) store.Conflict {
		return store.Conflict{Time: begin.Add(time.Duration(second) * time.Second), Key: []byte(key), Winner: winner, Loser: loser}
	}
	side := func(node, at, size int, kind string) store.Side {
		st := hlc.Make(hlc.Millis(begin.Add(time.Duration(at)*time.Second)), 0, node)
		return store.Side{Stamp: st, Time: st.Time(), Node: node, Kind: kind, Size: size}
	}
	a, b := side(1, 1, 5, "value"), side(2, 2, 0, "tombstone")
	p := newFakePair(t)
	p[0].conflicts = conflictList{1, 1234, []store.Conflict{conflict(3, "a\n", b, a), conflict(9, "last", a, b)}}
	p[1].conflicts = conflictList{2, 1, []store.Conflict{conflict(2, "a\n", b, a), conflict(5, strings.Repeat("k", 70), side(1, 3, 17, "counter"), a)}}
	code, out, _ := runFutago(p, "conflicts")
	want := `found by node key winner loser
2026-01-02T03:04:07.000Z 1, 2 "a\n" delete by node 2 at 2026-01-02T03:04:07.000Z value of 5 bytes by node 1 at 2026-01-02T03:04:06.000Z
2026-01-02T03:04:10.000Z 2 "` + strings.Repeat("k", 64) + `"... counter by node 1 at 2026-01-02T03:04:08.000Z value of 5 bytes by node 1 at 2026-01-02T03:04:06.000Z
2026-01-02T03:04:14.000Z 1 "last" value of 5 bytes by node 1 at 2026-01-02T03:04:06.000Z delete by node 2 at 2026-01-02T03:04:07.000Z

` + fmt.Sprintf("node 1 (%s): 1,234 conflicts since its start\nnode 2 (%s): 1 conflict since its start\n", p[0].addr, p[1].addr)
	if diff := cmp.Diff(want, squeeze(out)); diff != "" || code != 0 {
		t.Errorf("exit code %d; output differs (-want +got):\n%s", code, diff)
	}

	code, out, errOut := runFutago(p, "conflicts", "--json", "--limit", "1", "--admin", closed(t))
	var found foundConflict
	if err := json.Unmarshal([]byte(out), &found); err != nil || string(found.Key) != "last" || code != exitFailure {
		t.Errorf("exit code %d, error %v, %+v; %s", code, err, found, errOut)
	}
	if code, _, errOut := runFutago(p, "conflicts", "--limit", "0"); code != exitUsage {
		t.Errorf("--limit 0: exit code %d, %s", code, errOut)
	}
}
