package replication

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/record"
	"github.com/futago/futago/internal/store"
	"github.com/futago/futago/internal/ulog"
)

// goldenFrames are examples of every frame; docs/protocol/peer.md explains them.
func goldenFrames() map[string][]byte {
	life := ulog.Identity{0: 0xa1, 15: 0xff}
	pos := ulog.Position{Life: life, Seq: 1000, CRC: 0xdeadbeef}
	stamp := hlc.Make(189388800000, 3, 2)
	value := record.Record{Kind: record.Value, Stamp: stamp, Flags: 7, Key: []byte("key"), Value: []byte("value")}
	gone := record.Record{Kind: record.Tombstone, Stamp: stamp + 1<<10, Replaced: stamp, Key: []byte("gone")}
	return map[string][]byte{
		"greeting":  appendJSON(nil, frameGreeting, greeting{Protocol: protocolName, Version: protocolVersion, Node: 1, Life: life}),
		"hello":     appendJSON(nil, frameHello, hello{Version: protocolVersion, Node: 2, Life: life, Position: pos, Partial: -1, Own: stamp}),
		"welcome":   appendJSON(nil, frameWelcome, welcome{Mode: "stream", Start: pos, End: 1003, Held: stamp, Wall: 189388800000, Ready: true}),
		"refuse":    appendJSON(nil, frameRefuse, refuse{Reason: "both nodes have the id 2"}),
		"batch":     appendFrame(nil, frameBatch, batchOf(1002, value, gone)),
		"chunk":     appendFrame(nil, frameChunk, batchOf(17, value)),
		"complete":  appendFrame(nil, frameComplete, nil),
		"heartbeat": appendFrame(nil, frameHeartbeat, heartbeat{1003, 189388800000, true, 1001, stamp, 0, 900}.append(nil)),
		"confirm":   appendFrame(nil, frameConfirm, confirm{1002, 1000, 189388800000, true, stamp, 17}.append(nil)),
		"bye":       appendFrame(nil, frameBye, nil),
		"ask":       appendJSON(nil, frameAsk, ask{ID: 7, Ranges: []int{0, 4095}, Hours: []store.HourGroup{{Hour: 60481, Group: 63}}}),
		"digest":    appendJSON(nil, frameDigest, digestReply{ID: 6, End: 1003, Applied: 900}),
		"mend":      appendFrame(nil, frameMend, batchOf(7, value)),
	}
}

// TestGoldenFrames keeps the protocol as it is: bytes that differ need another protocolVersion. -update writes them.
func TestGoldenFrames(t *testing.T) { checkGolden(t, "frames.json", goldenFrames()) }

// checkGolden compares parts of a protocol with those in a file of testdata, in hexadecimal. -update writes it.
func checkGolden(t *testing.T, name string, parts map[string][]byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		lines := map[string]string{}
		for name, b := range parts {
			lines[name] = hex.EncodeToString(b)
		}
		b, err := json.MarshalIndent(lines, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, append(b, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	if err := json.Unmarshal(b, &want); err != nil {
		t.Fatal(err)
	}
	if len(want) != len(parts) {
		t.Fatalf("%s has %d parts, want %d", file, len(want), len(parts))
	}
	for name, b := range parts {
		if got := hex.EncodeToString(b); got != want[name] {
			t.Errorf("%s: got %s, want %s", name, got, want[name])
		}
	}
}

// Every frame that is cut anywhere is an error, and one that is changed anywhere too.
func TestFramesAreChecked(t *testing.T) {
	for name, frame := range goldenFrames() {
		for n := range frame {
			if _, _, err := newFrameReader(bytes.NewReader(frame[:n])).next(maxFrame); !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("%s cut to %d bytes: %v", name, n, err)
			}
			bad := bytes.Clone(frame)
			bad[n] ^= 1
			if _, _, err := newFrameReader(bytes.NewReader(bad)).next(1 << 10); err == nil {
				t.Fatalf("%s with another byte %d passes", name, n)
			}
		}
	}
}

// Memory is taken as bytes arrive, whatever the frame says of its size.
func TestFrameMemory(t *testing.T) {
	claim := binary.LittleEndian.AppendUint32(nil, maxFrame)
	r := newFrameReader(io.MultiReader(bytes.NewReader(claim), strings.NewReader("only this")))
	if _, _, err := r.next(maxFrame); err == nil {
		t.Fatal("a frame without its bytes passes")
	}
	if n := cap(r.buf); n > 2*readStep {
		t.Fatalf("%d bytes taken for 9", n)
	}
	if _, _, err := newFrameReader(bytes.NewReader(claim)).next(maxTalk); !errors.Is(err, errFrame) {
		t.Fatalf("beyond the limit: %v", err)
	}
}

func FuzzFrame(f *testing.F) {
	for _, frame := range goldenFrames() {
		f.Add(frame)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := newFrameReader(bytes.NewReader(b))
		for {
			kind, payload, err := r.next(1 << 20)
			if err != nil {
				break
			}
			frame := appendFrame(nil, kind, payload)
			if !bytes.Contains(b, frame) {
				t.Fatalf("frame %x is not in %x", frame, b)
			}
		}
		if cap(r.buf) > 3*readStep {
			t.Fatalf("%d bytes of memory for %d", cap(r.buf), len(b))
		}
	})
}

func FuzzRecords(f *testing.F) {
	for _, name := range []string{"batch", "chunk", "heartbeat", "bye"} {
		frame := goldenFrames()[name]
		f.Add(frame[5 : len(frame)-4])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		seq, crc, recs, err := decodeRecords(b, nil)
		if err != nil {
			return
		}
		again := make([]byte, batchHeader)
		putBatchHeader(again, seq, crc)
		for i := range recs {
			again = appendRecord(again, recs[i].Append(nil))
		}
		if !bytes.Equal(again, b) {
			t.Fatalf("encode(decode(x)) differs:\n%x\n%x", again, b)
		}
	})
}

func FuzzTalk(f *testing.F) {
	for _, frame := range goldenFrames() {
		f.Add(frame[5 : len(frame)-4])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := decodeHeartbeat(b); err == nil && !bytes.Equal(h.append(nil), b) {
			t.Fatalf("heartbeat %x became %x", b, h.append(nil))
		}
		if q, err := decodeAsk(b); err == nil && len(q.Ranges)+len(q.Hours) > maxAskRanges+maxAskHours {
			t.Fatalf("question %x is out of its limits", b)
		}
		if c, err := decodeConfirm(b); err == nil && !bytes.Equal(c.append(nil), b) {
			t.Fatalf("confirm %x became %x", b, c.append(nil))
		}
	})
}

// FuzzIntroduction reads any JSON as greeting, hello and welcome: what is accepted must survive being sent on.
func FuzzIntroduction(f *testing.F) {
	for _, name := range []string{"greeting", "hello", "welcome"} {
		frame := goldenFrames()[name]
		f.Add(frame[5 : len(frame)-4])
	}
	f.Add([]byte(`{"version":1,"node":2,"partial":99999,"position":{"Seq":18446744073709551615}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		for kind, v := range map[frameType]any{frameGreeting: &greeting{}, frameHello: &hello{}, frameWelcome: &welcome{}} {
			if newFrameReader(bytes.NewReader(appendFrame(nil, kind, b))).expect(kind, v) != nil {
				continue
			}
			again := appendJSON(nil, kind, v)
			if err := newFrameReader(bytes.NewReader(again)).expect(kind, v); err != nil {
				t.Fatalf("%T from %q does not come back: %v", v, b, err)
			}
		}
	})
}
