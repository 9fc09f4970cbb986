package server

import (
	"bytes"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/futago/futago/internal/store"
)

// fillStore stores n keys that end in pad, with the number of each as its value.
func fillStore(t *testing.T, st *store.Store, n int, pad string) {
	t.Helper()
	for i := range n {
		req := store.Request{Op: store.Set, Key: []byte(strconv.Itoa(i) + pad), Value: []byte(strconv.Itoa(i))}
		if err := st.Commit(&req, new(store.Result)); err != nil {
			t.Fatal(err)
		}
	}
	st.Flush()
}

// readKeys reads lines of a dump up to end and counts how often each key is in them.
func (c *client) readKeys(end string, key func(line string) string) map[string]int {
	c.t.Helper()
	keys := map[string]int{}
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			c.t.Fatalf("after %d keys: %v", len(keys), err)
		}
		if line == end {
			return keys
		}
		keys[key(line)]++
	}
}

func metaDumpKey(line string) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(line, "key="), " exp=-1 la=")
	key, _ := url.PathUnescape(name)
	return key
}

func mgDumpKey(line string) string {
	return strings.TrimSuffix(strings.TrimPrefix(line, "mg "), "\r\n")
}

func wantAllKeys(t *testing.T, keys map[string]int, n int, pad string) {
	t.Helper()
	for i := range n {
		if got := keys[strconv.Itoa(i)+pad]; got != 1 {
			t.Fatalf("key %d was listed %d times", i, got)
		}
	}
	if len(keys) != n {
		t.Errorf("listed %d keys, want %d", len(keys), n)
	}
}

// A dump does not get ahead of a client that does not read, holds up no other client meanwhile, and goes on when the client
// reads. What was asked behind it is answered behind it.
func TestDumpWaitsForItsReader(t *testing.T) {
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		const n = 100_000
		pad := strings.Repeat("/", 150) // metadump makes three bytes of each
		st := openStore(t, nil)
		fillStore(t, st, n, pad)
		s := startServer(t, st, func(c *Config) { c.Threads = 1; carrier(c) })
		c := dial(t, s)
		c.send("get none\r\nlru_crawler metadump all\r\nset k 0 0 1\r\nx\r\n")
		c.expect("END\r\n")
		eventually(t, "the dump has begun", func() bool { return s.Stats().BytesWritten > feedStep })
		other := dial(t, s)
		for range 100 {
			other.send("get 7" + pad + "\r\n")
			other.expect("VALUE 7" + pad + " 0 1\r\n7\r\nEND\r\n")
		}
		if written := s.Stats().BytesWritten; written > n*450/2 {
			t.Fatalf("half of the dump was sent to a client that does not read: %d bytes", written)
		}
		most := int64(0)
		keys := c.readKeys("END\r\n", func(line string) string {
			most = max(most, s.pending.Load())
			return metaDumpKey(line)
		})
		wantAllKeys(t, keys, n, pad)
		c.expect("STORED\r\n")
		// The buffer of a step more than is waited for, and what append adds as room.
		if most > 2*(feedStep+2*dumpStep) {
			t.Errorf("%d bytes were held for the dump", most)
		}
		c.send("lru_crawler mgdump hash\r\n")
		keys = c.readKeys("EN\r\n", mgDumpKey)
		delete(keys, "k")
		wantAllKeys(t, keys, n, pad)
	})
}

// Dumps that nobody reads hold no more together than all connections may, and go on once they are read.
func TestDumpsAreBounded(t *testing.T) {
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		const n, clients, limit = 5000, 12, 1 << 20
		pad := strings.Repeat("/", 150)
		st := openStore(t, nil)
		fillStore(t, st, n, pad)
		s := startServer(t, st, func(c *Config) {
			c.Threads, c.MaxPendingTotal = 1, limit
			c.Listen = []Listener{{Network: "unix", Address: filepath.Join(t.TempDir(), "s"), Protocols: Memcache}} // whose buffers are small
			carrier(c)
		})
		var all [clients]*client
		for i := range all {
			all[i] = dial(t, s)
			all[i].send("lru_crawler metadump all\r\n")
		}
		most := int64(0)
		for _, c := range all {
			keys := c.readKeys("END\r\n", func(line string) string {
				most = max(most, s.pending.Load())
				return metaDumpKey(line)
			})
			wantAllKeys(t, keys, n, pad)
		}
		// Each may hold two steps before it is looked at.
		if most > limit+clients*3*dumpStep {
			t.Errorf("%d bytes were held for the dumps", most)
		}
	})
}

