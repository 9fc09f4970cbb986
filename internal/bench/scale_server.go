package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// scaleLimit bounds a start, a stop and a save of very many records.
	scaleLimit = 15 * time.Minute
	// loadConnections and loadDepth are those of a load of records: as much as a server takes.
	loadConnections = 16
	loadDepth       = 64
)

// scaleServer is a server with very many records.
type scaleServer struct {
	*process
	admin string // address of a futago node's admin port; "" for others
}

// Names of the servers.
const (
	futagoServer    = "futago"
	memcachedServer = "memcached"
	redisServer     = "redis"
)

// startScaleServer starts one of the servers, with room for so many bytes of memory where it wants to know.
func startScaleServer(ctx context.Context, c *ScaleConfig, name string, memory int64) (*scaleServer, error) {
	p := &peer{name: name, protocol: Memcache}
	s := &scaleServer{}
	switch name {
	case futagoServer:
		port, err := freePort()
		if err != nil {
			return nil, err
		}
		s.admin = at(localhost, port)
		p.program = c.Futago
		p.args = func(port int, dir string) []string {
			return []string{"serve", "--listen", at(localhost, port), "--data", filepath.Join(dir, "data"), "--admin-listen", s.admin, "--fsync", syncedSoon}
		}
	case memcachedServer:
		like := memcachedPeer(1)
		p.program = like.program
		p.args = func(port int, dir string) []string {
			return append(like.args(port, dir), "-m", strconv.FormatInt(memory>>20+64, 10)) // the last -m counts
		}
	case redisServer:
		p = redisPeer()
	}
	var err error
	s.process, err = p.start(ctx, -1)
	return s, err
}

// fill sets all records, and returns how long it took.
func (s *scaleServer) fill(ctx context.Context, c *ScaleConfig, r *records) (time.Duration, error) {
	load := s.bulk(each(r.n, func(dst []byte, i int) []byte { return r.appendSet(dst, s.peer.protocol, keptKeys, i, 0, 0) }))
	begun := time.Now()
	err := s.send(ctx, c, load, r.n, "set records")
	return time.Since(begun), err
}

// bulk is requests as fast as the server takes them.
func (s *scaleServer) bulk(next func([]byte) ([]byte, bool)) *stream {
	return &stream{protocol: s.peer.protocol, address: s.address, connections: loadConnections, depth: loadDepth, next: next, epoch: time.Now()}
}

// send runs a stream of n requests and tells its progress.
func (s *scaleServer) send(ctx context.Context, c *ScaleConfig, load *stream, n int, what string) error {
	stop := c.progress(fmt.Sprintf("  %s: %s", s.peer.name, what), load, n)
	err := runStreams(ctx, nil, load)
	stop()
	if err == nil {
		err = load.failure()
	}
	if err != nil {
		return fmt.Errorf("%s: %s: %w", s.peer.name, what, err)
	}
	return nil
}

// progress tells now and then how many of n requests of a stream are answered, until stop is called.
func (c *ScaleConfig) progress(what string, load *stream, n int) (stop func()) {
	const every = 10 * time.Second
	c.logf("%s", what)
	ended, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				c.logf("%s: %d %%", what, 100*load.done.Load()/uint64(n))
			case <-ended:
				return
			}
		}
	}()
	return func() {
		close(ended)
		<-stopped
	}
}

// others begins to watch the processors that others use.
func (s *scaleServer) others() (func() (float64, error), error) { return watchOthers(s.cpu) }

func (s *scaleServer) memory() (memory, error) { return readMemory(s.cmd.Process.Pid) }

// disk is the disk space that the folder takes.
func (s *scaleServer) disk() (bytes int64, err error) {
	err = filepath.WalkDir(s.dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return ignoreGone(err)
		}
		info, err := e.Info()
		if err != nil {
			return ignoreGone(err) // compaction removes files
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			bytes += st.Blocks * 512
		}
		return nil
	})
	return bytes, err
}

func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// forget makes the system forget what it has of the folder in memory. The server must not run.
func (s *scaleServer) forget() error {
	return filepath.WalkDir(s.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := f.Sync(); err != nil { // what is not on disk yet would stay
			return err
		}
		if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
			return fmt.Errorf("drop %s from memory: %w", path, err)
		}
		return nil
	})
}

// terminate asks the server to end, and returns how long that took. Its folder stays.
func (s *scaleServer) terminate(ctx context.Context) (time.Duration, error) {
	begun := time.Now()
	s.cmd.Process.Signal(syscall.SIGTERM) // an error means that it has ended
	limit := time.NewTimer(scaleLimit)
	defer limit.Stop()
	select {
	case <-s.exited:
		return time.Since(begun), nil
	case <-limit.C:
		return 0, fmt.Errorf("stop %s: still running after %v", s.peer.name, scaleLimit)
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}

// restart starts the ended server again, with words before its command, and returns the time until it answered a get with
// the value of a record.
func (s *scaleServer) restart(ctx context.Context, r *records, before ...string) (took time.Duration, err error) {
	words := s.cmd.Args
	begun := time.Now()
	again, err := s.peer.run(append(before, words...), s.address, s.dir)
	if err != nil {
		return 0, err
	}
	s.process = again
	err = s.until(ctx, scaleLimit, func(ctx context.Context) error {
		err := s.answers(ctx, r)
		if err == nil && took == 0 {
			took = time.Since(begun)
		}
		return err
	})
	return took, err
}

// answers returns nil when the server answers a get with a value.
func (s *scaleServer) answers(ctx context.Context, r *records) error {
	reply, err := s.ask(ctx, string(r.appendGet(nil, s.peer.protocol, 0)))
	if err == nil && !strings.HasPrefix(reply, "VALUE ") && !strings.HasPrefix(reply, "$"+strconv.Itoa(r.valueSize)) {
		err = fmt.Errorf("get: reply %.100q", reply)
	}
	return err
}

// ask sends a request and returns the first line of the reply.
func (s *scaleServer) ask(ctx context.Context, request string) (line string, err error) {
	nc, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.address)
	if err != nil {
		return "", err
	}
	defer nc.Close()
	defer context.AfterFunc(ctx, func() { nc.Close() })()
	if _, err := io.WriteString(nc, request); err != nil {
		return "", err
	}
	line, err = bufio.NewReader(io.LimitReader(nc, maxReplyLine)).ReadString('\n')
	return strings.TrimSpace(line), err
}

