//go:build linux && e2e

package server

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/futago/futago/internal/rediscluster"
	"github.com/futago/futago/internal/rediscluster/clustertest"
	"github.com/futago/futago/internal/server/transcript"
	"github.com/futago/futago/internal/tyrant"
)

// clusterDiffers is all in which the replies on a cluster are others than the transcripts say. docs/compat.md has the reasons.
var clusterDiffers = []transcript.Difference{
	// Reads are not noted.
	{Wanted: " h1", Instead: " h0"},
	{Wanted: "fetch=yes", Instead: "fetch=no"},
	// The memory is the masters'.
	{Behind: "cache_memlimit 64", Wanted: "OK", Instead: "MEMLIMIT_ADJUST_FAILED out of bounds or unable to adjust"},
	{Wanted: "maxbytes 33554432", Instead: "maxbytes 0"},
	{Wanted: "limit_maxbytes 67108864", Instead: "limit_maxbytes 0"},
}

// startCluster serves a part of a cluster that nobody else uses.
func startCluster(t *testing.T, c *clustertest.Cluster) *Server {
	t.Helper()
	cfg := rediscluster.DefaultConfig()
	cfg.Addrs, cfg.Prefix, cfg.MaxValue = c.Addrs(), t.Name()+":", transcriptMaxValue
	cfg.Timeout, cfg.Lease = testTimeout, 20*time.Millisecond
	st, err := rediscluster.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(st.Close)
	return startServer(t, st, func(c *Config) { c.MaxValue, c.Goroutines = transcriptMaxValue, true })
}

// TestCluster says on a cluster what is said to a store. They share one, which takes seconds to start.
func TestCluster(t *testing.T) {
	c := clustertest.Start(t, clustertest.Config{NodeTimeout: 5 * time.Second})
	files, err := filepath.Glob("testdata/transcript/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("list transcripts: got %d and %v", len(files), err)
	}
	var all strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	t.Run("transcripts", func(t *testing.T) {
		for _, file := range files {
			t.Run(filepath.Base(file), func(t *testing.T) {
				t.Parallel()
				transcript.Run(t, startCluster(t, c).Addrs()[0], file, clusterDiffers...)
			})
		}
	})
	for _, d := range clusterDiffers {
		if !strings.Contains(all.String(), d.Wanted) {
			t.Errorf("no transcript shows the difference %q", d.Wanted)
		}
	}
	t.Run("tyrant", func(t *testing.T) { testClusterTyrant(t, startCluster(t, c)) })
	t.Run("iterate", func(t *testing.T) { testClusterIterate(t, startCluster(t, c)) })
	t.Run("refused", func(t *testing.T) { testClusterRefuses(t, startCluster(t, c)) })
	t.Run("beside", func(t *testing.T) { testTyrantBesideOtherProtocols(t, startCluster(t, c)) })
}

// testClusterTyrant has the dialogue with a store. Numbers of records and bytes are of all that the masters have.
func testClusterTyrant(t *testing.T, s *Server) {
	c := dial(t, s)
	for _, d := range tyrantDialogue {
		t.Log(d.name)
		c.send(from(d.request))
		if !strings.HasPrefix(d.name, "rnum") {
			c.expect(from(d.reply))
			continue
		}
		for range len(from(d.reply)) / 9 {
			c.expect("\x00")
			var n [8]byte
			if _, err := io.ReadFull(c.r, n[:]); err != nil || binary.BigEndian.Uint64(n[:]) == 0 {
				t.Errorf("got the number %x and %v, want one that is not 0", n, err)
			}
		}
	}
	c.send(ask(tyrant.Request{Command: tyrant.Repl, Time: 1, SID: 9}))
	c.expectEnd()
}

// testClusterRefuses asks for promises that a cluster does not make.
func testClusterRefuses(t *testing.T, s *Server) {
	for level, want := range map[string]int{"": 201, "local": 201, "peer": 503, "strict": 503} {
		r, err := http.NewRequest(http.MethodPut, "http://"+s.Addrs()[0]+"/k"+level, strings.NewReader("v"))
		if err != nil {
			t.Fatal(err)
		}
		if level != "" {
			r.Header.Set("Futago-Ack", level)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want || want == 503 && resp.Header.Get("Futago-Effect") != "none" {
			t.Errorf("level %q: got %d, effect %q, want %d", level, resp.StatusCode, resp.Header.Get("Futago-Effect"), want)
		}
	}
	c := dial(t, s)
	c.send("get kpeer kstrict\r\n")
	c.expect("END\r\n")
}

// testClusterIterate goes through more keys than one step looks at.
func testClusterIterate(t *testing.T, s *Server) {
	const n = 2500
	c := dial(t, s)
	var puts strings.Builder
	for i := range n {
		puts.WriteString(ask(tyrant.Request{Command: tyrant.PutNR, Key: fmt.Appendf(nil, "key%04d", i), Value: []byte("v")}))
	}
	c.send(puts.String() + ask(tyrant.Request{Command: tyrant.VSiz, Key: []byte("key0000")}) + from("c8 50"))
	c.expect(from("00 00000001 00"))
	seen := map[string]bool{}
	for {
		c.send(from("c8 51"))
		if status, err := c.r.ReadByte(); err != nil || status != 0 {
			break
		}
		c.expect(from("00000007"))
		key := make([]byte, 7)
		if _, err := io.ReadFull(c.r, key); err != nil {
			t.Fatal(err)
		}
		seen[string(key)] = true
	}
	if len(seen) != n {
		t.Errorf("went through %d keys, want %d", len(seen), n)
	}
	// A walk cannot begin at a key.
	c.send(ask(tyrant.Request{Command: tyrant.Misc, Name: []byte("iterinit"), Args: list("key0001")}))
	c.expect(from("01 00000000"))
}
