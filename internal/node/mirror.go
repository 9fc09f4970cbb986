package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/futago/futago/internal/cabinet"
	"github.com/futago/futago/internal/mirror"
	"github.com/futago/futago/internal/server"
	"github.com/futago/futago/internal/tyrant"
	"github.com/futago/futago/internal/ulog"
	"github.com/futago/futago/internal/vfs"
)

// What Config.Allow names.
const (
	allowShutdown = "shutdown"       // memcached clients may stop the node
	allowCopy     = "tyrant-copy"    // Tokyo Tyrant's clients may have a copy of the data made, as a folder of this machine
	allowRestore  = "tyrant-restore" // and an update log in a folder of this machine replayed
	allowSetMst   = "tyrant-setmst"  // and change the server that the node follows
	allowRepl     = "tyrant-repl"    // Tokyo Tyrant servers may follow the node
)

// allowable are the names that Config.Allow takes.
var allowable = []string{allowShutdown, allowCopy, allowRestore, allowSetMst, allowRepl}

// mirrors is the replication of the node with Tokyo Tyrant.
type mirrors struct {
	source *mirror.Source

	changing sync.Mutex // held while one follower takes the place of another, which may last
	stop     func()     // of the present one; returns when it has ended

	mu       sync.Mutex       // held for a moment: loops ask
	follower *mirror.Follower // nil: none
}

func (m *mirrors) set(f *mirror.Follower) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.follower = f
}

// allowTyrant gives the server what the configuration allows.
func (n *Node) allowTyrant(c *server.Config) {
	allows := func(name string) bool { return slices.Contains(n.cfg.Allow, name) }
	if allows(allowCopy) {
		c.Copy = n.copyTo
	}
	if allows(allowRestore) {
		c.Restore = n.restoreFrom
	}
	if allows(allowSetMst) {
		c.SetMaster = n.setMaster
	}
	if allows(allowRepl) {
		c.Repl = func(ctx context.Context, conn net.Conn, from int64, sid uint32) {
			n.mirrors.source.Serve(ctx, conn, from, sid)
		}
	}
	c.Master = n.master
	c.LogTime = func() (int64, bool) { return n.mirrors.source.Time() }
}

// openMirrors begins to follow the configured server.
func (n *Node) openMirrors() {
	n.mirrors.source = mirror.NewSource(n.store, n.server.Cabinet(), n.cfg.Node, n.logger)
	n.mirrors.source.Master = func() int {
		if s := n.mirrorStatus(); s != nil {
			return s.SID
		}
		return 0
	}
	if n.cfg.TyrantMaster != "" {
		n.followMaster(n.cfg.TyrantMaster, n.cfg.TyrantFrom, false, n.cfg.TyrantCheck)
	}
}

// followMaster follows a server instead of the one before; none if master is empty.
func (n *Node) followMaster(master string, from int64, restart, check bool) {
	m := &n.mirrors
	m.changing.Lock()
	defer m.changing.Unlock()
	if m.stop != nil {
		m.stop()
		m.stop = nil
		m.set(nil)
	}
	if master == "" {
		return
	}
	f := mirror.NewFollower(mirror.FollowerConfig{
		Store: n.store, Cabinet: n.server.Cabinet(), Node: n.cfg.Node, Master: master, From: from, Restart: restart, Check: check, Logger: n.logger,
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { f.Run(ctx); close(ended) }()
	m.stop = func() { cancel(); <-ended }
	m.set(f)
}

// setMaster is setmst: an empty host ends it, a time above 0 is where to begin.
func (n *Node) setMaster(host string, port int, from int64, check bool) error {
	if n.server.Masked(tyrant.MaskSlave) && host != "" {
		return errors.New("the mask forbids to follow a master")
	}
	master := ""
	if host != "" {
		master = net.JoinHostPort(host, strconv.Itoa(port))
	}
	n.followMaster(master, from, from > 0, check)
	return nil
}

// mirrorStatus is what is known of the followed server; nil: there is none.
func (n *Node) mirrorStatus() *mirror.FollowerStatus {
	n.mirrors.mu.Lock()
	defer n.mirrors.mu.Unlock()
	if n.mirrors.follower == nil {
		return nil
	}
	s := n.mirrors.follower.Status()
	return &s
}

// master is what Tokyo Tyrant's stat tells of it.
func (n *Node) master() (host string, port int, position int64, ok bool) {
	s := n.mirrorStatus()
	if s == nil {
		return "", 0, 0, false
	}
	host, text, _ := net.SplitHostPort(s.Master)
	port, _ = strconv.Atoi(text)
	return host, port, s.Position, true
}

// copyTo makes a copy of the data in a new folder, from which a node can be started.
func (n *Node) copyTo(ctx context.Context, path string) error {
	switch {
	case strings.HasPrefix(path, "@"):
		return errors.New("commands are not run: copy to a folder, and run the command where that is taken on")
	case n.cfg.Data == "none":
		return errors.New("the data are in memory: they are not in a folder that could be copied")
	case !filepath.IsAbs(path):
		return fmt.Errorf("folder %s is not absolute", path)
	}
	n.store.Flush()
	from, err := vfs.ReadOnly(n.cfg.Data)
	if err != nil {
		return err
	}
	done, err := ulog.RestoreFolder(ctx, ulog.RestoreConfig{From: from, Time: n.store.Clock().Last().Time().Add(time.Millisecond)}, path)
	if err == nil && !done.Written {
		err = errors.New("not all records can be read: nothing was written")
	}
	return err
}

// restoreFrom replays an update log of Tokyo Tyrant. A folder without one is most likely the wrong folder.
func (n *Node) restoreFrom(ctx context.Context, path string, from int64, check bool) error {
	log, err := tyrant.OpenLog(path, from)
	if err != nil {
		return err
	}
	defer log.Close()
	c := n.server.Cabinet().Client(new(cabinet.Scratch))
	defer n.store.Flush()
	var e tyrant.Entry
	for entries := 0; ctx.Err() == nil; entries++ {
		if err := log.Next(&e); err != nil {
			if log.Position().File == 0 {
				return fmt.Errorf("folder %s has no update log: name one with files such as 00000001.ulog", path)
			}
			if errors.Is(err, tyrant.ErrTorn) || errors.Is(err, io.EOF) {
				n.logger.Info("update log was replayed", "folder", path, "from", from, "entries", entries, "missing", log.Missing)
				return nil
			}
			return err
		}
		if err := mirror.Replay(ctx, c, e.Payload, check); err != nil {
			return fmt.Errorf("entry of %d: %w", e.Time, err)
		}
		if entries%1024 == 0 {
			n.store.Flush()
		}
	}
	return context.Cause(ctx)
}
