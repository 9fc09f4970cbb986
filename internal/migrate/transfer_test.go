package migrate

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/futago/futago/internal/tyrant"
	"github.com/futago/futago/internal/tyrant/tyranttest"
	"github.com/google/go-cmp/cmp"
)

// randomItems are records of all kinds, whose keys differ.
func randomItems(r *rand.Rand, n int) []tyrant.Item {
	random := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return b
	}
	texts := []string{"", "5", "-1.5e3", "text", "a\tb\nc\r\x00", "\u2028<>&\"\\", "ü€😀", strings.Repeat("x", 3000), "\xff", "\xed\xa0\x80", `\ud800`}
	pick := func() []byte {
		if r.IntN(3) == 0 {
			return random(r.IntN(40))
		}
		return []byte(texts[r.IntN(len(texts))])
	}
	items := make([]tyrant.Item, n)
	for i := range items {
		key := append(fmt.Append(nil, i, ":"), pick()...)
		item := tyrant.Item{Key: key, Value: pick(), Type: []byte{}}
		if i%200 == 7 {
			item.Key = append(item.Key, random(r.IntN(maxKey-len(key)))...)
		}
		if i%300 == 9 {
			item.Value = random(r.IntN(200_000))
		}
		if r.IntN(2) == 0 {
			item.Flags = r.Uint32()
		}
		if r.IntN(2) == 0 {
			item.Expires = time.Now().UnixMilli() + 3_600_000 + r.Int64N(1<<40)
		}
		if r.IntN(3) == 0 {
			item.Type = []byte([]string{"text/plain; charset=utf-8", "a/\xff", strings.Repeat("t", maxType)}[r.IntN(3)])
		}
		items[i] = item
	}
	return items
}

// checkItems compares what a node holds with what it should.
func checkItems(t *testing.T, want []tyrant.Item, n *testNode) {
	t.Helper()
	got := n.items(t)
	if len(got) != len(want) {
		t.Errorf("the node holds %d records, want %d", len(got), len(want))
	}
	for _, w := range want {
		g, ok := got[string(w.Key)]
		if !ok || !bytes.Equal(g.Value, w.Value) || g.Flags != w.Flags || g.Expires != w.Expires || !bytes.Equal(g.Type, w.Type) {
			t.Fatalf("got %.2000q, want %.2000q", fmt.Sprint(g), fmt.Sprint(w))
		}
	}
}

func exportJSON(t *testing.T, n *testNode, c ExportConfig) (string, *Exported) {
	t.Helper()
	c.Source, c.Write = n.dial, WriteJSON
	var text bytes.Buffer
	done, err := Export(t.Context(), c, &text)
	if err != nil || done.Bytes != int64(text.Len()) || done.Records != int64(strings.Count(text.String(), "\n")) {
		t.Fatalf("export: %+v, %v; %d bytes", done, err, text.Len())
	}
	return text.String(), done
}

