package replication

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klauspost/compress/zstd"
)

// unpacked is a frame reader over what a source sent packed.
func unpacked(t testing.TB, packed io.Reader) *frameReader {
	t.Helper()
	c := newLinkConn(scriptConn{packed})
	if err := c.unpack(); err != nil {
		t.Fatal(err)
	}
	return newFrameReader(c)
}

// repeated writes b again and again into a zstd stream with the given window.
func repeated(t testing.TB, b []byte, times, window int) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := zstd.NewWriter(&out, zstd.WithWindowSize(window), zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	for range times {
		if _, err := w.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// allocated returns how many bytes f took from the heap, freed since or not.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// A few packed bytes can stand for many. Whatever comes, memory is bounded by what the frame reader above allows.
func TestPackedBomb(t *testing.T) {
	zeros := make([]byte, 1<<20)
	t.Run("frame beyond the limit", func(t *testing.T) {
		claim := binary.LittleEndian.AppendUint32(nil, maxTalk+1)
		packed := repeated(t, append(claim, zeros...), 256, zstdWindow)
		took := allocated(func() {
			if _, _, err := unpacked(t, bytes.NewReader(packed)).next(maxTalk); !errors.Is(err, errFrame) {
				t.Errorf("got %v", err)
			}
		})
		if took > 4<<20 {
			t.Errorf("%d bytes of memory taken for %d", took, len(packed))
		}
	})
	t.Run("endless frames", func(t *testing.T) {
		frame := appendFrame(nil, frameBatch, zeros)
		const times = 512
		packed := repeated(t, frame, times, zstdWindow)
		if len(packed) > times*len(frame)/1000 {
			t.Fatalf("%d bytes packed: this is no bomb", len(packed))
		}
		took := allocated(func() {
			frames := unpacked(t, bytes.NewReader(packed))
			for n := range times {
				if _, _, err := frames.next(maxFrame); err != nil {
					t.Fatalf("frame %d: %v", n, err)
				}
			}
		})
		if took > 8<<20 {
			t.Errorf("%d bytes of memory taken for frames of %d", took, len(frame))
		}
	})
	t.Run("claimed size", func(t *testing.T) {
		claim := binary.LittleEndian.AppendUint32(nil, maxFrame)
		packed := repeated(t, append(claim, "only this"...), 1, zstdWindow)
		took := allocated(func() {
			if _, _, err := unpacked(t, bytes.NewReader(packed)).next(maxFrame); err == nil {
				t.Error("a frame without its bytes passes")
			}
		})
		if took > 4<<20 {
			t.Errorf("%d bytes of memory taken for %d", took, len(packed))
		}
	})
	t.Run("large window", func(t *testing.T) {
		packed := repeated(t, zeros, 64, 64<<20)
		took := allocated(func() {
			if _, _, err := unpacked(t, bytes.NewReader(packed)).next(maxFrame); !errors.Is(err, zstd.ErrWindowSizeExceeded) {
				t.Errorf("got %v, want %v", err, zstd.ErrWindowSizeExceeded)
			}
		})
		if took > 1<<20 {
			t.Errorf("%d bytes of memory taken", took)
		}
	})
}

// FuzzUnpack takes anything for a packed stream.
func FuzzUnpack(f *testing.F) {
	for _, frame := range goldenFrames() {
		f.Add(repeated(f, frame, 2, zstdWindow))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		frames := unpacked(t, bytes.NewReader(b))
		for range 100 {
			if _, _, err := frames.next(maxTalk); err != nil {
				break
			}
		}
		if cap(frames.buf) > 3*readStep {
			t.Fatalf("%d bytes of memory for %d", cap(frames.buf), len(b))
		}
	})
}

// Packing leaves no goroutine behind: a link ends by closing its connection alone.
func TestPackedLinkEndsWithItsConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // which fails while goroutines are left
		mine, theirs := net.Pipe()
		zip := openLink(t, LinkConfig{Compress: true})
		j := join(t, zip, zip, mine, theirs)
		j.exchange(t)
		mine.Close()
		theirs.Close()
	})
}

// A deadline for reading is one of silence, however many reads of the wire one read above needs; other deadlines stand.
func TestDeadlinesOfALink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		random, more := make([]byte, 300<<10), make([]byte, 300<<10)
		rand.NewChaCha8([32]byte{0}).Read(random)
		rand.NewChaCha8([32]byte{1}).Read(more)
		mine, theirs := net.Pipe()
		zip := openLink(t, LinkConfig{Compress: true})
		// A slow line lies between the two: 20 KiB in half a second.
		near, far := net.Pipe()
		var line sync.WaitGroup
		defer line.Wait()
		line.Go(func() { io.Copy(near, mine) })
		line.Go(func() {
			b := make([]byte, 20<<10)
			for {
				n, err := near.Read(b)
				if err == nil {
					_, err = mine.Write(b[:n])
				}
				if err != nil {
					mine.Close()
					return
				}
				time.Sleep(time.Duration(n) * time.Second / (40 << 10))
			}
		})
		defer mine.Close()
		defer near.Close()
		done := make(chan struct{})
		var source *linkConn
		go func() {
			defer close(done)
			source, _ = zip.accept(far, time.Minute)
		}()
		follower, err := zip.dialed(theirs, "a:1", time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		<-done
		defer source.Close()
		go func() {
			source.Write(appendFrame(nil, frameBatch, random))
			source.Write(appendFrame(nil, frameBatch, more))
		}()
		alive := &aliveConn{Conn: follower, timeout: time.Second}
		frames := newFrameReader(alive)
		begin := time.Now()
		if _, b, err := frames.next(maxFrame); err != nil || !bytes.Equal(b, random) {
			t.Errorf("%d bytes, error %v", len(b), err)
		}
		if took := time.Since(begin); took < 5*time.Second {
			t.Errorf("it took %v: the line was not slow", took)
		}
		alive.timeout = 0
		follower.SetDeadline(time.Now().Add(2 * time.Second))
		begin = time.Now()
		if _, _, err := frames.next(maxFrame); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("beyond the deadline: %v", err)
		}
		if took := time.Since(begin); took > 2*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}
