package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/futago/futago/internal/cabinet"
	"github.com/futago/futago/internal/script"
	"github.com/futago/futago/internal/store"
	"github.com/futago/futago/internal/tyrant"
)

// openScript loads the script of the node, which may use the database from now on.
func (n *Node) openScript() error {
	if n.cfg.Script == "" {
		return nil
	}
	c := script.DefaultConfig()
	c.Source, c.Logger, c.SID, c.Unsafe = n.cfg.Script, n.logger, uint32(n.cfg.Node), n.cfg.ScriptUnsafe
	c.Timeout, c.MaxMemory = n.cfg.ScriptTimeout, int(n.cfg.ScriptMemory)
	c.Idle = n.server.Idle
	c.Database = &scriptDatabase{cabinet: n.server.Cabinet(), store: n.store}
	for _, text := range n.cfg.ScriptPeriodic {
		p, err := parsePeriodic(text)
		if err != nil {
			return err
		}
		c.Periodic = append(c.Periodic, p)
	}
	host, err := script.New(c)
	if err != nil {
		return fmt.Errorf("script %s: %w", scriptName(n.cfg.Script), err)
	}
	n.script = host
	return nil
}

// scriptName is a script as messages call it.
func scriptName(source string) string {
	if strings.HasPrefix(source, "@") {
		return "of the configuration"
	}
	return source
}

// parsePeriodic reads NAME=DURATION.
func parsePeriodic(text string) (p script.Periodic, err error) {
	name, every, ok := strings.Cut(text, "=")
	p.Name = name
	if p.Every, err = time.ParseDuration(every); !ok || name == "" || err != nil || p.Every <= 0 {
		return p, fmt.Errorf("script-periodic %q: want NAME=DURATION, such as sweep=10s", text)
	}
	return p, nil
}

// callScript calls a function of the script for a client.
func (n *Node) callScript(ctx context.Context, name string, key, value []byte, options uint32) ([]byte, bool) {
	lock := script.LockNone
	switch {
	case options&tyrant.ExtLockGlobal != 0:
		lock = script.LockGlobal
	case options&tyrant.ExtLockRecord != 0:
		lock = script.LockRecord
	}
	reply, ok, err := n.script.Call(ctx, name, key, value, lock)
	if err != nil {
		n.logger.Info("script failed", "function", name, "err", err)
	}
	return reply, ok && err == nil
}

// scriptDatabase is the database as scripts see it. The store hands on what they write at once: a periodic function has nobody who
// would do it later.
type scriptDatabase struct {
	cabinet *cabinet.Cabinet
	store   *store.Store
	idle    sync.Pool // of clients

	mu     sync.Mutex
	cursor *cabinet.Client // that all scripts share; nil before iterinit
}

// do runs one operation.
func (d *scriptDatabase) do(f func(c *cabinet.Client) error) error {
	c, ok := d.idle.Get().(*cabinet.Client)
	if !ok {
		c = d.cabinet.Client(new(cabinet.Scratch))
	}
	err := f(c)
	if c.Written() != 0 {
		d.store.Flush()
	}
	d.idle.Put(c)
	return scriptError(err)
}

// scriptError is an error of the cabinet as scripts know it.
func scriptError(err error) error {
	switch {
	case errors.Is(err, store.ErrNotFound), errors.Is(err, cabinet.ErrEnd):
		return script.ErrNoRecord
	case errors.Is(err, store.ErrExists):
		return script.ErrExists
	}
	return err
}

func (d *scriptDatabase) Put(key, value []byte) error {
	return d.do(func(c *cabinet.Client) error { return c.Put(key, value) })
}

func (d *scriptDatabase) PutKeep(key, value []byte) error {
	return d.do(func(c *cabinet.Client) error { return c.PutKeep(key, value) })
}

func (d *scriptDatabase) PutCat(key, value []byte) error {
	return d.do(func(c *cabinet.Client) error { return c.PutCat(key, value) })
}

func (d *scriptDatabase) Out(key []byte) error {
	return d.do(func(c *cabinet.Client) error { return c.Out(key) })
}

func (d *scriptDatabase) Get(key []byte) (value []byte, err error) {
	err = d.do(func(c *cabinet.Client) (err error) {
		value, err = c.Get(key)
		return err
	})
	return value, err
}

func (d *scriptDatabase) VSiz(key []byte) (size int, err error) {
	err = d.do(func(c *cabinet.Client) (err error) {
		size, err = c.VSiz(key)
		return err
	})
	return size, err
}

func (d *scriptDatabase) IterInit() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cursor = d.cabinet.Client(new(cabinet.Scratch))
	return d.cursor.IterInit()
}

func (d *scriptDatabase) IterNext() ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cursor == nil {
		return nil, script.ErrNoRecord
	}
	key, err := d.cursor.IterNext()
	return bytes.Clone(key), scriptError(err)
}

func (d *scriptDatabase) FwmKeys(ctx context.Context, prefix []byte, max int) (keys [][]byte, err error) {
	err = d.do(func(c *cabinet.Client) (err error) {
		keys, err = c.FwmKeys(ctx, prefix, max)
		return err
	})
	return keys, err
}

func (d *scriptDatabase) AddInt(key []byte, n int32) (sum int32, err error) {
	err = d.do(func(c *cabinet.Client) (err error) {
		sum, err = c.AddInt(key, n)
		return err
	})
	return sum, err
}

func (d *scriptDatabase) AddDouble(key []byte, n float64) (sum float64, err error) {
	err = d.do(func(c *cabinet.Client) (err error) {
		sum, err = c.AddDouble(key, n)
		return err
	})
	return sum, err
}

func (d *scriptDatabase) Vanish() error { return d.do((*cabinet.Client).Vanish) }

func (d *scriptDatabase) RNum() uint64 { return d.cabinet.Client(nil).RNum() }

func (d *scriptDatabase) Size() uint64 { return d.cabinet.Client(nil).Size() }

func (d *scriptDatabase) Misc(ctx context.Context, name string, args [][]byte, _ bool) (list [][]byte, err error) {
	switch name {
	case "iterinit":
		if len(args) == 0 {
			return nil, d.IterInit()
		}
	case "iternext":
		key, err := d.IterNext()
		if err != nil {
			return nil, err
		}
		value, err := d.Get(key)
		return [][]byte{key, value}, err
	}
	err = d.do(func(c *cabinet.Client) (err error) {
		list, err = c.Misc(ctx, name, args)
		return err
	})
	return list, err
}

func (d *scriptDatabase) Each(f func(key, value []byte) bool) error {
	c := d.cabinet.Client(new(cabinet.Scratch))
	if err := c.IterInit(); err != nil {
		return err
	}
	for {
		key, err := c.IterNext()
		if errors.Is(err, cabinet.ErrEnd) {
			return nil
		}
		if err != nil {
			return err
		}
		value, err := c.Get(key)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if !f(bytes.Clone(key), value) {
			return nil
		}
	}
}
