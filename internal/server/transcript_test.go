package server

import (
	"path/filepath"
	"testing"

	"github.com/futago/futago/internal/server/transcript"
	"github.com/futago/futago/internal/store"
)

func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/transcript/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("list transcripts: got %d and %v", len(files), err)
	}
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		for _, file := range files {
			t.Run(filepath.Base(file), func(t *testing.T) {
				t.Parallel()
				st := openStore(t, func(c *store.Config) { c.MaxValue, c.SegmentSize = transcriptMaxValue, 1<<20 })
				s := startServer(t, st, func(c *Config) {
					c.MaxValue = transcriptMaxValue
					carrier(c)
				})
				transcript.Run(t, s.Addrs()[0], file)
			})
		}
	})
}
