package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/node"
	"github.com/futago/futago/internal/record"
	"github.com/futago/futago/internal/store"
	"github.com/zeebo/xxh3"
)

// fakeNode answers on an admin port what a test wants a node to say. Its digest is that of its records, as a real node's.
type fakeNode struct {
	addr string

	mu      sync.Mutex
	status  node.Status
	records map[string]node.RecordLine
	from    int64     // first hour that may be compared
	floor   hlc.Stamp // flush in force, carried out
	listed  int       // questions for records so far
	digests int       // questions for the digest so far

	// beforeDigest and beforeList are called, holding the mutex, before such a question is answered; a code other than 0 is
	// the answer then.
	beforeDigest, beforeList func(n *fakeNode) (code int)
	conflicts                conflictList
	posted                   []string // requests that changed something
}

// A node that hangs is told from one that is not there, in words.
func TestSilentNode(t *testing.T) {
	hangs := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	t.Cleanup(hangs.Close)
	addr := strings.TrimPrefix(hangs.URL, "http://")
	for _, command := range []string{"status", "verify", "slow", "list"} {
		args := []string{command, "--timeout", "100ms", "--admin", addr}
		if command == "verify" {
			args = append(args, "--admin", closed(t))
		}
		code, _, told := runFutago(nil, args...)
		if code != exitFailure || !strings.Contains(told, ": no answer within 100ms") || !strings.Contains(told, silentHint) || strings.Contains(told, "deadline") {
			t.Errorf("futago %s: exit code %d, told %q", command, code, told)
		}
	}
}

func newFakeNode(t *testing.T, id int) *fakeNode {
	n := &fakeNode{status: node.Status{Node: id, State: node.Ready}, records: map[string]node.RecordLine{}}
	server := httptest.NewServer(n)
	t.Cleanup(server.Close)
	n.addr = strings.TrimPrefix(server.URL, "http://")
	n.status.Time = hlc.Epoch.Add(1e6 * 3600) // whatever the clock of the test says
	return n
}

// put gives the node a record, written a second of its life after others with a smaller at.
func (n *fakeNode) put(key string, at int, value string) {
	n.set(&record.Record{Kind: record.Value, Key: []byte(key), Stamp: hlc.Make(int64(at)*1000, 0, 1), Value: []byte(value)})
}

func (n *fakeNode) remove(key string, at int) {
	n.set(&record.Record{Kind: record.Tombstone, Key: []byte(key), Stamp: hlc.Make(int64(at)*1000, 0, 1)})
}

func (n *fakeNode) set(r *record.Record) {
	n.records[string(r.Key)] = node.RecordLine{
		Key: r.Key, Stamp: r.Stamp, Node: r.Stamp.Node(), Kind: r.Kind.String(), Expires: r.Expires, Size: len(r.Value),
		Digest: r.Digest(xxh3.Hash(r.Key)), Value: xxh3.Hash(r.Value),
	}
}

func (n *fakeNode) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch r.Method + " " + r.URL.Path {
	case "GET /status":
		json.NewEncoder(w).Encode(n.status)
	case "GET /digest":
		if n.digests++; n.beforeDigest != nil {
			if code := n.beforeDigest(n); code != 0 {
				http.Error(w, "the digest is being built: ask again", code)
				return
			}
		}
		json.NewEncoder(w).Encode(n.digest())
	case "POST /records":
		if n.listed++; n.beforeList != nil {
			if code := n.beforeList(n); code != 0 {
				w.Header().Set("Content-Length", "1000")
				io.WriteString(w, "{")
				return
			}
		}
		var diff store.Difference
		if err := json.NewDecoder(r.Body).Decode(&diff); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		for _, l := range n.records {
			if diff.Touches(l.Key) {
				json.NewEncoder(w).Encode(l)
			}
		}
	case "GET /conflicts":
		json.NewEncoder(w).Encode(n.conflicts)
	case "POST /peers/forget", "POST /clock/admit":
		if r.Header.Get("Futago-Admin") == "" {
			http.Error(w, "the header is missing", http.StatusForbidden)
			return
		}
		n.posted = append(n.posted, r.URL.RequestURI())
		if r.FormValue("node") == "9" {
			http.Error(w, "node 9 is connected: stop it first", http.StatusConflict)
			return
		}
		fmt.Fprintln(w, "done")
	default:
		http.NotFound(w, r)
	}
}

func (n *fakeNode) digest() node.DigestDocument {
	d := &store.Digest{Hours: map[int64][store.Groups]store.Sum{}, From: n.from, Floor: n.floor, Swept: true}
	items := int64(0)
	for _, l := range n.records {
		if l.Kind == "tombstone" {
			continue
		}
		items++
		at := store.RangeOf(l.Key)
		if l.Expires == 0 {
			d.Ranges[at].Sum += l.Digest
			d.Ranges[at].Count++
			continue
		}
		hour := int64(l.Expires) / 3_600_000
		sums := d.Hours[hour]
		group := at / (store.Ranges / store.Groups)
		sums[group].Sum += l.Digest
		sums[group].Count++
		d.Hours[hour] = sums
	}
	return node.DigestDocument{Node: n.status.Node, Items: items, Digest: d}
}

// runFutago runs a command line against nodes and returns exit code, standard output and standard error.
func runFutago(nodes []*fakeNode, args ...string) (code int, out, errOut string) {
	for _, n := range nodes {
		args = append(args, "--admin", n.addr)
	}
	var o, e strings.Builder
	code = run(args, strings.NewReader(""), &o, &e)
	return code, o.String(), e.String()
}

// expect fails the test unless the text contains every word.
func expect(t *testing.T, what, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%s lacks %q:\n%s", what, w, text)
		}
	}
}

// A node of another kind, or of an older release, is named.
func TestAdminAnswers(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "{}") }))
	defer other.Close()
	old := startAdminServer(`{"node": 1}`)
	defer old.Close()
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"clock", "--admin", strings.TrimPrefix(other.URL, "http://")}, "this is no futago node"},
		{[]string{"conflicts", "--admin", strings.TrimPrefix(old.URL, "http://")}, "for its conflicts: HTTP status 404 Not Found"},
		{[]string{"clock", "--timeout", "0s"}, "timeout 0s: allowed is more than 0"},
		{[]string{"peer", "forget", "2", "--yes", "--admin", "a", "--admin", "b"}, "2 admin addresses"},
	} {
		code, _, errOut := runFutago(nil, c.args...)
		if code == 0 || !strings.Contains(errOut, c.want) {
			t.Errorf("%q: exit code %d, %q, want an error with %q", c.args, code, errOut, c.want)
		}
	}
}