// A client that goes away ends its dump, and a server that stops does not wait for one that nobody reads.
func TestDumpEnds(t *testing.T) {
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		st := openStore(t, nil)
		fillStore(t, st, 50_000, strings.Repeat("/", 150))
		s := startServer(t, st, carrier)
		gone := dial(t, s)
		gone.send("lru_crawler metadump all\r\n")
		eventually(t, "the dump has begun", func() bool { return s.Stats().BytesWritten > feedStep })
		gone.Close()
		eventually(t, "the connection is closed", func() bool { return s.conns.Load() == 0 })
		left := dial(t, s)
		left.send("lru_crawler mgdump all\r\n")
		left.expect("mg ")
		// startServer closes it and looks at what is left
	})
}

func TestCachedump(t *testing.T) {
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		const n = 30_000
		pad := strings.Repeat("k", 150)
		st := openStore(t, nil)
		s := startServer(t, st, carrier)
		c := dial(t, s)
		for _, key := range []string{"a b", "a\nb", "a\rb", "a\x00b", strings.Repeat("x", 251)} {
			req := store.Request{Op: store.Set, Key: []byte(key), Value: []byte("v")}
			if err := st.Commit(&req, new(store.Result)); err != nil {
				t.Fatal(err)
			}
		}
		c.send("stats cachedump 1 0\r\n")
		c.expect("END\r\n") // no text can carry them
		fillStore(t, st, n, pad)
		item := func(line string) string {
			key, rest, _ := strings.Cut(strings.TrimPrefix(line, "ITEM "), " ")
			if want := fmt.Sprintf("[%d b; 0 s]\r\n", len(key)-len(pad)); rest != want {
				t.Errorf("line of %s: got %q, want %q", key, rest, want)
			}
			return key
		}
		size := 0
		c.send("stats cachedump 1 0\r\n")
		keys := c.readKeys("END\r\n", func(line string) string { size += len(line); return item(line) })
		if size += len("END\r\n"); size > 2<<20 || size < 2<<20-200 {
			t.Errorf("got %d bytes, want all that 2 MiB take", size)
		}
		for key, times := range keys {
			if times != 1 {
				t.Errorf("%s was listed %d times", key, times)
			}
		}
		for _, limit := range []int{1, 2, 3000} {
			c.send(fmt.Sprintf("stats cachedump 1 %d\r\n", limit))
			if keys := c.readKeys("END\r\n", item); len(keys) != limit {
				t.Errorf("got %d keys, want %d", len(keys), limit)
			}
		}
	})
}

// What lists keys or changes the server is for admins, who see only the keys that they reach.
func TestDumpRights(t *testing.T) {
	people, _ := openUsers(t, "root rights=admin", "part rights=admin prefix=1 prefix=22", "user")
	st := openStore(t, nil)
	fillStore(t, st, 300, "k")
	s := startServer(t, st, func(c *Config) { c.Users = people })
	for name, want := range map[string]int{"root": 300, "part": 1 + 10 + 100 + 1 + 10} {
		c := dial(t, s)
		c.send(authSet(name + " secret"))
		c.expect("STORED\r\n")
		c.send("lru_crawler metadump all\r\n")
		if keys := c.readKeys("END\r\n", metaDumpKey); len(keys) != want {
			t.Errorf("%s: metadump lists %d keys, want %d", name, len(keys), want)
		}
		c.send("stats cachedump 1 0\r\n")
		if keys := c.readKeys("END\r\n", func(line string) string { return line }); len(keys) != want {
			t.Errorf("%s: cachedump lists %d keys, want %d", name, len(keys), want)
		}
	}
	c := dial(t, s)
	c.send(authSet("user secret"))
	c.expect("STORED\r\n")
	for _, line := range []string{
		"lru_crawler metadump all", "lru_crawler mgdump 1", "lru_crawler metadump 2", "stats cachedump 1 0", "stats detail on", "stats detail dump",
		"cache_memlimit 64", "shutdown", "lru mode flat", "slabs automove 1", "watch mutations",
	} {
		c.send(line + "\r\n")
		c.expect("CLIENT_ERROR permission denied\r\n")
	}
	c.send("cache_memlimit 64 noreply\r\nstats detail off noreply\r\n")
	c.expect("CLIENT_ERROR permission denied\r\n")
}