// TestExportImport brings random records from a node to another one as JSON lines.
func TestExportImport(t *testing.T) {
	source, target := startNode(t, 0), startNode(t, 0)
	r := rand.New(rand.NewPCG(3, uint64(time.Now().UnixNano())))
	want := randomItems(r, 1500)
	source.put(t, want...)
	text, _ := exportJSON(t, source, ExportConfig{})
	if again, _ := exportJSON(t, source, ExportConfig{}); again != text {
		t.Error("the order of a second export is another one")
	}
	done, err := brought(t, TransferConfig{Source: JSONLines(strings.NewReader(text), int64(len(text))), Target: target.dial})
	if err != nil || done.Read != 1500 || done.Stored != 1500 {
		t.Fatalf("got %+v, %v", done, err)
	}
	checkItems(t, want, target)

	text, done2 := exportJSON(t, source, ExportConfig{Prefix: []byte("12")})
	for line := range strings.Lines(text) {
		i, err := parseJSONLine([]byte(line))
		if err != nil || !bytes.HasPrefix(i.Key, []byte("12")) {
			t.Errorf("line %.80q: %.80q, %v", line, i.Key, err)
		}
	}
	if done2.Records != 111 { // 12, 120 to 129, 1200 to 1299
		t.Errorf("by prefix: got %d records", done2.Records)
	}
	if _, done := exportJSON(t, source, ExportConfig{Limit: 1034}); done.Records != 1034 {
		t.Errorf("with a limit: got %d records", done.Records)
	}
	if _, err := Export(t.Context(), ExportConfig{Source: source.dial, Write: WriteJSON}, failing{}); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("a full disk: got %v", err)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

func TestTSV(t *testing.T) {
	source, target := startNode(t, 0), startNode(t, 0)
	for key, value := range map[string]string{"empty": "", "a\tb": "1", "line": "a\nb", "nul": "\x00", "tab": "a\tb", "k": "v"} {
		source.put(t, tyrant.Item{Key: []byte(key), Value: []byte(value), Flags: 7})
	}
	var text bytes.Buffer
	done, err := Export(t.Context(), ExportConfig{Source: source.dial, Write: WriteTSV}, &text)
	if err != nil || done.Records != 2 || done.Unfit != 4 || len(done.Keys) != 4 {
		t.Fatalf("got %+v, %v", done, err)
	}
	text.WriteString("no field\n\nlast\tone\ttwo")
	loaded, err := brought(t, TransferConfig{Source: TSVLines(&text, 0), Target: target.dial})
	if err != nil || loaded.Stored != 3 || loaded.count(errNoTab.Error()) != 2 {
		t.Fatalf("got %+v, %v", loaded, err)
	}
	got := fmt.Sprintf("%q", []string{string(target.items(t)["empty"].Value), string(target.items(t)["k"].Value), string(target.items(t)["last"].Value)})
	if got != `["" "v" "one\ttwo"]` {
		t.Errorf("got %s", got)
	}
}

// TestTransferNames looks at what is not stored: each is counted and named.
func TestTransferNames(t *testing.T) {
	n := startNode(t, 1000)
	n.put(t, tyrant.Item{Key: []byte("there"), Value: []byte("old")})
	long := strings.Repeat("k", maxKey+1)
	lines := []string{
		`{"key":"good","value":"1","expires":"2126-01-02T15:04:05.5Z"}`,
		`{"key":"number","value":-12.50}`,
		`{"key":"there","value":"new"}`,
		`{"key":"past","value":"1","expires":1}`,
		`{"key":"","value":"1"}`,
		`{"key":"` + long + `","value":"1"}`,
		`{"key":"large","value":"` + strings.Repeat("v", 1001) + `"}`,
		`{"key":"type","value":"1","type":"` + strings.Repeat("t", 256) + `"}`,
		`{"key":"key only"}`,
		`{"key":"typo","value":"1","exprires":5}`,
		``,
		`{"op":"delete","key":"good"}`,
		`{"key":"` + strings.Repeat("y", 500_000) + `"`,
		`{"op":"set","key":"watched","stamp":"1","node":1,"time":"2026-01-02T03:04:05Z","value":"v","position":"p"}`,
		`{"key":"cut`,
	}
	want := &Summary{
		Read: 14, Stored: 4, Bytes: 5 + 12 + 8 + 8,
		Skipped: []Reason{
			{reasonExpired, 1, []string{`"past"`}},
			{`a change "delete", not a record`, 1, []string{"line 12"}},
		},
		Failed: []Reason{
			{reasonKey, 2, []string{`""`, `"` + long[:maxNamed] + `"...`}},
			{reasonValue, 1, []string{`"large"`}},
			{reasonType, 1, []string{`"type"`}},
			{"line that is no record", 3, []string{
				"line 9: it has neither value nor value_base64",
				`line 10: json: unknown field "exprires"`,
				"line 15: it ends within the JSON object",
			}},
			{errLong.Error(), 1, []string{"line 13"}},
		},
	}
	for _, mode := range []tyrant.StoreMode{tyrant.CheckAll, tyrant.StoreAll} {
		before := n.items(t)
		got, err := brought(t, TransferConfig{Source: JSONLines(strings.NewReader(strings.Join(lines, "\n")), 0), Target: n.dial, Mode: mode})
		want.Seconds, want.DryRun = got.Seconds, mode == tyrant.CheckAll
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", mode, err, diff)
		}
		if diff := cmp.Diff(before, n.items(t)); want.DryRun && diff != "" {
			t.Errorf("a check has changed something:\n%s", diff)
		}
	}
	all := n.items(t)
	if i := all["good"]; string(i.Value) != "1" || i.Expires != time.Date(2126, 1, 2, 15, 4, 5, 5e8, time.UTC).UnixMilli() {
		t.Errorf("good: got %+v", i)
	}
	if i := all["number"]; string(i.Value) != "-12.50" {
		t.Errorf("number: got %q", i.Value)
	}
	for _, mode := range []tyrant.StoreMode{tyrant.CheckAbsent, tyrant.StoreAbsent} {
		text := `{"key":"there","value":"x"}` + "\n" + `{"key":"fresh","value":"x"}` + "\n" + `{"key":"other","value":"x"}`
		got, err := brought(t, TransferConfig{Source: JSONLines(strings.NewReader(text), 0), Target: n.dial, Mode: mode, Prefix: []byte("ther")})
		if err != nil || got.Stored != 0 || got.count(reasonKept) != 1 || got.count("of another prefix") != 2 {
			t.Errorf("%s: got %+v, %v", mode, got, err)
		}
	}
	if got := n.items(t)["there"].Value; string(got) != "new" {
		t.Errorf("there: got %q", got)
	}
}

