package backup

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/futago/futago/internal/record"
	"github.com/futago/futago/internal/store"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the backups in testdata anew: only for a new version of the format, beside the old ones")

// sample makes a store with every kind of record, in two steps, and backs it up after each.
func sample(t testing.TB) (full, next []byte) {
	t.Helper()
	var clock wall
	st := openStore(t, func(c *store.Config) { c.Now = func() time.Time { return clock.advance(time.Millisecond) } })
	s := newSource(st, 1)
	set(t, st, "flushed", "gone")
	if _, err := st.FlushAll(0); err != nil {
		t.Fatal(err)
	}
	set(t, st, "plain", "value")
	do(t, st, store.Request{Op: store.Set, Key: []byte("typed"), Value: []byte("<p>"), Type: []byte("text/html"), Flags: 7, Expires: 1 << 42})
	do(t, st, store.Request{Op: store.Set, Key: []byte("unique"), Value: []byte("u"), Unique: 1234567})
	do(t, st, store.Request{Op: store.Add, Key: []byte("\x00\xff"), Value: bytes.Repeat([]byte("long "), 1000)})
	set(t, st, "counted", "5")
	do(t, st, store.Request{Op: store.Incr, Key: []byte("counted"), Delta: 3})
	do(t, st, store.Request{Op: store.AddInt, Key: []byte("int"), Int: -4, Create: true})
	set(t, st, "deleted", "x")
	do(t, st, store.Request{Op: store.Delete, Key: []byte("deleted")})
	full = take(t, s, nil)
	set(t, st, "plain", "newer")
	do(t, st, store.Request{Op: store.Incr, Key: []byte("counted"), Delta: 1})
	do(t, st, store.Request{Op: store.Delete, Key: []byte("unique")})
	set(t, st, "new", "n")
	return full, take(t, s, full)
}

// Files of every version of the format that there was are restored for ever.
func TestOldBackups(t *testing.T) {
	if *update {
		full, next := sample(t)
		for name, b := range map[string][]byte{"v1-full.fbk": full, "v1-incremental.fbk": next} {
			if err := os.WriteFile(filepath.Join("testdata", name), b, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	values := func(chain ...[]byte) map[string]string {
		st, _ := restore(t, time.Time{}, chain...)
		got := map[string]string{}
		for key := range stamps(st) {
			var v store.View
			if st.Peek([]byte(key), &v) {
				got[key] = string(v.Value)
				v.Release()
			}
		}
		return got
	}
	full, next := read("v1-full.fbk"), read("v1-incremental.fbk")
	want := map[string]string{
		"plain": "value", "typed": "<p>", "unique": "u", "\x00\xff": string(bytes.Repeat([]byte("long "), 1000)), "counted": "8", "int": "\xfc\xff\xff\xff",
	}
	if d := cmp.Diff(want, values(full)); d != "" {
		t.Errorf("version 1, full (-want +got):\n%s", d)
	}
	want["plain"], want["counted"], want["new"] = "newer", "9", "n"
	delete(want, "unique")
	if d := cmp.Diff(want, values(full, next)); d != "" {
		t.Errorf("version 1, full and incremental (-want +got):\n%s", d)
	}
	st, done := restore(t, time.Time{}, full, next)
	if done.Tombstones != 2 {
		t.Errorf("%d deletes are remembered, want 2", done.Tombstones)
	}
	var v store.View
	if !st.Peek([]byte("typed"), &v) || string(v.Type) != "text/html" || v.Flags != 7 || v.Expires != 1<<42 {
		t.Errorf("typed: %+v", v)
	}
	v.Release()
	info, err := ReadInfo(bytes.NewReader(full), int64(len(full)))
	if err != nil || info.Program != "0.1.0" || info.Values != 6 || info.Tombstones != 1 || info.Flushes != 1 || !info.Began.Before(info.Time) {
		t.Errorf("version 1 says %+v, %v", info, err)
	}
}

// A file that lacks anything at its end, or of which a bit was changed, is never taken for whole.
func TestDamage(t *testing.T) {
	full, _ := sample(t)
	if _, err := Verify(bytes.NewReader(full), nil); err != nil {
		t.Fatal(err)
	}
	check := func(what string, at int, b []byte) {
		t.Helper()
		_, err := Verify(bytes.NewReader(b), nil)
		if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNoBackup) && !errors.Is(err, ErrVersion) {
			t.Fatalf("%s at %d of %d: %v", what, at, len(full), err)
		}
		if _, _, err := tryRestore(time.Time{}, b); err == nil && at%61 == 0 {
			t.Fatalf("%s at %d of %d: restored", what, at, len(full))
		}
	}
	step := 1
	if testing.Short() {
		step = 7
	}
	for i := 0; i < len(full); i += step {
		_, err := Verify(bytes.NewReader(full[:i]), nil)
		if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNoBackup) {
			t.Fatalf("cut at %d of %d: %v", i, len(full), err)
		}
		if _, err := ReadInfo(bytes.NewReader(full[:i]), int64(i)); err == nil {
			t.Fatalf("cut at %d of %d: header and trailer are read", i, len(full))
		}
		b := bytes.Clone(full)
		b[i] ^= 1 << (i % 8)
		_, err = Verify(bytes.NewReader(b), nil)
		if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNoBackup) && !errors.Is(err, ErrVersion) {
			t.Fatalf("bit changed at %d of %d: %v", i, len(full), err)
		}
		_, _ = ReadInfo(bytes.NewReader(b), int64(len(b)))
	}
	check("more", len(full), append(bytes.Clone(full), 0))
	// Frames that are whole in themselves, but one is missing, twice or elsewhere.
	var frames [][]byte
	for at := prologueSize; at < len(full)-epilogueSize; {
		n := 4 + int(binary.LittleEndian.Uint32(full[at:])) + frameTail
		frames = append(frames, full[at:at+n])
		at += n
	}
	if len(frames) != 3 {
		t.Fatalf("%d frames", len(frames))
	}
	join := func(list ...[]byte) []byte {
		return bytes.Join(append(append([][]byte{full[:prologueSize]}, list...), full[len(full)-epilogueSize:]), nil)
	}
	check("frame missing", 0, join(frames[0], frames[2]))
	check("frame twice", 0, join(frames[0], frames[1], frames[1], frames[2]))
	check("no header", 0, join(frames[1], frames[2]))
	check("header twice", 0, join(frames[0], frames[0], frames[1], frames[2]))
}

