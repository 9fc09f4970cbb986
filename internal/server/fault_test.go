package server

import (
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/futago/futago/internal/memcache"
	"github.com/futago/futago/internal/store"
	"github.com/futago/futago/internal/vfs"
)

// brokenDisk takes no more writes to the log once broken is set.
type brokenDisk struct {
	vfs.FS
	broken *atomic.Bool
}

type brokenFile struct {
	vfs.File
	broken *atomic.Bool
}

func (d brokenDisk) Create(name string) (vfs.File, error) {
	f, err := d.FS.Create(name)
	if err != nil || !strings.HasSuffix(name, ".log") {
		return f, err
	}
	return brokenFile{f, d.broken}, nil
}

func (f brokenFile) WriteAt(b []byte, off int64) (int, error) {
	if f.broken.Load() {
		return 0, syscall.EIO
	}
	return f.File.WriteAt(b, off)
}

// When the disk fails under a write nobody knows what became of it: no reply would be true, and the connection ends. Later
// writes are refused, reads go on.
func TestDiskFailsUnderAWrite(t *testing.T) {
	for name, write := range map[string]string{
		"text": "set k 0 0 1\r\nw\r\nget k\r\n", "http": put("/k", "", "w"),
		"binary": setPacket(memcache.OpcodeSet, 1, "k", "w"), "binary, quiet": setPacket(memcache.OpcodeSetQ, 1, "k", "w") + noopPacket(2),
	} {
		for _, strict := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/strict=%v", name, strict), func(t *testing.T) {
				onCarriers(t, func(t *testing.T, carrier func(*Config)) {
					var broken atomic.Bool
					cfg := store.DefaultConfig()
					cfg.MinFree, cfg.FS = 0, brokenDisk{vfs.Memory(), &broken}
					cfg.AckStrict, cfg.AckTimeout = strict, time.Hour
					st, err := store.Open(cfg)
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(func() {
						if st.Close() == nil {
							t.Error("the store closed as if its disk were whole")
						}
					})
					joinPeer(st)
					s := startServer(t, st, carrier)
					writer, reader := dial(t, s), dial(t, s)
					broken.Store(true)
					writer.send(write)
					writer.expectEnd()
					reader.send("set k 0 0 1\r\nx\r\nget none\r\n")
					reader.expect("SERVER_ERROR " + store.ErrReadOnly.Error() + "\r\nEND\r\n")
				})
			})
		}
	}
}