// stopping gives what it reads in small pieces, and calls stop behind so many bytes.
type stopping struct {
	io.Reader
	left int
	stop func()
}

func (s *stopping) Read(b []byte) (int, error) {
	n, err := s.Reader.Read(b[:min(len(b), 8<<10)])
	if s.left -= n; s.left < 0 {
		s.stop()
	}
	return n, err
}

// TestTransferGoesOn ends transfers of lines anywhere, and takes them up again: what is accounted for in the end is the file, once.
func TestTransferGoesOn(t *testing.T) {
	n := startNode(t, 0)
	r := rand.New(rand.NewPCG(5, 5))
	var text bytes.Buffer
	want := randomItems(r, 4000)
	for i := range want {
		if err := WriteJSON(&text, &want[i]); err != nil {
			t.Fatal(err)
		}
		if i%200 == 0 {
			text.WriteString("nonsense\n")
		}
	}
	path := statePath(t)
	interrupted := 0
	for range 1000 {
		stop := make(chan struct{})
		state := openState(t, path)
		from := &stopping{bytes.NewReader(text.Bytes()), 0, nil}
		var place linesPlace
		fmt.Sscanf(state.Place, "%d %d %x", &place.lines, &place.bytes, &place.sum)
		from.left = int(place.bytes) + text.Len()/5
		once := false
		from.stop = func() {
			if !once {
				close(stop)
			}
			once = true
		}
		done, err := brought(t, TransferConfig{Source: JSONLines(from, 0), Target: n.dial, State: state, Stop: stop})
		if errors.Is(err, ErrInterrupted) {
			interrupted++
			continue
		}
		if err != nil || done.Read != 4020 || done.Stored != 4000 || done.AllFailed() != 20 {
			t.Fatalf("got %+v, %v", done, err)
		}
		break
	}
	if interrupted < 2 {
		t.Errorf("it was interrupted %d times", interrupted)
	}
	checkItems(t, want, n)
	// Done again it has nothing to do, and more lines are taken.
	text.WriteString(`{"key":"more","value":""}`)
	if done, err := brought(t, TransferConfig{Source: JSONLines(&text, 0), Target: n.dial, State: openState(t, path)}); err != nil || done.Read != 4021 {
		t.Errorf("with more lines: got %+v, %v", done, err)
	}
	other := strings.Repeat("another file\n", 1_000_000)
	if done, err := brought(t, TransferConfig{Source: JSONLines(strings.NewReader(other), 0), Target: n.dial, State: openState(t, path)}); !errors.Is(err, ErrOtherSource) {
		t.Errorf("another file: got %+v, %v", done, err)
	}
}

// TestTransferLosesNode breaks the connection to the node again and again.
func TestTransferLosesNode(t *testing.T) {
	n := startNode(t, 0)
	want := randomItems(rand.New(rand.NewPCG(6, 6)), 600)
	var text bytes.Buffer
	for i := range want {
		if err := WriteJSON(&text, &want[i]); err != nil {
			t.Fatal(err)
		}
	}
	left := 2
	var lost []string
	dial := func(ctx context.Context, maxReply int) (*tyrant.Client, error) {
		if left--; left >= 0 {
			return breaking(&tyranttest.Master{Addr: n.addr}, 200_000, func() {})(ctx, maxReply)
		}
		return n.dial(ctx, maxReply)
	}
	done, err := brought(t, TransferConfig{
		Source: JSONLines(&text, 0), Target: dial, Notice: func(text string) { lost = append(lost, text) },
	})
	if err != nil || done.Stored != 600 || len(lost) == 0 {
		t.Fatalf("got %+v, %v, notices %q", done, err, lost)
	}
	checkItems(t, want, n)
}

func TestTransferRate(t *testing.T) {
	n := startNode(t, 0)
	text := strings.Repeat(`{"key":"k","value":"v"}`+"\n", 60)
	began := time.Now()
	done, err := brought(t, TransferConfig{Source: JSONLines(strings.NewReader(text), 0), Target: n.dial, Rate: 100})
	if took := time.Since(began); err != nil || done.Stored != 60 || took < 450*time.Millisecond { // ten are free
		t.Errorf("60 records at 100 a second: %+v, %v in %v", done, err, took)
	}
}

