package feed

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/futago/futago/internal/store"
)

// host is a node's feed under test.
type host struct {
	t    *testing.T
	st   *store.Store
	feed *Feed
	url  string
	sees func(key []byte) bool
}

// bound is that of the server for a request and its answer. A busy machine keeps it for a request.
const bound = time.Second

// newHost serves a store in memory as the admin port does: a long answer outlives the bounds of the server.
func newHost(t *testing.T, adapt func(*store.Config)) *host {
	t.Helper()
	cfg := store.DefaultConfig()
	if adapt != nil {
		adapt(&cfg)
	}
	st, err := store.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	h := &host{t: t, st: st, feed: New(st, cfg.Node)}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.feed.Serve(w, r, h.sees) }))
	srv.Config.ReadTimeout, srv.Config.WriteTimeout = bound, bound
	srv.Start()
	h.url = srv.URL
	t.Cleanup(func() {
		h.feed.Close()
		srv.Close()
		st.Close()
	})
	return h
}

func (h *host) do(req store.Request) store.Result {
	h.t.Helper()
	var res store.Result
	if err := h.st.Commit(&req, &res); err != nil {
		h.t.Fatal(err)
	}
	h.st.Flush()
	return res
}

func (h *host) set(key, value string) {
	h.t.Helper()
	h.do(store.Request{Op: store.Set, Key: []byte(key), Value: []byte(value)})
}

// document is an answer to a long poll.
type document struct {
	Changes  []map[string]any `json:"changes"`
	End      bool             `json:"end"`
	Position string           `json:"position"`
}

