package cabinet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/futago/futago/internal/store"
	"github.com/futago/futago/internal/tyrant"
)

func TestImportExport(t *testing.T) {
	c := open(t, 1<<26)
	late := fmt.Sprint(time.Now().UnixMilli() + 1_000_000)
	for _, tt := range []struct{ args, want string }{
		{"set", "67108864"},
		{"set|a|1|7|" + late + "|text/x|b|2|0|0|", "67108864|stored|stored"},
		{"add|a|3|0|0||c|3|0|0|", "67108864|kept|stored"},
		{"check add|a|3|0|0||d|3|0|0|", "67108864|kept|stored"},
		{"check set|a|4|0|0|", "67108864|stored"},
		{"set||1|0|0||" + strings.Repeat("k", 65536) + "|1|0|0||x|1|0|0|" + strings.Repeat("t", 256), "67108864|key|key|type"},
		{"set|past|1|0|1|", "67108864|stored"},
		{"nothing", "error: " + ErrArgument.Error()},
		{"set|a|1|0", "error: " + ErrArgument.Error()},
		{"set|a|1|x|0|", "error: " + ErrArgument.Error()},
		{"set|a|1|0|-1|", "error: " + ErrArgument.Error()},
		{"set|a|1|0|999999999999999999|", "error: " + ErrArgument.Error()},
		{"set|a|1|damaged|0|", "error: " + ErrArgument.Error()},
	} {
		if got := misc(c, tyrant.MiscImport, strings.Split(tt.args, "|")...); got != tt.want {
			t.Errorf("import %.60q: got %q, want %q", tt.args, got, tt.want)
		}
	}
	if _, err := c.AddInt([]byte("n"), 1); err != nil {
		t.Fatal(err)
	}
	if got := value(c, "b"); got != "2" {
		t.Errorf("b: got %q", got)
	}
	// What the next operation of the scratch stores has no flags of the one before.
	if err := c.Put([]byte("plain"), nil); err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{}
	walk(t, c, "", 1, func(fields [][]byte) { seen[string(fields[0])] = join(fields[1:]) })
	want := map[string]string{"a": "1|7|" + late + "|text/x", "b": "2|0|0|", "c": "3|0|0|", "n": "\x01\x00\x00\x00|0|0|", "plain": "|0|0|"}
	if fmt.Sprint(seen) != fmt.Sprint(want) {
		t.Errorf("got %q, want %q", seen, want)
	}
	if got := misc(c, tyrant.MiscExportKeys, "b", "none", "a", "b"); got != "b|2|0|0||a|1|7|"+late+"|text/x|b|2|0|0|" {
		t.Errorf("exportkeys: got %q", got)
	}
	for _, args := range [][]string{{"x", ""}, {"1024.0", ""}, {"1.99999999999", ""}, {"", "p", "nonsense"}} {
		if got := misc(c, tyrant.MiscExport, args...); args[0] != "" && !strings.HasPrefix(got, "error: ") {
			t.Errorf("export %q: got %q", args, got)
		}
	}
	if r, keys := MiscRights(tyrant.MiscImport, [][]byte{[]byte("set"), []byte("a"), nil, nil, nil, nil, []byte("b")}); r != Writes || join(keys) != "a|b" {
		t.Errorf("rights of import: %v, %q", r, keys)
	}
}

// walk calls f with the fields of all records that the client sees.
func walk(t *testing.T, c *Client, prefix string, most int, f func(fields [][]byte)) {
	t.Helper()
	for place, calls := []byte{}, 0; ; calls++ {
		list, err := c.Misc(context.Background(), tyrant.MiscExport, [][]byte{place, []byte(prefix), fmt.Append(nil, most)})
		if err != nil || calls > 100_000 {
			t.Fatalf("export from %q: %v, after %d calls", place, err, calls)
		}
		for rest := list[1:]; len(rest) > 0; rest = rest[5:] {
			f(rest[:5])
		}
		if place = list[0]; len(place) == 0 {
			return
		}
	}
}

// TestExportWhileItChanges lists records while others come and go, in small steps: those that stay come once.
func TestExportWhileItChanges(t *testing.T) {
	c := open(t, 1<<26)
	for i := range 5000 {
		if err := c.Put(fmt.Appendf(nil, "stays %d", i), []byte("1")); err != nil {
			t.Fatal(err)
		}
	}
	c.Sees = func(key []byte) bool { return !bytes.HasSuffix(key, []byte("7")) }
	seen, n := map[string]int{}, 0
	walk(t, c, "stays", 50, func(fields [][]byte) {
		seen[string(fields[0])]++
		n++
		for j := range 3 {
			if err := c.Put(fmt.Appendf(nil, "other %d %d", n, j), nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Put(fields[0], []byte("2")); err != nil {
			t.Fatal(err)
		}
	})
	if len(seen) != 4500 || n != 4500 {
		t.Errorf("got %d records, %d different ones, want 4500", n, len(seen))
	}
}

// TestImportFault ends at the first record that the state of the store forbids.
func TestImportFault(t *testing.T) {
	cfg := store.DefaultConfig()
	cfg.MinFree, cfg.MaxMemory, cfg.SegmentSize = 0, 32<<20, 1<<20
	st, err := store.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	c := New(st, 1<<20).Client(new(Scratch))
	for i := range 200 {
		if err := c.Put(fmt.Append(nil, "large ", i), make([]byte, 256<<10)); err != nil && !errors.Is(err, store.ErrNoMemory) {
			t.Fatal(err)
		}
	}
	// The store looks at its memory now and then.
	for deadline := time.Now().Add(time.Minute); st.Stats().Refusal == ""; <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("200 values of 256 KiB do not fill 32 MiB")
		}
	}
	outcomes := strings.Split(misc(c, tyrant.MiscImport, "set", "a", "1", "0", "0", "", "b", "2", "0", "0", ""), "|")
	if len(outcomes) != 2 || outcomes[1] != "fault: "+store.ErrNoMemory.Error() {
		t.Errorf("too little memory: got %q", outcomes)
	}
	if got := value(c, "b"); !strings.HasPrefix(got, "error: ") {
		t.Errorf("the record behind the fault was stored: %q", got)
	}
}
