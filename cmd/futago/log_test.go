package main

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/record"
	"github.com/futago/futago/internal/ulog"
	"github.com/futago/futago/internal/vfs"
	"github.com/rogpeppe/go-internal/testscript"
)

// makeLog writes a log of node 1 whose writes are a second apart, from 2026-01-02 03:04:05 UTC on: `fruit/apple` is set
// to red by node 2, 40 keys `pad/N` are set, `fruit/apple` is set to green and deleted, `n` is counted to 7, `fruit/\xff` is
// set, a mark is written, everything is flushed, `last` is set. Segments are small: the first ones are sealed.
func makeLog(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: makelog DIR")
	}
	fs, err := vfs.OS(ts.MkAbs(args[0]))
	ts.Check(err)
	log, err := ulog.Open(ulog.Config{FS: fs, Node: 1, SegmentSize: 4096, Policy: ulog.Never}, ulog.Recovery{Entry: func(ulog.Entry) {}})
	ts.Check(err)
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	write := func(node int, r record.Record) record.Record {
		if r.Kind != record.Mark {
			r.Stamp = hlc.Make(hlc.Millis(now), 0, node)
			now = now.Add(time.Second)
		}
		if r.Kind == record.Floor {
			r = record.NewFloor(r.Stamp, r.Stamp)
		}
		log.Lock()
		_, _, err := log.Append(&r)
		log.Unlock()
		ts.Check(err)
		log.Flush()
		return r
	}
	apple := write(2, record.Record{Kind: record.Value, Key: []byte("fruit/apple"), Value: []byte("red"), Flags: 7, Type: []byte("text/plain")})
	for i := range 40 {
		write(1, record.Record{Kind: record.Value, Key: fmt.Appendf(nil, "pad/%d", i), Value: fmt.Appendf(nil, "%0100d", i)})
	}
	apple = write(1, record.Record{Kind: record.Value, Key: apple.Key, Value: []byte("green"), Replaced: apple.Stamp, Expires: uint64(hlc.Millis(now.Add(time.Hour)))})
	write(1, record.Record{Kind: record.Tombstone, Key: apple.Key, Replaced: apple.Stamp})
	five := record.Record{Kind: record.Value, Key: []byte("n"), Value: []byte("5"), Stamp: hlc.Make(hlc.Millis(now), 0, 1)}
	n, _ := record.Contribute(&five, record.Author{Stamp: five.Stamp + 1<<10, Epoch: 1}, true, 2, nil)
	write(1, n)
	write(1, record.Record{Kind: record.Value, Key: []byte("fruit/\xff"), Value: []byte("\x00<b>")})
	write(1, record.Record{Kind: record.Mark, Key: []byte("note"), Value: []byte("1")})
	write(1, record.Record{Kind: record.Floor})
	write(1, record.Record{Kind: record.Value, Key: []byte("last"), Value: []byte("one")})
	ts.Check(log.Close())
}

// flipByte changes one byte of a file.
func flipByte(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: flip FILE OFFSET")
	}
	off, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_RDWR, 0)
	ts.Check(err)
	defer f.Close()
	var b [1]byte
	_, err = f.ReadAt(b[:], off)
	ts.Check(err)
	b[0] ^= 1
	_, err = f.WriteAt(b[:], off)
	ts.Check(err)
}

func TestParseMoment(t *testing.T) {
	now := time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"90m":                       now.Add(-90 * time.Minute),
		"0s":                        now,
		"2026-01-02T15:04:05Z":      now,
		"2026-01-02T16:04:05+01:00": now,
		"2026-01-02T15:04:05.25Z":   now.Add(250 * time.Millisecond),
	} {
		if got, err := parseMoment(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%q: got %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "-5m", "yesterday", "2026-01-02", "15:04"} {
		if got, err := parseMoment(text, now); err == nil {
			t.Errorf("%q was taken as %v", text, got)
		}
	}
}

func TestDescribeDamage(t *testing.T) {
	after := time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)
	for want, d := range map[string]ulog.Damage{
		"0000000007.log at 64, 1 byte, sequence 9, 1 entry lost: bad checksum":                                                                                        {File: "0000000007.log", Offset: 64, Bytes: 1, Seq: 9, Entries: 1, Lost: true, Problem: "bad checksum"},
		"0000000007.log at 64, 200 bytes, sequences 9 to 11, 3 entries lost, written after 2026-01-02T15:04:05.000Z, before 2026-01-02T15:04:06.000Z: bad entry size": {File: "0000000007.log", Offset: 64, Bytes: 200, Seq: 9, Entries: 3, Lost: true, After: after, Before: after.Add(time.Second), Problem: "bad entry size"},
		"0000000007.log at 64, 200 bytes, sequence 9, entries lost: a hole":                                                                                           {File: "0000000007.log", Offset: 64, Bytes: 200, Seq: 9, Lost: true, Problem: "a hole"},
		"0000000007.hint, no entry lost: the file is missing":                                                                                                         {File: "0000000007.hint", Problem: "the file is missing"},
	} {
		if got := describe(d); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}