func (h *host) get(query string) (code int, body string) {
	h.t.Helper()
	resp, err := http.Get(h.url + "/changes?" + query)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func (h *host) poll(query string) (d document) {
	h.t.Helper()
	code, body := h.get(query)
	if code != http.StatusOK {
		h.t.Fatalf("GET %s: %d %s", query, code, body)
	}
	if err := json.Unmarshal([]byte(body), &d); err != nil {
		h.t.Fatalf("GET %s: %v in %s", query, err, body)
	}
	return d
}

// without takes out what differs from run to run.
func without(changes []map[string]any) []map[string]any {
	for _, c := range changes {
		for _, name := range []string{"stamp", "time", "node", "generation"} {
			delete(c, name)
		}
	}
	return changes
}

func TestDocument(t *testing.T) {
	h := newHost(t, nil)
	h.set("before", "v")
	start := h.poll("")
	if len(start.Changes) != 0 || !start.End {
		t.Errorf("a new client is told of %v, end %v", start.Changes, start.End)
	}
	h.do(store.Request{Op: store.Set, Key: []byte("k"), Value: []byte("a \"<ü>\"\n"), Flags: 7, Type: []byte("text/plain"), Expires: 631152000000})
	h.do(store.Request{Op: store.Set, Key: []byte("\xff\x00"), Value: []byte("\xfe"), Expires: 0})
	h.do(store.Request{Op: store.Set, Key: []byte("n"), Value: []byte("40")})
	h.do(store.Request{Op: store.Incr, Key: []byte("n"), Delta: 2})
	h.do(store.Request{Op: store.Touch, Key: []byte("n"), Expires: 631152000000})
	h.do(store.Request{Op: store.Delete, Key: []byte("k")})
	h.set("empty", "")
	if _, err := h.st.FlushAll(0); err != nil {
		t.Fatal(err)
	}
	h.st.Flush()
	const expires = 2208988800000.0 // 2040-01-01
	got := h.poll("from=" + start.Position)
	stamps := map[string]bool{}
	flush := got.Changes[len(got.Changes)-1]
	for _, c := range got.Changes {
		stamp, _ := c["stamp"].(string)
		when, err := time.Parse(time.RFC3339, c["time"].(string))
		if stamp == "" || stamps[stamp] || c["node"] != 1.0 || err != nil || time.Since(when).Abs() > time.Minute {
			t.Errorf("stamp, node or time of %v", c)
		}
		stamps[stamp] = true
	}
	if flush["floor"] != flush["stamp"] {
		t.Errorf("a flush at once has another floor: %v", flush)
	}
	delete(flush, "floor")
	delete(flush, "at")
	want := []map[string]any{
		{"op": "set", "key": "k", "value": "a \"<ü>\"\n", "flags": 7.0, "type": "text/plain", "expires": expires},
		{"op": "set", "key_base64": "/wA=", "value_base64": "/g=="},
		{"op": "set", "key": "n", "value": "40"},
		{"op": "set", "key": "n", "value": "42"},
		{"op": "set", "key": "n", "value": "42", "expires": expires},
		{"op": "delete", "key": "k"},
		{"op": "set", "key": "empty", "value": ""},
		{"op": "flush"},
	}
	if !reflect.DeepEqual(without(got.Changes), want) {
		t.Errorf("got  %v\nwant %v", got.Changes, want)
	}
	if again := h.poll("wait=0s&from=" + got.Position); len(again.Changes) != 0 {
		t.Errorf("told again: %v", again.Changes)
	}
	var pieces []map[string]any // each position leads to what follows it
	for at := start.Position; len(pieces) < len(want); {
		d := h.poll("limit=1&from=" + at)
		if len(d.Changes) != 1 {
			t.Fatalf("limit 1 brought %v", d.Changes)
		}
		pieces, at = append(pieces, d.Changes...), d.Position
	}
	if diff := pieces[4]["generation"]; diff == nil {
		t.Errorf("a touch has no generation: %v", pieces[4])
	}
	bare := h.poll("values=false&prefix=n&prefix=%FF&from=" + start.Position)
	want = []map[string]any{
		{"op": "set", "key_base64": "/wA="}, {"op": "set", "key": "n"}, {"op": "set", "key": "n"},
		{"op": "set", "key": "n", "expires": expires}, {"op": "flush"},
	}
	delete(bare.Changes[4], "floor")
	delete(bare.Changes[4], "at")
	if !reflect.DeepEqual(without(bare.Changes), want) {
		t.Errorf("two prefixes without values: got  %v\nwant %v", bare.Changes, want)
	}
	h.sees = func(key []byte) bool { return string(key) == "empty" }
	if d := h.poll("from=" + start.Position); len(d.Changes) != 2 {
		t.Errorf("a client that may read one key is told of %v", d.Changes)
	}
}

// A client that waits is told of the first change, longer than the server's own bounds allow.
// An answer says whether something followed it, so that one full answer is told from the last one.
func TestDocumentEnd(t *testing.T) {
	h := newHost(t, nil)
	at := h.poll("").Position
	for i := range 5 {
		h.set(fmt.Sprint(i), "v")
	}
	for _, want := range []struct {
		n   int
		end bool
	}{{2, false}, {2, false}, {1, true}, {0, true}} {
		d := h.poll("limit=2&wait=0s&from=" + at)
		if at = d.Position; len(d.Changes) != want.n || d.End != want.end {
			t.Errorf("got %d changes, end %v, want %v", len(d.Changes), d.End, want)
		}
	}
}

func TestLongPollWaits(t *testing.T) {
	h := newHost(t, nil)
	start := h.poll("")
	answered := make(chan document, 1)
	go func() { answered <- h.poll("from=" + start.Position) }()
	eventually(t, "the client waits", func() bool { return h.feed.Followers() == 1 })
	select {
	case d := <-answered:
		t.Fatalf("answered %+v before anything changed", d)
	case <-time.After(2 * bound):
	}
	h.set("other", "v")
	if d := <-answered; len(d.Changes) != 1 || d.Changes[0]["key"] != "other" {
		t.Errorf("got %+v", d)
	}
	if d := h.poll("wait=1ms&prefix=none&from=" + start.Position); len(d.Changes) != 0 || d.Position == start.Position {
		t.Errorf("nothing of that prefix changed, got %+v", d)
	}
	go func() { answered <- h.poll("from=" + h.poll("").Position) }()
	eventually(t, "the client waits", func() bool { return h.feed.Followers() == 1 })
	h.feed.Interrupt()
	if d := <-answered; len(d.Changes) != 0 || d.Position == "" {
		t.Errorf("got %+v of a node that stops", d)
	}
}

func TestRefused(t *testing.T) {
	h := newHost(t, nil)
	good := h.poll("").Position
	elsewhere := Position{Node: 9, At: h.mustParse(good).At}
	forked := h.mustParse(good)
	forked.At.Seq += 1000
	tests := []struct {
		query string
		code  int
		says  string
	}{
		{"from=nonsense", 400, "no position"},
		{"limit=0", 400, "allowed is 1 to 10000"},
		{"limit=10001", 400, "allowed is 1 to 10000"},
		{"wait=2m", 400, "allowed is 0s to 1m0s"},
		{"wait=-1s", 400, "allowed is"},
		{"values=maybe", 400, "allowed is true or false"},
		{"prefixes=a", 400, "unknown parameter"},
		{"limit=1&limit=2", 400, "given twice"},
		{strings.Repeat("prefix=a&", 65), 400, "at most 64"},
		{"from=" + elsewhere.String(), 410, "list the keys"},
		{"from=" + forked.String(), 410, "behind the end"},
	}
	for _, tt := range tests {
		if code, body := h.get(tt.query); code != tt.code || !strings.Contains(body, tt.says) {
			t.Errorf("%.80s: got %d %s, want %d with %q", tt.query, code, body, tt.code, tt.says)
		}
	}
	other := newHost(t, nil)
	other.set("k", "v")
	if code, body := other.get("from=" + other.mustParse(good).withSeq(1)); code != 410 {
		t.Errorf("a log of another life: got %d %s", code, body)
	}
}

func (h *host) mustParse(text string) Position {
	h.t.Helper()
	p, err := ParsePosition(text)
	if err != nil {
		h.t.Fatal(err)
	}
	return p
}

func (p Position) withSeq(seq uint64) string {
	p.At.Seq = seq
	return p.String()
}

// Part of the log was compacted: who was in front of it must list the keys, who was behind it goes on.
func TestCompacted(t *testing.T) {
	h := newHost(t, func(c *store.Config) { c.SegmentSize = 64 << 10 })
	old := h.poll("").Position
	fill := func() {
		for i := range 300 {
			h.set(fmt.Sprint("fill", i%3), strings.Repeat("x", 1000))
		}
	}
	h.set("first", "v")
	fill()
	h.st.Log().Sync()
	eventually(t, "the log lets go of the position", func() bool {
		h.st.Log().Sync()
		h.st.CompactOnce()
		code, body := h.get("wait=0s&from=" + old)
		return code == 410 && strings.Contains(body, "list the keys")
	})
	now := h.poll("").Position
	h.set("last", "v")
	if d := h.poll("from=" + now); len(d.Changes) != 1 || d.Changes[0]["key"] != "last" {
		t.Errorf("got %+v", d)
	}
}

// events reads server-sent events as a browser does.
type events struct {
	t    *testing.T
	body io.Closer
	in   *bufio.Reader
	id   string
}

func (h *host) events(query, last string) *events {
	h.t.Helper()
	r, err := http.NewRequest("GET", h.url+"/changes?"+query, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
		h.t.Fatalf("got %s, %s", resp.Status, resp.Header.Get("Content-Type"))
	}
	h.t.Cleanup(func() { resp.Body.Close() })
	return &events{t: h.t, body: resp.Body, in: bufio.NewReader(resp.Body)}
}

// next returns the next event; nil data is one without: a position alone.
func (e *events) next() (event string, data map[string]any, err error) {
	for {
		line, err := e.in.ReadString('\n')
		if err != nil {
			return "", nil, err
		}
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch name {
		case "id":
			e.id = value
		case "event":
			event = value
		case "data":
			if err := json.Unmarshal([]byte(value), &data); err != nil {
				return "", nil, err
			}
		case "":
			if value == "" && line == "\n" {
				return event, data, nil
			}
		}
	}
}

// change returns the key of the next change.
func (e *events) change() string {
	e.t.Helper()
	for {
		event, data, err := e.next()
		if err != nil {
			e.t.Fatal(err)
		}
		if event == "change" {
			return fmt.Sprint(data["key"])
		}
	}
}

func TestEvents(t *testing.T) {
	h := newHost(t, nil)
	e := h.events("", "")
	if event, _, err := e.next(); event != "" || err != nil || e.id == "" {
		t.Fatalf("began with %q, %v, id %q", event, err, e.id)
	}
	began := e.id
	for i := range 5 {
		h.set(fmt.Sprint("k", i), "v")
		if got := e.change(); got != fmt.Sprint("k", i) {
			t.Errorf("change %d is of %s", i, got)
		}
	}
	e.body.Close()
	// Connected again with the address of the first time, and what was told last.
	again := h.events("from="+began, e.id)
	h.set("k5", "v")
	if got := again.change(); got != "k5" {
		t.Errorf("went on with %s", got)
	}
	if _, _, err := again.next(); err != nil { // a sign of life, longer than the bounds of the server
		t.Fatalf("heartbeat: %v", err)
	}
	all := h.events("from="+began, "")
	for i := range 6 {
		if got := all.change(); got != fmt.Sprint("k", i) {
			t.Errorf("change %d is of %s", i, got)
		}
	}
	h.feed.Interrupt()
	for _, e := range []*events{again, all} {
		for {
			if _, _, err := e.next(); err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
	}
	h.events("", "") // they may come back
	h.feed.Close()
	if code, body := h.get(""); code != 503 {
		t.Errorf("a node that stops answered %d %s", code, body)
	}
}

func TestFollowersAreBounded(t *testing.T) {
	h := newHost(t, nil)
	var open []*events
	for range MaxFollowers {
		open = append(open, h.events("", ""))
	}
	resp, err := http.Get(h.url + "/changes")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, _ := io.ReadAll(resp.Body); resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" || !bytes.Contains(text, []byte("too many clients")) {
		t.Errorf("got %s %s", resp.Status, text)
	}
	for _, e := range open {
		e.body.Close()
	}
	eventually(t, "the places are free", func() bool { return h.feed.Followers() == 0 })
	h.poll("")
}

// A large value goes through whole, be it text or not.
func TestLargeValues(t *testing.T) {
	h := newHost(t, func(c *store.Config) { c.SegmentSize = 1 << 20 })
	text := strings.Repeat("aß€\"\\\n<", 300_000)
	binary := bytes.Repeat([]byte{0xff, 0, 'x', 0x80}, 700_001)
	start := h.poll("").Position
	h.set("text", text)
	h.do(store.Request{Op: store.Set, Key: []byte("binary"), Value: binary})
	d := h.poll("from=" + start)
	if len(d.Changes) != 1 || d.Changes[0]["value"] != text {
		t.Fatalf("%d changes, want the text alone and as it was", len(d.Changes))
	}
	var typed struct {
		Changes []struct {
			Value []byte `json:"value_base64"`
		}
	}
	_, body := h.get("from=" + url.QueryEscape(d.Position))
	if err := json.Unmarshal([]byte(body), &typed); err != nil || len(typed.Changes) != 1 || !bytes.Equal(typed.Changes[0].Value, binary) {
		t.Errorf("the binary value came otherwise, %v", err)
	}
}

// A client that does not read is cut off, and holds up nobody who stops the node.
func TestSlowClients(t *testing.T) {
	h := newHost(t, nil)
	start := h.poll("").Position
	for i := range 40 {
		h.set(fmt.Sprint("k", i), strings.Repeat("x", 1<<20))
	}
	idle := func() {
		t.Helper()
		conn, err := net.Dial("tcp", strings.TrimPrefix(h.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		fmt.Fprintf(conn, "GET /changes?from=%s HTTP/1.1\r\nHost: node\r\nAccept: text/event-stream\r\n\r\n", start)
		eventually(t, "the client follows", func() bool { return h.feed.Followers() == 1 })
	}
	h.feed.slowest = 2 * time.Second // to be seen following before it is cut off
	idle()
	eventually(t, "it is cut off", func() bool { return h.feed.Followers() == 0 })
	h.feed.slowest = time.Hour
	idle()
	closed := make(chan struct{})
	go func() {
		h.feed.Close()
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(20 * time.Second):
		t.Fatal("a client that does not read holds up the end")
	}
}

func TestCursorEndsAtTheEnd(t *testing.T) {
	h := newHost(t, nil)
	c, err := Begin(h.st, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if next, err := c.Next(); next != nil || err != nil {
		t.Errorf("got %v, %v at the end", next, err)
	}
	h.set("k", "v")
	if next, err := c.Next(); err != nil || next == nil || string(next.Key) != "k" {
		t.Errorf("got %v, %v", next, err)
	}
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not within 20 s", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}