// An interrupted download is an error of the network, not of the file.
func TestReadError(t *testing.T) {
	full, _ := sample(t)
	lost := errors.New("connection reset")
	_, err := Verify(io.MultiReader(bytes.NewReader(full[:len(full)/2]), failing{lost}), nil)
	if !errors.Is(err, lost) || errors.Is(err, ErrDamaged) {
		t.Errorf("got %v", err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// Records of any size pass, packed or not.
func TestLargeRecords(t *testing.T) {
	st := openStore(t, nil)
	for i, size := range []int{0, 1, batchBytes - 100, batchBytes, batchBytes + 1, 9 << 20, 20 << 20} {
		v := bytes.Repeat([]byte{byte(i), 1, 2, 3, 5}, size/5+1)[:size]
		set(t, st, string(rune('a'+i)), string(v))
	}
	got, _ := restore(t, time.Time{}, take(t, newSource(st, 1), nil))
	wantSame(t, "restored", dump(got), dump(st))
}

func TestRefusedChains(t *testing.T) {
	full, next := sample(t)
	other, _ := sample(t)
	for name, chain := range map[string][][]byte{
		"nothing": {}, "incremental first": {next}, "twice the full one": {full, full}, "of another full one": {other, next}, "twice the same": {full, next, next},
	} {
		if _, _, err := tryRestore(time.Time{}, chain...); !errors.Is(err, ErrChain) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzReader(f *testing.F) {
	for _, name := range []string{"v1-full.fbk", "v1-incremental.fbk"} {
		b, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(b[:len(b)-20])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		info, err := ReadInfo(bytes.NewReader(b), int64(len(b)))
		r, openErr := NewReader(bytes.NewReader(b))
		if openErr != nil {
			if err == nil {
				t.Fatalf("header is read by one way alone: %v", openErr)
			}
			return
		}
		defer r.Close()
		var rec record.Record
		for {
			readErr := r.Next(&rec)
			if readErr == nil {
				if got, decodeErr := record.Decode(rec.Append(nil)); decodeErr != nil || !record.Equal(&got, &rec) {
					t.Fatalf("record %+v is not one: %v", rec, decodeErr)
				}
				continue
			}
			if readErr == io.EOF && (err != nil || *r.Trailer() != info.Trailer) {
				t.Fatalf("the trailer is read by one way alone: %+v, %v", info, err)
			}
			if readErr != io.EOF && !errors.Is(readErr, ErrDamaged) {
				t.Fatal(readErr)
			}
			return
		}
	})
}

// FuzzFrame feeds what a checksum would keep from the reader otherwise.
func FuzzFrame(f *testing.F) {
	value := record.Record{Kind: record.Value, Stamp: 1 << 40, Key: []byte("k"), Value: bytes.Repeat([]byte("v"), 100)}
	payload := value.Append(binary.LittleEndian.AppendUint32(nil, uint32(value.Size())))
	f.Add(byte(frameRecords), payload)
	f.Add(byte(framePacked), packer.EncodeAll(payload, nil))
	f.Add(byte(frameTrailer), []byte(`{"sha256":"00"}`))
	f.Fuzz(func(t *testing.T, kind byte, payload []byte) {
		var file bytes.Buffer
		w, err := newWriter(&file, Header{ID: ID{1}, Kind: Full, Node: 1})
		if err != nil {
			t.Fatal(err)
		}
		w.frame(frameType(kind), payload)
		if _, err := Verify(&file, nil); !errors.Is(err, ErrDamaged) {
			t.Fatalf("a file without an end: %v", err)
		}
	})
}
