//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// held returns the records of a node by their uniques. It does not count as a read.
func (n *node) held(t *testing.T, keys []string) map[string]string {
	t.Helper()
	c := n.dial(t)
	defer c.Close()
	c.SetDeadline(time.Now().Add(replyLimit))
	uniques := map[string]string{}
	for len(keys) > 0 {
		batch := keys[:min(len(keys), 500)]
		keys = keys[len(batch):]
		var b strings.Builder
		for _, k := range batch {
			fmt.Fprintf(&b, "mg %s u c\r\n", k)
		}
		for i, k := range batch {
			text := ""
			if i == 0 {
				text = b.String()
			}
			line, err := c.do(text)
			if err != nil {
				t.Fatal(err)
			}
			if unique, ok := strings.CutPrefix(line, "HD c"); ok {
				uniques[k] = unique
			}
		}
	}
	return uniques
}

// A pair that runs as a cache takes more than it may hold without refusing a write, keeps what is read at either node, and
// gives up the same records on both; after a restart it goes on.
func TestPairEvicts(t *testing.T) {
	const memory, size = 32 << 20, 4_000
	p := startPair(t, "--evict", fmt.Sprintf("--max-memory=%d", memory))
	value := strings.Repeat("v", size)
	hot := [2]string{"hot-at-a", "hot-at-b"}
	p[0].setAll(t, hot[:], "h")
	c := [2]*conn{p[0].dial(t), p[1].dial(t)}
	eventually(t, "node B has what A got", 10*time.Second, func() bool { return len(p[1].held(t, hot[:])) == 2 })
	var keys []string
	for i := range 120 {
		batch := names(fmt.Sprintf("batch-%d", i), 100)
		keys = append(keys, batch...)
		p[0].setAll(t, batch, value)
		for j, key := range hot {
			if got, ok, err := c[j].get(key); !ok || err != nil || got != "h" {
				t.Fatalf("batch %d: %s, which is read all the time: %q, %v, error %v", i, key, got, ok, err)
			}
		}
	}
	equal := func() bool {
		a, b := p[0].held(t, keys), p[1].held(t, keys)
		for _, k := range keys {
			if a[k] != b[k] {
				return false
			}
		}
		return true
	}
	eventually(t, "both nodes hold the same", 20*time.Second, equal)
	for _, n := range p {
		eventually(t, n.name+" is below its bound", 20*time.Second, func() bool {
			return n.mustStatus(t).Store.MemoryBytes <= memory
		})
	}
	held := len(p[1].held(t, keys))
	t.Logf("%d of %d records are held", held, len(keys))
	if held < memory/size/3 || held > memory/size {
		t.Errorf("%d records of %d bytes are held in %d bytes", held, size, memory)
	}
	p[0].terminate(t)
	p[0].start(t)
	waitPair(t, p)
	after := names("after", 3000)
	p[0].setAll(t, after, value)
	keys = append(keys, after...)
	eventually(t, "both nodes hold the same after a restart", 20*time.Second, equal)
	if n := len(p[1].held(t, after)); n < len(after)*9/10 {
		t.Errorf("%d of the %d youngest records are held", n, len(after))
	}
}