// TestTransferRefused has a server that is no node, and one that takes nothing.
func TestTransferRefused(t *testing.T) {
	m := listen(t, "")
	m.Mask()
	source := func() Source { return TSVLines(strings.NewReader(strings.Repeat("key\tvalue\n", 100)), 0) }
	if done, err := brought(t, TransferConfig{Source: source(), Target: dialer(m)}); err == nil {
		t.Errorf("another server: got %+v", done)
	}
	if done, err := brought(t, TransferConfig{Source: source(), Target: func(context.Context, int) (*tyrant.Client, error) { return nil, io.ErrClosedPipe }}); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("nobody: got %+v, %v", done, err)
	}
}

func FuzzJSONLine(f *testing.F) {
	r := rand.New(rand.NewPCG(8, 8))
	for _, i := range randomItems(r, 20) {
		var b bytes.Buffer
		if len(i.Key) < 500 && WriteJSON(&b, &i) == nil {
			f.Add(b.Bytes())
		}
	}
	for _, text := range []string{
		`{"key":"a","value":"\ud83d\ude00"}`, `{"key":"a","value":"\\ud83d"}`, `{"key":"\ud83d","value":""}`, `{"key_base64":"/w==","value":1e5,"expires":null}`,
		`{"key":"a","value":"","expires":"2027-01-01T00:00:00Z"}`, `{"key":"a","value":true}`, `[]`, `null`, `{"key":"a","value":""} {}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		i, err := parseJSONLine(text)
		if err != nil {
			return
		}
		var b bytes.Buffer
		if err := WriteJSON(&b, &i); err != nil {
			t.Fatal(err)
		}
		again, err := parseJSONLine(b.Bytes())
		if err != nil || !bytes.Equal(i.Key, again.Key) || !bytes.Equal(i.Value, again.Value) || !bytes.Equal(i.Type, again.Type) || i.Flags != again.Flags || i.Expires != again.Expires {
			t.Errorf("%q: %+v became %+v by %q, %v", text, i, again, &b, err)
		}
		// What the standard library reads as text is not another text here.
		var m map[string]any
		if json.Unmarshal(text, &m) == nil {
			if v, ok := m["value"].(string); ok && len(m) == 2 && v != string(i.Value) {
				t.Errorf("%q: value %q, want %q", text, i.Value, v)
			}
		}
	})
}

func TestJSONLineRefuses(t *testing.T) {
	for _, text := range []string{
		`{"key":"a\ud800","value":""}`, `{"key":"a","value":"\udc00\ud800"}`, `{"key":"a","value":"\ud800\u0041"}`, "{\"key\":\"\xff\",\"value\":\"\"}",
		`{"key":"a","key_base64":"YQ==","value":""}`, `{"key":"a","value":"","value_base64":""}`, `{"key":"a","value":{}}`, `{"key":"a","value":null}`, `{"value":""}`,
		`{"key":"a","value":"","expires":-1}`, `{"key":"a","value":"","expires":1.5}`, `{"key":"a","value":"","expires":"soon"}`, `{"key":"a","value":"","expires":99999999999999999}`,
		`{"key":"a","value":"","flags":4294967296}`, `{"key":"a","value":"","flags":-1}`, `{"key":"a","value":"","type":"a","type_base64":"YQ=="}`,
		`{"key":"a","value":""}}`, `{"key":"a","value":""`, `[]`, ``, `"a"`,
	} {
		if i, err := parseJSONLine([]byte(text)); err == nil {
			t.Errorf("%q: got %+v", text, i)
		}
	}
	var op otherOp
	if _, err := parseJSONLine([]byte(`{"op":"start","position":"x"}`)); !errors.As(err, &op) || op != "start" {
		t.Errorf("the first line of watch: got %v", err)
	}
}

// TestLineReader takes no memory for a line that is too long, and finds the next one.
func TestLineReader(t *testing.T) {
	text := "short\n" + strings.Repeat("x", 10<<20) + "\nnext\n\nlast"
	r := &lineReader{r: bufio.NewReader(strings.NewReader(text)), limit: 100}
	var got []string
	for {
		line, err := r.next()
		if err == io.EOF {
			break
		}
		got = append(got, fmt.Sprintf("%d %q %v", r.lines, line, err != nil))
	}
	want := []string{`1 "short" false`, `2 "" true`, `3 "next" false`, `4 "" false`, `5 "last" false`}
	if !slices.Equal(got, want) || r.bytes != int64(len(text)) {
		t.Errorf("got %q, want %q; %d bytes", got, want, r.bytes)
	}
}