func TestPrefixesAreBounded(t *testing.T) {
	s := startServer(t, openStore(t, nil), nil)
	c := dial(t, s)
	c.send("stats detail on\r\n")
	c.expect("OK\r\n")
	for i := range 2 * maxPrefixes {
		c.send(fmt.Sprintf("get p%04d:k\r\n", i))
		c.expect("END\r\n")
	}
	c.send("get p0000:k p1999:k\r\nstats detail dump\r\n")
	c.expect("END\r\nPREFIX p0000 get 2 hit 0 set 0 del 0\r\n")
	lines := c.readKeys("END\r\n", func(line string) string { return line })
	if len(lines) != maxPrefixes-1 || lines[fmt.Sprintf("PREFIX p%04d get 1 hit 0 set 0 del 0\r\n", maxPrefixes-1)] != 1 {
		t.Errorf("got %d more prefixes, want %d", len(lines), maxPrefixes-1)
	}
}

func TestShutdownCommand(t *testing.T) {
	asked := make(chan struct{}, 2)
	s := startServer(t, openStore(t, nil), func(c *Config) { c.Stop = func() { asked <- struct{}{} } })
	c := dial(t, s)
	c.send("shutdown now\r\nshutdown graceful now\r\n")
	c.expect(strings.Repeat("CLIENT_ERROR invalid shutdown mode\r\n", 2))
	for _, line := range []string{"shutdown\r\nversion\r\n", "shutdown graceful\r\n"} {
		c := dial(t, s)
		c.send("get none\r\n" + line)
		c.expect("END\r\n")
		c.expectEnd()
		<-asked
	}
	if len(asked) > 0 {
		t.Error("a refused shutdown stopped the node")
	}
}

// On a disk max-memory bounds the index alone, and stays.
func TestMemLimitRefused(t *testing.T) {
	st := openStore(t, func(c *store.Config) { c.InMemory = false })
	c := dial(t, startServer(t, st, nil))
	c.send("cache_memlimit 1024\r\nstats settings\r\n")
	c.expect("MEMLIMIT_ADJUST_FAILED out of bounds or unable to adjust\r\nSTAT maxbytes 0\r\n")
	c = dial(t, startServer(t, openStore(t, nil), nil))
	c.send("cache_memlimit 255\r\ncache_memlimit 256\r\nstats settings\r\n")
	c.expect("MEMLIMIT_TOO_SMALL cannot set maxbytes to less than 256m\r\nOK\r\nSTAT maxbytes 268435456\r\n")
}

// A dump behind a write whose reply waits for the gate does not fill the memory meanwhile, and comes behind that reply.
func TestDumpInPieces(t *testing.T) {
	s, w := newSession(t, 100)
	fillStore(t, w.store.(*store.Store), 20_000, strings.Repeat("/", 150))
	in := []byte("lru_crawler metadump all\r\nversion\r\n")
	steps, held := 0, 0
	var out bytes.Buffer
	s.hold(w, 1<<60) // nothing may leave
	for {
		in = in[s.feed(w, in):]
		if s.slow == nil {
			if !s.more {
				break
			}
			held = max(held, s.unsent())
			s.marks = s.marks[:0]
			_, _ = io.Copy(&out, bytes.NewReader(s.sendable()))
			s.advance(s.unsent())
			continue
		}
		job := s.slow
		s.slow = nil
		steps++
		job(t.Context())(s, w)
	}
	out.Write(s.out)
	if held < feedStep || held > feedStep+2*dumpStep {
		t.Errorf("a dump that may not leave stops at %d bytes, want about %d", held, feedStep)
	}
	lines := strings.Count(out.String(), "\n")
	if steps < 50 || lines != 20_002 || !strings.HasSuffix(out.String(), "END\r\nVERSION 0.1.0\r\n") {
		t.Errorf("%d steps, %d lines, the end is %.100q", steps, lines, out.String()[max(out.Len()-100, 0):])
	}
}