// scaleStatus is the part of a node's status document that is looked at.
type scaleStatus struct {
	Store struct {
		Items      int   `json:"items"`
		Tombstones int   `json:"tombstones"`
		Bytes      int64 `json:"bytes"` // of live entries in the log
	} `json:"store"`
}

func (s *scaleServer) status(ctx context.Context) (st scaleStatus, err error) {
	_, body, err := askAdmin(ctx, s.admin, "/status")
	if err != nil {
		return st, err
	}
	if err := json.Unmarshal(body, &st); err != nil {
		return st, fmt.Errorf("read status of %s: %w", s.admin, err)
	}
	return st, nil
}

// holds returns an error unless the server has n records.
func (s *scaleServer) holds(ctx context.Context, n int) error {
	var got int
	switch s.peer.name {
	case futagoServer:
		st, err := s.status(ctx)
		if err != nil {
			return err
		}
		got = st.Store.Items
	case redisServer:
		line, err := s.ask(ctx, "DBSIZE\r\n")
		if err != nil {
			return err
		}
		if got, err = strconv.Atoi(strings.TrimPrefix(line, ":")); err != nil {
			return fmt.Errorf("count the records of redis: reply %.100q", line)
		}
	case memcachedServer:
		line, err := s.stat(ctx, "curr_items")
		if err != nil {
			return err
		}
		got = line
	}
	if got != n {
		return fmt.Errorf("%s has %d of %d records", s.peer.name, got, n)
	}
	return nil
}

// stat returns one of memcached's figures.
func (s *scaleServer) stat(ctx context.Context, name string) (int, error) {
	nc, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "tcp", s.address)
	if err != nil {
		return 0, err
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(askTimeout))
	if _, err := io.WriteString(nc, "stats\r\n"); err != nil {
		return 0, err
	}
	for lines := bufio.NewScanner(io.LimitReader(nc, maxStatusBytes)); lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), "STAT "+name+" "); ok {
			return strconv.Atoi(text)
		}
		if lines.Text() == "END" {
			break
		}
	}
	return 0, fmt.Errorf("memcached does not say %s", name)
}

// discard kills the server and removes its folder.
func (s *scaleServer) discard() error { return processes{s.process}.discard() }

// memoryOf is about what a server needs for records, in bytes: more than it was seen to need.
func memoryOf(name string, r *records) int64 {
	overhead := map[string]int64{futagoServer: 40, memcachedServer: 110, redisServer: 130}[name]
	if name == futagoServer {
		return int64(r.n) * overhead // the values are the system's business
	}
	return r.bytes() + int64(r.n)*overhead
}

// diskOf is the most that a node needs for records that are all changed once, in bytes.
func diskOf(r *records) int64 { return 4*(r.bytes()+int64(r.n)*100) + 1<<30 }

// fits returns an error that says why this machine has no room for a server with records.
func fits(name string, r *records) error {
	const spare = 1 << 30 // for this program and the rest of the machine
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return fmt.Errorf("read the memory of the machine: %w", err)
	}
	available, err := parseMemAvailable(b)
	if err != nil {
		return fmt.Errorf("read the memory of the machine: %w", err)
	}
	if need := memoryOf(name, r) + spare; need > available {
		return fmt.Errorf("%s with %d records needs about %d MiB of memory, %d MiB are available", name, r.n, need>>20, available>>20)
	}
	if name == memcachedServer {
		return nil
	}
	var st unix.Statfs_t
	if err := unix.Statfs(os.TempDir(), &st); err != nil {
		return fmt.Errorf("read the free space of %s: %w", os.TempDir(), err)
	}
	if free, need := int64(st.Bavail)*int64(st.Bsize), diskOf(r); need > free {
		return fmt.Errorf("%s with %d records may need %d MiB of disk, %s has %d MiB", name, r.n, need>>20, os.TempDir(), free>>20)
	}
	return nil
}

// parseMemAvailable reads a line such as "MemAvailable:   23223136 kB". Source: proc(5), /proc/meminfo.
func parseMemAvailable(b []byte) (int64, error) {
	for line := range bytes.Lines(b) {
		fields := bytes.Fields(line)
		if len(fields) == 3 && string(fields[0]) == "MemAvailable:" && string(fields[2]) == "kB" {
			kib, err := strconv.ParseInt(string(fields[1]), 10, 50)
			if err != nil || kib < 0 {
				return 0, fmt.Errorf("line %.100q has no size", line)
			}
			return kib << 10, nil
		}
	}
	return 0, errors.New("meminfo does not say MemAvailable")
}
