package replication

import (
	"encoding/json"
	"math"
	"os"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/futago/futago/internal/record"
)

// forgery changes a frame on its way, as a node that does not keep a rule would have sent or read it.
type forgery func(c *cluster, follower string, fromSource bool, t frameType, payload []byte) []byte

// forgeHello lets a follower introduce itself wrongly.
func forgeHello(change func(c *cluster, follower string, h *hello)) forgery {
	return func(c *cluster, follower string, fromSource bool, t frameType, payload []byte) []byte {
		if t != frameHello {
			return appendFrame(nil, t, payload)
		}
		var h hello
		if err := json.Unmarshal(payload, &h); err != nil {
			panic("replication: forged hello: " + err.Error())
		}
		change(c, follower, &h)
		return appendJSON(nil, frameHello, h)
	}
}

// dropRecords lets records get lost on their way.
func dropRecords(drop func(c *cluster, follower string, t frameType, r *record.Record) bool) forgery {
	return func(c *cluster, follower string, fromSource bool, t frameType, payload []byte) []byte {
		if t != frameBatch && t != frameChunk {
			return appendFrame(nil, t, payload)
		}
		seq, crc, recs, err := decodeRecords(payload, nil)
		if err != nil {
			panic("replication: forged batch: " + err.Error())
		}
		b := make([]byte, batchHeader)
		putBatchHeader(b, seq, crc)
		for i := range recs {
			if !drop(c, follower, t, &recs[i]) {
				b = appendRecord(b, recs[i].Append(nil))
			}
		}
		return appendFrame(nil, t, b)
	}
}

// TestWrongRules runs schedules against nodes that break one rule. The nodes must end up different: a schedule that
// passes without its rule tests nothing.
func TestWrongRules(t *testing.T) {
	floorScript := "set b old 1\nsync\nstop b\nflush a\nfill a x 60 6000\nfill a x 60 6000\nfsync a\nsettle\nstart b\nsync\n"
	for name, c := range map[string]struct {
		file   string // of testdata, or
		script string
		wrong  forgery
	}{
		"5: a snapshot without the floor": {script: floorScript, wrong: dropRecords(func(_ *cluster, _ string, t frameType, r *record.Record) bool {
			return t == frameChunk && r.Kind == record.Floor
		})},
		"12, 13: a position is a sequence": {file: "12-position-is-verified", wrong: forgeHello(func(c *cluster, follower string, h *hello) {
			source := c.a()
			if follower == "a" {
				source = c.b()
			}
			if !source.up || h.Position.Seq == 0 {
				return
			}
			reader, err := source.st.Log().ReadAfterSeq(h.Position.Seq - 1)
			if err != nil {
				return
			}
			defer reader.Close()
			if e, ok := reader.Next(); ok {
				h.Position.Life, h.Position.CRC = source.st.Log().Identity(), e.CRC
			}
		})},
		"14: a position ahead of what is held": {file: "14-mark-behind-entries", wrong: forgeHello(func(c *cluster, follower string, h *hello) {
			if follower == "b" && h.Position.Seq != 0 && c.a().up {
				h.Position, h.Own = c.a().st.Log().End(), math.MaxUint64
			}
		})},
		"15: complete is the newest that is held": {file: "15-complete-not-newest", wrong: forgeHello(func(c *cluster, follower string, h *hello) {
			if follower == "b" && c.b().up {
				h.Own = c.b().st.Log().Origin(2)
			}
		})},
		"16: own writes never come back": {file: "16-own-writes-come-back", wrong: forgeHello(func(_ *cluster, _ string, h *hello) {
			h.Own = math.MaxUint64
		})},
		"23: a refused stamp is skipped": {file: "23-refused-stamp", wrong: dropRecords(func(c *cluster, follower string, _ frameType, r *record.Record) bool {
			return follower == "a" && r.Stamp.Millis() > c.a().millis()+60_000
		})},
	} {
		t.Run(name, func(t *testing.T) {
			script := c.script
			if c.file != "" {
				b, err := os.ReadFile("testdata/" + c.file + ".txt")
				if err != nil {
					t.Fatal(err)
				}
				script, _, _ = strings.Cut(string(b), "----\n")
			}
			for _, forged := range []bool{false, true} {
				var got string
				synctest.Test(t, func(t *testing.T) {
					got = runScenario(t, script, func(cl *cluster) {
						if forged {
							cl.wire.forge = func(follower, _ string, fromSource bool, kind frameType, payload []byte) []byte {
								return c.wrong(cl, follower, fromSource, kind, payload)
							}
						}
					})
				})
				if differ := strings.Contains(got, "nodes differ"); differ != forged {
					t.Errorf("rule broken: %v, nodes differ: %v:\n%s", forged, differ, got)
				}
			}
		})
	}
}
